# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python in CPython's overlay: the reader of Visual C++ projects, what Meson is told, and the small generators."""

from __future__ import annotations

import importlib.util
import shutil
import struct
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[1]
OVERLAY = ROOT / "patches" / "cpython" / "overlay" / "mingw"


def load(name: str) -> ModuleType:
    """A script of the overlay as a module; under its own name, as the scripts import each other."""
    spec = importlib.util.spec_from_file_location(name, OVERLAY / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)  # the overlay's folder is copied as it is
        spec.loader.exec_module(module)
    return module


vcxproj = load("vcxproj")
describe = load("describe")
forwarders = load("forwarders")
small_icon = load("small_icon")
cross_file = load("cross_file")
freeze = load("freeze")
host_python = load("host_python")
sysconfigdata = load("sysconfigdata")

NAMESPACE = 'xmlns="http://schemas.microsoft.com/developer/msbuild/2003"'


def project(folder: Path, body: str, **outside: str) -> Any:
    """Evaluate a project with ``body`` in it."""
    path = folder / "spam.vcxproj"
    path.write_text(f"<Project {NAMESPACE}>{body}</Project>", encoding="utf-8")
    return vcxproj.read_project(path, outside)


# Properties.


def test_properties_are_set_top_to_bottom(tmp_path: Path) -> None:
    body = "<PropertyGroup><A>1</A><B>$(A)2</B><A>3</A><C>$(Nothing)x</C></PropertyGroup>"
    properties = project(tmp_path, body).properties
    assert (properties["A"], properties["B"], properties["C"]) == ("3", "12", "x")


def test_outside_wins_over_every_assignment(tmp_path: Path) -> None:
    properties = project(tmp_path, "<PropertyGroup><A>1</A><B>$(A)</B></PropertyGroup>", A="9").properties
    assert (properties["A"], properties["B"]) == ("9", "9")


def test_imports_are_read_in_place_and_foreign_ones_skipped(tmp_path: Path) -> None:
    (tmp_path / "more.props").write_text(f"<Project {NAMESPACE}><PropertyGroup><A>2</A></PropertyGroup></Project>")
    body = r"""
        <PropertyGroup><A>1</A></PropertyGroup>
        <Import Project="more.props"/>
        <Import Project="$(VCTargetsPath)\Microsoft.Cpp.props"/>
        <ImportGroup><Import Project="missing.props" Condition="Exists('missing.props')"/></ImportGroup>
        <PropertyGroup><B>$(A)</B></PropertyGroup>"""
    assert project(tmp_path, body).properties["B"] == "2"


def test_items_see_final_properties(tmp_path: Path) -> None:
    body = '<ItemGroup><ClCompile Include="$(A).c"/></ItemGroup><PropertyGroup><A>late</A></PropertyGroup>'
    assert [item.include for item in project(tmp_path, body).items] == ["late.c"]


def test_string_methods(tmp_path: Path) -> None:
    body = """<PropertyGroup><N>_ssl.pyd</N><At>$(N.LastIndexOf(`.`))</At><Stem>$(N.Substring(0, $(At)))</Stem>
        <Ext>$(N.Substring($(At)))</Ext><R>$(N.Replace(`s`, `z`))</R></PropertyGroup>"""
    properties = project(tmp_path, body).properties
    assert (properties["Stem"], properties["Ext"], properties["R"]) == ("_ssl", ".pyd", "_zzl.pyd")


def test_unknown_property_harms_only_when_used(tmp_path: Path) -> None:
    unknown = "<PropertyGroup><A>$([System.IO.Path]::GetFullPath(x))</A><B>$(A)</B></PropertyGroup>"
    assert "A" not in project(tmp_path, unknown).properties
    with pytest.raises(vcxproj.ProjectError, match=r"spam\.vcxproj: property B is unknown: .*property A is unknown"):
        project(tmp_path, unknown + '<ItemGroup><ClCompile Include="$(B).c"/></ItemGroup>')
    assert project(tmp_path, unknown, A="x").properties["B"] == "x"


def test_not_xml(tmp_path: Path) -> None:
    with pytest.raises(vcxproj.ProjectError, match=r"spam\.vcxproj: expected XML, found .*mismatched tag"):
        project(tmp_path, "<PropertyGroup>")


# Conditions.

CONDITIONS = [
    ("'$(A)' == 'one'", True),
    ("'$(A)'=='ONE'", True),
    ("$(A) != 'one'", False),
    ("'$(A)' == 'one' and '$(B)' == ''", True),
    ("'$(A)' == 'two' or $(Yes)", True),
    ("'$(A)' == 'two' or ('$(B)' == '' and !$(No))", True),
    ("!$(Yes)", False),
    ("$(B)", False),
    ("Exists('spam.vcxproj')", True),
    ("exists('eggs.vcxproj')", False),
    ("Exists('')", False),
    ("!HasTrailingSlash($(Folder))", False),
    ("!HasTrailingSlash('$(A)')", True),
]


@pytest.mark.parametrize(("condition", "expected"), CONDITIONS)
def test_condition(tmp_path: Path, condition: str, expected: bool) -> None:
    outside = {"A": "one", "Yes": "true", "No": "false", "Folder": "x\\"}
    result = project(tmp_path, f'<PropertyGroup Condition="{condition}"><R>1</R></PropertyGroup>', **outside)
    assert ("R" in result.properties) is expected


@pytest.mark.parametrize(
    "condition", ["'a' ==", "'a' == 'b' 'c'", "('a' == 'b'", "maybe", "Between(1, 2)", "'a' # 'b'", "$([x]::y())"]
)
def test_condition_not_understood(tmp_path: Path, condition: str) -> None:
    with pytest.raises(vcxproj.ProjectError, match=r"^spam\.vcxproj: "):
        project(tmp_path, f'<ItemGroup Condition="{condition}"><ClCompile Include="x.c"/></ItemGroup>')


# Items.


def test_metadata_adds_to_the_defaults_before_it(tmp_path: Path) -> None:
    body = """
        <ItemDefinitionGroup><ClCompile><PreprocessorDefinitions>A;B="x"</PreprocessorDefinitions></ClCompile>
        </ItemDefinitionGroup>
        <ItemDefinitionGroup><ClCompile><PreprocessorDefinitions>C;
          %(PreprocessorDefinitions)</PreprocessorDefinitions></ClCompile></ItemDefinitionGroup>
        <ItemGroup>
          <ClCompile Include="one.c"/>
          <ClCompile Include="two.c">
            <PreprocessorDefinitions>D;%(PreprocessorDefinitions)</PreprocessorDefinitions></ClCompile>
          <ClCompile Include="three.c">
            <ExcludedFromBuild Condition="'$(Platform)' == 'x64'">true</ExcludedFromBuild></ClCompile>
          <ClInclude Include="four.h"/>
        </ItemGroup>"""
    result = project(tmp_path, body, Platform="x64")
    assert [(item.include, item.values("PreprocessorDefinitions")) for item in result.items] == [
        ("one.c", ("C", "A", 'B="x"')),
        ("two.c", ("D", "C", "A", 'B="x"')),
    ]


@given(st.lists(st.text(st.characters(exclude_characters=";", exclude_categories=["Z", "C"]), min_size=1)))
def test_split_list_is_the_inverse_of_join(entries: list[str]) -> None:
    assert vcxproj.split_list("; \n".join(entries) + ";") == tuple(entries)


def test_items_made_of_other_items(tmp_path: Path) -> None:
    body = """<ItemGroup>
        <ExternalModules Include="_ssl;_bz2"/>
        <ExtensionModules Include="_queue"/>
        <ExtensionModules Include="@(ExternalModules)"/>
        <Projects Include="@(ExtensionModules->'%(Identity).vcxproj');python.vcxproj"/>
        </ItemGroup>"""
    found = project(tmp_path, body).of_kind("Projects")
    assert [item.include for item in found] == ["_queue.vcxproj", "_ssl.vcxproj", "_bz2.vcxproj", "python.vcxproj"]


def test_item_transform_that_is_not_known(tmp_path: Path) -> None:
    body = """<ItemGroup><Projects Include="@(Projects->'%(Filename)')"/></ItemGroup>"""
    with pytest.raises(vcxproj.ProjectError, match=r"spam\.vcxproj: item transform not understood: .@\(Projects->"):
        project(tmp_path, body)


# What Meson is told.


@pytest.fixture
def data() -> Any:
    """The overlay's own build.toml."""
    with (OVERLAY / "build.toml").open("rb") as file:
        return tomllib.load(file)


PATCHLEVEL = """
#define PY_RELEASE_LEVEL_ALPHA  0xA
#define PY_RELEASE_LEVEL_FINAL  0xF     /* Serial should be 0 here */
#define PY_MAJOR_VERSION        3
#define PY_MINOR_VERSION        13
#define PY_MICRO_VERSION        5
#define PY_RELEASE_LEVEL        PY_RELEASE_LEVEL_FINAL
#define PY_RELEASE_SERIAL       0
"""


def test_version_is_what_the_resource_scripts_want() -> None:
    assert describe.read_version(PATCHLEVEL) == describe.Version(3, 13, 5, 5150)
    with pytest.raises(vcxproj.ProjectError, match="expected a definition of PY_RELEASE_SERIAL"):
        describe.read_version(PATCHLEVEL.replace("#define PY_RELEASE_SERIAL", "//"))


@pytest.mark.parametrize(
    ("written", "path"),
    [
        (r"..\Modules\_ctypes\cfield.c", "Modules/_ctypes/cfield.c"),
        (r"..\PC\winsound.c", "PC/winsound.c"),
        (r"Include\internal", "Include/internal"),
        (r"Modules/_decimal\libmpdec\io.c", "Modules/_decimal/libmpdec/io.c"),
        ("external:/zlib/zutil.c", "external:/zlib/zutil.c"),
        (r"generated:/Python", "generated:/Python"),
    ],
)
def test_source_path(written: str, path: str) -> None:
    assert describe.source_path(written) == path


EXTENSION = r"""
    <PropertyGroup><TargetExt>.pyd</TargetExt><ConfigurationType>DynamicLibrary</ConfigurationType></PropertyGroup>
    <ItemDefinitionGroup>
      <ClCompile>
        <PreprocessorDefinitions>_WIN32;_M_X64;CONFIG_64;MASM;VPATH="$(PyVPath)"</PreprocessorDefinitions>
        <AdditionalIncludeDirectories>$(zlibDir);..\Modules\_decimal\windows;$(mpdecimalDir)\libmpdec;
          $(GeneratedPyConfigDir);$(PySourcePath)PC
        </AdditionalIncludeDirectories>
      </ClCompile>
      <Link><AdditionalDependencies>Rpcrt4.lib;$(OutDir)liblzma.lib;rpcrt4.lib;Delayed.lib</AdditionalDependencies>
        <AdditionalOptions>/EXPORT:DllGetClassObject,PRIVATE /EXPORT:Other,PRIVATE</AdditionalOptions>
        <StackReserveSize>2000000</StackReserveSize></Link>
    </ItemDefinitionGroup>
    <ItemGroup>
      <ClCompile Include="..\Modules\a.c"/>
      <ClCompile Include="..\Modules\b.cpp">
        <PreprocessorDefinitions>MORE;%(PreprocessorDefinitions)</PreprocessorDefinitions></ClCompile>
      <ClCompile Include="..\Modules\c.c"/>
      <ClCompile Include="$(zlibDir)\zutil.c"/>
      <ResourceCompile Include="..\PC\python_nt.rc">
        <PreprocessorDefinitions>PY_ICON;FIELD3=$(Field3Value)</PreprocessorDefinitions></ResourceCompile>
      <ProjectReference Include="python3dll.vcxproj"/>
      <ProjectReference Include="pythoncore.vcxproj"/>
      <ProjectReference Include="other.vcxproj"/>
    </ItemGroup>"""


SOLUTION = """
    <ItemGroup>
      <Projects Include="pythoncore.vcxproj;pyshellext.vcxproj"/>
      <ExternalModules Include="_lzma;_ssl"/>
      <ExternalModules Include="_tkinter" Condition="$(IncludeTkinter)"/>
      <ExtensionModules Include="@(ExternalModules->'%(Identity)')"/>
      <Projects Include="@(ExtensionModules->'%(Identity).vcxproj')"/>
      <TestModules Include="_testcapi"/>
      <Projects Include="@(TestModules->'%(Identity).vcxproj')"/>
      <Projects2 Include="python.vcxproj;venvlauncher.vcxproj"/>
    </ItemGroup>"""
REFERENCES = {
    "_lzma": ["pythoncore", "liblzma"],
    "_ssl": ["pythoncore", "_socket"],
    "_testcapi": ["pythoncore", "python3dll"],
    "python": ["pythoncore"],
}


def solution(folder: Path, text: str = SOLUTION) -> Path:
    """A PCbuild with a pcbuild.proj and the projects that it names."""
    (folder / "pcbuild.proj").write_text(f"<Project {NAMESPACE}>{text}</Project>", encoding="utf-8")
    for name in ("pythoncore", "python3dll", "_lzma", "_ssl", "_socket", "_testcapi", "python", "venvlauncher"):
        items = "".join(f'<ProjectReference Include="{other}.vcxproj"/>' for other in REFERENCES.get(name, ()))
        body = f"<Project {NAMESPACE}><ItemGroup>{items}</ItemGroup></Project>"
        (folder / f"{name}.vcxproj").write_text(body, encoding="utf-8")
    return folder


def test_projects_are_those_of_the_solution_and_what_they_refer_to(tmp_path: Path, data: Any) -> None:
    outside = describe.outside_properties(data, describe.read_version(PATCHLEVEL))
    assert list(describe.find_projects(solution(tmp_path), outside, data).items()) == [
        ("pythoncore", "interpreter"),
        ("_lzma", "interpreter"),
        ("_ssl", "interpreter"),
        ("_socket", "interpreter"),
        ("_testcapi", "tests"),
        ("python3dll", "interpreter"),
        ("python", "interpreter"),
        ("venvlauncher", "development"),
    ]


def test_a_project_that_nobody_has_decided_on_is_an_error(tmp_path: Path, data: Any) -> None:
    folder = solution(tmp_path, '<ItemGroup><Projects Include="pymanager.vcxproj"/></ItemGroup>')
    with pytest.raises(
        vcxproj.ProjectError, match=r"pcbuild\.proj: pymanager: expected a project that build\.toml names"
    ):
        describe.find_projects(folder, data["properties"], data)


def test_every_part_has_places_and_a_meson_choice(data: Any) -> None:
    options = (OVERLAY.parent / "meson.options").read_text(encoding="utf-8")
    assert set(data["projects"].values()) <= set(data["parts"])
    assert "choices: [{}]".format(", ".join(f"'{part}'" for part in data["parts"])) in options
    assert not set(data["projects"]) & set(data["left-out"])


def test_describe_extension(tmp_path: Path, data: Any) -> None:
    data["definitions"]["add"], data["stack"]["factor"] = ["ADDED=1"], 3
    data["delayed"]["delayed"] = {"dll": "x.dll", "functions": ["F", "G"]}
    outside = describe.outside_properties(data, describe.read_version(PATCHLEVEL))
    facts = list(describe.describe_project(project(tmp_path, EXTENSION, **outside), data, "/deps", "interpreter"))
    common = [("define", "CONFIG_64"), ("define", "ASM"), ("define", 'VPATH=""'), ("define", "ADDED=1")]
    folders = [("include", "/deps/zlib/include"), ("include", "generated:/"), ("include", "PC")]
    folders += [("includeafter", "Modules/_decimal/libmpdec")]
    assert facts == [
        ("project", "spam"),
        ("file", "spam.pyd"),
        ("kind", "pyd"),
        ("folder", "bundle/python/DLLs"),
        ("language", "cpp"),
        ("subsystem", "windows"),
        ("stack", "6000000"),
        ("noentry", "no"),
        ("uses", "pythoncore"),
        ("uses", "python3dll"),
        ("loadflags", "0x800"),
        ("delay", "x.dll=F,G"),
        ("group", "0"),
        *common,
        *folders,
        ("source", "Modules/a.c"),
        ("source", "Modules/c.c"),
        ("group", "1"),
        ("define", "MORE"),
        *common,
        *folders,
        ("source", "Modules/b.cpp"),
        ("link", "-L/deps/zlib/lib"),
        ("link", "-lz"),
        ("link", "-lrpcrt4"),
        ("export", "DllGetClassObject"),
        ("export", "Other"),
        ("resource", "PC/python_nt.rc"),
        ("resourcedefine", "PY_ICON"),
        ("end", "spam"),
    ]


def test_describe_program(tmp_path: Path, data: Any) -> None:
    body = """<PropertyGroup><TargetName>$(PyExeName)</TargetName><PyExeName>python</PyExeName>
        <ConfigurationType>Application</ConfigurationType></PropertyGroup>
        <PropertyGroup><TargetName>$(PyExeName)</TargetName></PropertyGroup>
        <ItemDefinitionGroup><Link><SubSystem>Console</SubSystem></Link></ItemDefinitionGroup>"""
    facts = dict(describe.describe_project(project(tmp_path, body), data, "/deps", "interpreter"))
    assert (facts["file"], facts["kind"], facts["subsystem"], facts["stack"]) == ("python.exe", "exe", "console", "0")
    assert (facts["folder"], facts["language"], facts["entry"]) == ("bundle/python", "c", "wide")


def test_a_program_finds_the_core_beside_it_and_nothing_else_there(tmp_path: Path, data: Any) -> None:
    body = """<PropertyGroup><ConfigurationType>Application</ConfigurationType></PropertyGroup>
        <ItemGroup><ProjectReference Include="{}.vcxproj"/></ItemGroup>"""
    for reference, flags in (("pythoncore", "0xa00"), ("other", "0x800")):
        facts = dict(describe.describe_project(project(tmp_path, body.format(reference)), data, "/deps", "interpreter"))
        assert facts["loadflags"] == flags


def test_an_extension_module_finds_the_dlls_of_its_libraries_beside_it(tmp_path: Path, data: Any) -> None:
    data["libraries"]["zlib"] |= {"link": [":libz.dll.a"], "dlls": True}
    outside = describe.outside_properties(data, describe.read_version(PATCHLEVEL))
    facts = list(describe.describe_project(project(tmp_path, EXTENSION, **outside), data, "/deps", "interpreter"))
    assert dict(facts)["loadflags"] == "0x900"
    assert [value for key, value in facts if key == "link"][:2] == ["-L/deps/zlib/lib", "-l:libz.dll.a"]


def test_a_library_of_dlls_is_linked_by_import_libraries_that_its_component_makes(data: Any) -> None:
    found = {name: library["link"] for name, library in data["libraries"].items() if library.get("dlls")}
    assert set(found) == {"openssl", "sqlite"}
    for name, link in found.items():
        with (ROOT / "bundle_specs" / "components" / f"{name}.toml").open("rb") as file:
            script = tomllib.load(file)["build"]["script"]
        assert "/build/out/bin/" in script
        assert all(entry[:4] == ":lib" and entry[1:] in script for entry in link), link
    for name in data["libraries"].keys() - found.keys():
        assert not any(entry.startswith(":") for entry in data["libraries"][name]["link"]), name


def test_describe_program_with_a_narrow_entry(tmp_path: Path, data: Any) -> None:
    data["entry"]["narrow"] = ["spam"]
    body = "<PropertyGroup><ConfigurationType>Application</ConfigurationType></PropertyGroup>"
    facts = dict(describe.describe_project(project(tmp_path, body), data, "/deps", "tests"))
    assert (facts["folder"], facts["entry"]) == ("python", "narrow")


def test_describe_frozen(tmp_path: Path) -> None:
    body = r"""<PropertyGroup><Dir>generated:/</Dir></PropertyGroup>
        <ItemGroup><None Include="..\Lib\importlib\_bootstrap.py"><ModName>importlib._bootstrap</ModName>
        <OutFile>$(Dir)Python\frozen_modules\importlib._bootstrap.h</OutFile></None></ItemGroup>
        <ItemGroup><GetPath Include="..\Modules\getpath.py"><ModName>getpath</ModName>
        <OutFile>$(PySourcePath)Python\frozen_modules\getpath.h</OutFile></GetPath></ItemGroup>"""
    assert list(describe.describe_frozen(project(tmp_path, body))) == [
        (
            "frozen",
            "importlib._bootstrap|Lib/importlib/_bootstrap.py|generated:/Python/frozen_modules/importlib._bootstrap.h",
        ),
        ("frozen", "getpath|Modules/getpath.py|Python/frozen_modules/getpath.h"),
    ]


# As PCbuild/_freeze_module.vcxproj of CPython 3.12 has it; later versions have no such target.
DEEPFREEZE = r"""<Target Name="_RebuildDeepFrozen" Condition="$(Configuration) != 'PGUpdate'">
    <Exec Command='$(PythonForBuild) "$(PySourcePath)Tools\build\deepfreeze.py" ^
        "$(PySourcePath)Python\frozen_modules\os.h:os" ^
        "$(PySourcePath)Python\frozen_modules\importlib.util.h:importlib.util" ^
        "-o" "$(PySourcePath)Python\deepfreeze\deepfreeze.c"'/>
    <Exec Command='"$([System.IO.Path]::GetFullPath(x))" "%(None.FullPath)"'/></Target>"""


def test_describe_deepfrozen(tmp_path: Path) -> None:
    assert list(describe.describe_deepfrozen(project(tmp_path, DEEPFREEZE, Configuration="Release"))) == [
        ("deepfreezer", "Tools/build/deepfreeze.py"),
        ("deepfrozen", "Python/frozen_modules/os.h:os"),
        ("deepfrozen", "Python/frozen_modules/importlib.util.h:importlib.util"),
        ("deepfreeze", "Python/deepfreeze/deepfreeze.c"),
    ]
    assert not list(describe.describe_deepfrozen(project(tmp_path, DEEPFREEZE, Configuration="PGUpdate")))
    assert not list(describe.describe_deepfrozen(project(tmp_path, "<Target Name='x'/>")))


@pytest.mark.parametrize("old", ['"-o"', "os.h:os", " ^"])
def test_describe_deepfrozen_in_another_form(tmp_path: Path, old: str) -> None:
    changed = project(tmp_path, DEEPFREEZE.replace(old, '"x"' if old == " ^" else "x"))
    with pytest.raises(vcxproj.ProjectError, match='spam: expected "SCRIPT" "HEADER:MODULE"'):
        list(describe.describe_deepfrozen(changed))


def test_every_library_of_the_data_file_is_a_component(data: Any) -> None:
    with (ROOT / "bundle_specs" / "components" / "cpython.toml").open("rb") as file:
        component = tomllib.load(file)
    assert sorted(data["libraries"]) == sorted(component["depends"])


def test_main_names_the_file_that_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "Include").mkdir()
    (tmp_path / "Include" / "patchlevel.h").write_text(PATCHLEVEL)
    assert describe.main([str(tmp_path), "/deps", "interpreter"]) == 1
    assert "pcbuild.proj" in capsys.readouterr().err


# The small generators.


def test_forwarders() -> None:
    source = (
        "#define EXPORT_FUNC(name) \\\nEXPORT_FUNC(Py_Main)\nEXPORT_FUNC(_Py_RefTotal)\nEXPORT_DATA(_Py_NoneStruct)\n"
    )
    expected = "EXPORTS\nPy_Main = python313.Py_Main\n_Py_NoneStruct = python313._Py_NoneStruct DATA\n"
    assert forwarders.definition_file(source, "python313") == expected
    with pytest.raises(ValueError, match="found none"):
        forwarders.definition_file("#define EXPORT_FUNC(name) \\\n", "python313")


def icon(images: list[tuple[int, int, bytes]]) -> bytes:
    """An icon file of (width, bits, data) images."""
    offset = 6 + 16 * len(images)
    table, body = b"", b""
    for width, bits, image in images:
        table += struct.pack("<BBBBHHII", width, width, 0, 0, 1, bits, len(image), offset + len(body))
        body += image
    return struct.pack("<HHH", 0, 1, len(images)) + table + body


def test_small_icon() -> None:
    full = icon([(0, 32, b"huge"), (16, 8, b"few colours"), (48, 32, b"forty-eight"), (16, 32, b"sixteen")])
    assert small_icon.small_icon(full) == icon([(48, 32, b"forty-eight"), (16, 32, b"sixteen")])
    with pytest.raises(ValueError, match="expected an icon file"):
        small_icon.small_icon(b"GIF89a")
    with pytest.raises(ValueError, match="found none"):
        small_icon.small_icon(icon([(0, 32, b"huge")]))


def test_sysconfigdata() -> None:
    environment = {
        "TRIPLET": "x86_64-w64-mingw32ucrt",
        "CFLAGS": "-O2 -DX='a b' -ffile-prefix-map=/build/src=.",
        "LDFLAGS": "-static -s -Wl,--no-insert-timestamp",
    }
    found = sysconfigdata.build_time_vars(environment, "3.13")
    assert found["CFLAGS"] == "-O2 '-DX=a b' -fno-strict-overflow -fno-strict-aliasing"
    assert found["LDSHARED"] == "x86_64-w64-mingw32ucrt-gcc -shared -static -Wl,--no-insert-timestamp"
    assert found["LDCXXSHARED"] == "x86_64-w64-mingw32ucrt-g++ -shared -static -Wl,--no-insert-timestamp"
    assert found["LIBPYTHON"] == "-lpython313"
    read: dict[str, Any] = {}
    exec(sysconfigdata.module(found), read)
    assert read["build_time_vars"] == found


def test_cross_file() -> None:
    text = cross_file.cross_file({"TRIPLET": "x86_64-w64-mingw32ucrt", "CFLAGS": "-O2 -DX='a b'", "LDFLAGS": "-static"})
    assert "c = 'x86_64-w64-mingw32ucrt-gcc'\n" in text
    assert "cpp = 'x86_64-w64-mingw32ucrt-g++'\n" in text
    for language in ("c", "cpp"):
        assert f"\n{language}_args = ['-O2', '-DX=a b']\n{language}_link_args = ['-static']\n" in text
    assert "cpu_family = 'x86'\n" in cross_file.cross_file({"TRIPLET": "i686-w64-mingw32ucrt"})
    with pytest.raises(ValueError, match="TRIPLET: expected one that starts with x86_64 or i686, found 'arm-x-y'"):
        cross_file.cross_file({"TRIPLET": "arm-x-y"})


def test_freeze_runs_the_freezer_once_per_module(tmp_path: Path) -> None:
    freezer = tmp_path / "freezer.py"
    freezer.write_text(
        "import os, sys\nopen(sys.argv[3], 'w').write(f'{sys.argv[1:3]} {os.environ[\"PYTHONHASHSEED\"]}')\n"
    )
    out, stamp = tmp_path / "a" / "b", tmp_path / "stamp.h"
    entries = [f"os|Lib/os.py|{out}/os.h", f"x.y|Lib/x/y.py|{out}/x.y.h"]
    assert freeze.main([sys.executable, str(freezer), str(stamp), *entries]) == 0
    assert {path.name: path.read_text() for path in out.iterdir()} == {
        "os.h": "['os', 'Lib/os.py'] 0",
        "x.y.h": "['x.y', 'Lib/x/y.py'] 0",
    }
    assert stamp.read_bytes() == b""


def source_of(folder: Path, minor: int, configure: str = "exit 1") -> Path:
    """The top of a source of Python 3.``minor``, with a ``configure`` of our own."""
    for name in ("Include", "Lib/test"):
        (folder / name).mkdir(parents=True)
    patchlevel = PATCHLEVEL.replace("PY_MINOR_VERSION        13", f"PY_MINOR_VERSION        {minor}")
    (folder / "Include" / "patchlevel.h").write_text(patchlevel)
    (folder / "Lib" / "os.py").write_text("os = 1\n")
    (folder / "configure").write_text(f"#!/bin/sh\n{configure}\n")
    (folder / "configure").chmod(0o755)
    return folder


OTHER = sys.version_info[1] + 1


def test_host_python_is_the_running_one_if_it_is_of_the_version(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(source_of(tmp_path, sys.version_info[1]))
    assert host_python.main(["host", "1"]) == 0
    assert capfd.readouterr() == (f"{sys.executable}\n", "")
    assert not (tmp_path / "host").exists()


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_host_python_is_built_if_it_is_of_another_version(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CFLAGS", "for-windows")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    makefile = "printf 'python:\\n\\techo $(MAKEFLAGS) > $@; env >> $@\\n' > Makefile"
    monkeypatch.chdir(source_of(tmp_path, OTHER, f'{makefile}\necho configured "$1" "$CC"'))
    assert host_python.main([str(tmp_path / "out" / "host"), "3"]) == 0
    printed, said = capfd.readouterr()
    assert printed == f"{tmp_path}/out/host/bin/python3\n"
    assert said.startswith("configured -q gcc\n")
    made = (tmp_path / "out" / "host" / "bin" / "python3").read_text()
    assert "for-windows" not in made
    assert "\nSOURCE_DATE_EPOCH=1\n" in made
    library = tmp_path / "out" / "host" / "lib" / f"python3.{OTHER}"
    assert sorted(path.name for path in library.rglob("*")) == ["README", "lib-dynload", "os.py"]


def test_host_python_that_cannot_be_built(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(source_of(tmp_path, OTHER, "exit 3"))
    assert host_python.main(["host", "1"]) == 1
    printed, said = capfd.readouterr()
    assert printed == ""
    assert said.startswith("host_python.py: Command ")
    assert "returned non-zero exit status 3" in said


# The patches, of each version.

COMPONENTS = ROOT / "bundle_specs" / "components"
FOLDERS = ("cpython", "cpython-3.12")
PATCHES = [path for folder in FOLDERS for path in sorted((ROOT / "patches" / folder).glob("*.patch"))]


@pytest.mark.parametrize("path", PATCHES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_patch_says_what_and_why(path: Path) -> None:
    header = path.read_text(encoding="utf-8").partition("\n--- a/")[0]
    assert all(f"\n{word}: " in header for word in ("What", "Why", "Upstream")), header


@pytest.mark.parametrize("folder", FOLDERS)
def test_component_applies_every_patch_of_its_own_in_order(folder: str) -> None:
    with (COMPONENTS / f"{folder}.toml").open("rb") as file:
        patches = [ROOT / patch for patch in tomllib.load(file)["patches"]]
    assert [path for path in patches if path.parent.name == folder] == [
        path for path in PATCHES if path.parent.name == folder
    ]
    assert [path.name for path in patches] == sorted(path.name for path in patches)


def test_a_second_version_has_every_patch_of_the_first_or_says_why_not() -> None:
    text = (COMPONENTS / "cpython-3.12.toml").read_text(encoding="utf-8")
    patches = [Path(patch).name for patch in tomllib.loads(text)["patches"]]
    for path in (ROOT / "patches" / "cpython").glob("*.patch"):
        assert path.name in patches or f"\n  # {path.name[:4]}: " in text, path.name
