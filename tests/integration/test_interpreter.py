"""The bundled python under Wine: what it has, and what cannot change it."""

from __future__ import annotations

from pathlib import Path

from packager.trees import content_digest
from tests.integration.conftest import BuiltBundle


def core(bundle: BuiltBundle) -> str:
    """The name of the interpreter's DLL, without its ending."""
    (found,) = (path.stem for path in bundle.folder.glob("python/python3?*.dll"))
    return found


def test_the_modules_that_electrum_needs_import(interpreter: BuiltBundle) -> None:
    code = (
        "import ssl,sqlite3,ctypes,asyncio,lzma,bz2,decimal,hashlib,xml.etree.ElementTree,winsound,multiprocessing;"
        "print(ssl.OPENSSL_VERSION)"
    )
    assert interpreter.output("-c", code, python=True).startswith("OpenSSL 3.5.")


def test_nothing_outside_changes_what_is_imported(interpreter: BuiltBundle, tmp_path: Path) -> None:
    for name in (f"{core(interpreter)}.dll", "python3.dll", "VERSION.dll", "vcruntime140.dll"):
        (tmp_path / name).write_bytes(b"MZ planted")
    for name in ("os.py", "encodings.py", "sitecustomize.py", "usercustomize.py", "planted.py"):
        (tmp_path / name).write_text("raise SystemExit('planted')")
    (tmp_path / "pyvenv.cfg").write_text(f"home = {tmp_path}\n")
    (tmp_path / f"{core(interpreter)}._pth").write_text(f"{tmp_path}\nimport site\n")
    switches = []
    for variable in (
        f"PYTHONPATH={tmp_path}",
        f"PYTHONHOME={tmp_path}",
        "PYTHONSTARTUP=planted.py",
        f"PATH={tmp_path}",
    ):
        switches += ["--env", variable]
    code = (
        "import sys; print(sys.flags.isolated, sys.flags.no_user_site, sys.flags.ignore_environment); print(sys.path)"
    )
    said = interpreter.output("-c", code, python=True, switches=switches, cwd=tmp_path)
    flags, path, _ = said.split("\n")
    assert flags == "1 1 1"
    entries = [Path(entry.replace("\\", "/").lower()).name for entry in eval(path)]
    assert entries == ["dlls", f"{core(interpreter)}.zip", "app"]
    assert str(tmp_path) not in path


def test_the_stub_is_not_fooled_either(interpreter: BuiltBundle, tmp_path: Path) -> None:
    for name in (
        f"{core(interpreter)}.dll",
        "python3.dll",
        "VERSION.dll",
        f"{core(interpreter)}._pth",
        "run_electrum.py",
    ):
        (tmp_path / name).write_bytes(b"MZ planted")
    (tmp_path / "python").mkdir()
    (tmp_path / f"python/{core(interpreter)}.dll").write_bytes(b"MZ planted")
    switches = ["--env", f"PYTHONHOME={tmp_path}", "--env", f"PYTHONPATH={tmp_path}", "--env", f"PATH={tmp_path}"]
    assert interpreter.output("--offline", "version", switches=switches, cwd=tmp_path) == "4.3.4\n"


def test_exit_codes_and_streams_pass_through(interpreter: BuiltBundle) -> None:
    code = (
        "import sys; d=sys.stdin.buffer.read(); sys.stdout.buffer.write(d[::-1]); sys.stderr.write('e'); sys.exit(42)"
    )
    done = interpreter.run("-c", code, python=True, stdin=bytes(range(256)))
    assert done.returncode == 42
    assert done.stdout == bytes(range(256))[::-1]
    assert b"e" in done.stderr


def test_arguments_pass_in_full_unicode(interpreter: BuiltBundle) -> None:
    words = ["plain", "with space", 'quo"te', "back\\slash\\", "", "ünïcödé", "日本語", "🧅", "*", "%PATH%"]
    code = "import sys,json; sys.stdout.buffer.write(json.dumps(sys.argv[1:]).encode())"
    import json

    assert json.loads(interpreter.output("-c", code, *words, python=True)) == words


def test_the_running_bundle_writes_nothing_into_itself(interpreter: BuiltBundle, tmp_path: Path) -> None:
    before = content_digest(interpreter.folder)
    interpreter.output("-D", tmp_path / "data", "--offline", "--testnet", "version")
    interpreter.output("-c", "import json, email.mime.text, http.server, electrum", python=True)
    assert content_digest(interpreter.folder) == before


def test_the_bundle_runs_where_it_may_write_and_still_does_not(interpreter: BuiltBundle, tmp_path: Path) -> None:
    import shutil

    from tests.integration.conftest import packager

    # Started by python through its own path on Z:, the copy is writable for the program.
    copy = tmp_path / "Ordner mit Leerzeichen und ü" / interpreter.folder.name
    shutil.copytree(interpreter.folder, copy)
    before = content_digest(copy)
    windows = "Z:" + str(copy / "electrum.exe").replace("/", "\\")
    code = f"import subprocess,sys; sys.exit(subprocess.run([{windows!r}, '--offline', 'version']).returncode)"
    done = packager("run", "--python", interpreter.folder, "--", "-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().strip() == "4.3.4"
    assert content_digest(copy) == before


def test_a_socket_and_tls_work(interpreter: BuiltBundle) -> None:
    code = """
import asyncio, ssl
async def main():
    async def echo(r, w):
        w.write(await r.readline()); await w.drain(); w.close()
    server = await asyncio.start_server(echo, '127.0.0.1', 0)
    r, w = await asyncio.open_connection('127.0.0.1', server.sockets[0].getsockname()[1])
    w.write(b'hello\\n'); print((await r.readline()).decode().strip()); w.close()
asyncio.run(main())
ssl.create_default_context()
"""
    assert interpreter.output("-c", code, python=True) == "hello\n"
