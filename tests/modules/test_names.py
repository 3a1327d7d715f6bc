"""Files and the names of modules."""

from __future__ import annotations

from packager.modules.names import Module, find_names, search_path


def test_the_search_path_is_the_pth_files() -> None:
    text = "DLLs\r\nLib\n# a comment\n..\\app # ours\nimport site\n\n"
    assert search_path(text, "python", ["app/inner"]) == ("app/inner", "python/DLLs", "python/Lib", "app")
    assert search_path(".\n", "python") == ("python",)


def test_files_are_modules() -> None:
    paths = [
        "lib/a.pyc",
        "lib/b/__init__.pyc",
        "lib/b/c.pyc",
        "lib/_x.pyd",
        "lib/b/_y.cp313-win_amd64.pyd",
        "lib/n/m.pyc",
    ]
    found = find_names(paths, ["lib"], builtin=["sys"], frozen=["zipimport"]).modules
    assert found == {
        "a": Module("a", "code", "lib/a.pyc"),
        "b": Module("b", "code", "lib/b/__init__.pyc", True),
        "b.c": Module("b.c", "code", "lib/b/c.pyc"),
        "_x": Module("_x", "extension", "lib/_x.pyd"),
        "b._y": Module("b._y", "extension", "lib/b/_y.cp313-win_amd64.pyd"),
        "n": Module("n", "namespace", "", True),
        "n.m": Module("n.m", "code", "lib/n/m.pyc"),
        "sys": Module("sys", "builtin"),
        "zipimport": Module("zipimport", "frozen"),
    }


def test_which_of_two_files_counts() -> None:
    names = find_names(["one/a.pyc", "one/a.pyd", "one/b/__init__.pyc", "one/b.pyc", "two/a.pyc"], ["one", "two"])
    assert names.modules["a"].path == "one/a.pyd"
    assert names.modules["b"].path == "one/b/__init__.pyc"
    assert find_names(["one/n/x.pyc", "two/n/__init__.pyc"], ["one", "two"]).modules["n"].path == "two/n/__init__.pyc"
    assert find_names(["l/sys.pyc"], ["l"], builtin=["sys"]).modules["sys"].what == "builtin"


def test_a_file_below_two_folders_has_two_names() -> None:
    names = find_names(["app/in/e/__init__.pyc", "app/in/e/m.pyc"], ["app/in", "app"])
    assert names.names["app/in/e/m.pyc"] == ("e.m", "in.e.m")
    assert names.of_path("app/in/e/m.pyc") == "e.m"
    assert names.of_path("app/other") is None


def test_what_is_no_identifier_is_no_module() -> None:
    paths = ["lib/a-b.pyc", "lib/1.pyc", "lib/x.py", "lib/x.txt", "elsewhere/y.pyc"]
    assert find_names(paths, ["lib"]).modules == {}


def test_data_belongs_to_the_nearest_package() -> None:
    paths = [
        "app/p/__init__.pyc", "app/p/m.pyc", "app/p/data.json", "app/p/words/en.txt", "app/top.txt",
        "app/p-1.0.dist-info/METADATA", "x.exe",
    ]  # fmt: skip
    assert find_names(paths, ["app"]).owners == {
        "app/p/data.json": ("p", "p.m"),
        "app/p/words/en.txt": ("p", "p.m"),
        "app/top.txt": (),
        "app/p-1.0.dist-info/METADATA": ("importlib.metadata",),
    }
