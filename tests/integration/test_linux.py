"""The bundle for Linux: as it runs on this machine with nothing given to it, what it may not be led to, and its gate."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from packager import parts, pipeline, sandbox
from packager.audit import load_policy
from packager.formats.elf import MAGIC, Elf, read_elf
from packager.progress import Clock, Silent
from packager.specs.load import Project, load_bundle_lock, policy_path
from packager.store import Store
from packager.trees import content_digest
from tests.integration.conftest import ROOT, BuiltBundle, packager

SEED = "wild father tree among universe such mobile favorite target dynamic credit identify"
ADDRESS = "tb1q4794m2uuw9jmjszmplfj4wvvr5j272fpeq3tt2"
#: This machine as it is, but for the network and for the home folder, in which a program may leave what it likes.
ALONE = ("bwrap", "--dev-bind", "/", "/", "--unshare-net", "--tmpfs", str(Path.home()), "--")


def start(*command: str | Path, cwd: Path, **variables: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program of this machine with these variables and no others, without a network."""
    given = [f"{name}={value}" for name, value in variables.items()]
    return subprocess.run(
        [*ALONE, "env", "-i", *given, *map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=300
    )


def output(*command: str | Path, cwd: Path, **variables: str | Path) -> str:
    done = start(*command, cwd=cwd, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


@pytest.fixture
def copy(electrum_linux: BuiltBundle, tmp_path: Path) -> Path:
    """The bundle in a folder that it was not built in, with a name that not every program takes."""
    return Path(shutil.copytree(electrum_linux.folder, tmp_path / "Grüße, мир 'x' $y" / "b"))


@pytest.fixture(scope="session")
def plan() -> pipeline.Plan:
    return pipeline.make_plan(Project(ROOT), "electrum", pipeline.Options("linux-x86_64", 1, offline=True))


def test_it_runs_with_an_empty_environment(electrum_linux: BuiltBundle, empty: Path) -> None:
    before = content_digest(electrum_linux.folder)
    assert output(electrum_linux.folder / "electrum", "--offline", "version", cwd=empty) == "4.3.4\n"
    assert list(empty.iterdir()) == []
    assert content_digest(electrum_linux.folder) == before


def test_a_wallet_is_restored_and_has_the_addresses_that_it_must_have(
    electrum_linux: BuiltBundle, empty: Path, tmp_path: Path
) -> None:
    program, wallet = electrum_linux.folder / "electrum", ("--testnet", "--offline", "-D", str(tmp_path / "d"))
    output(program, *wallet, "restore", SEED, cwd=empty)
    assert json.loads(output(program, *wallet, "listaddresses", cwd=empty))[0] == ADDRESS


def test_it_runs_in_any_folder_and_through_links(copy: Path, empty: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(copy / "electrum")
    assert output(tmp_path / "link", "--offline", "version", cwd=empty) == "4.3.4\n"
    assert output("./electrum", "--offline", "version", cwd=copy) == "4.3.4\n"
    (tmp_path / "python").symlink_to(copy / "python/python3")
    told = "import sys; print(sys.executable, sys.prefix, *sys.path, sep='\\n')"
    shown = output("/bin/bash", "-c", 'exec -a python3 "$0" -c "$1"', tmp_path / "python", told, cwd=empty, PATH=empty)
    assert shown.splitlines() == [
        f"{copy}/python/python3", f"{copy}/python", f"{copy}/python/Lib", f"{copy}/app",
    ]  # fmt: skip


def test_nothing_around_it_changes_what_it_imports(copy: Path, empty: Path, tmp_path: Path) -> None:
    """Variables, the folder that it is started in, files above its own folder and a user's site: each would be loud."""
    evil = tmp_path / "evil"
    (evil / "lib/python3.13/site-packages").mkdir(parents=True)
    loud = "raise SystemExit('led astray')\n"
    for name in ("os", "sitecustomize", "usercustomize", "run_electrum", "runpy", "encodings"):
        (evil / f"{name}.py").write_text(loud)
        (empty / f"{name}.py").write_text(loud)
    (evil / "lib/python3.13/os.py").write_text(loud)
    for folder in (copy, copy.parent, copy / "python"):
        (folder / "pyvenv.cfg").write_text(f"home = {evil}\ninclude-system-site-packages = true\n")
        (folder / "pybuilddir.txt").write_text(str(evil))
    variables: dict[str, str | Path] = {
        "PYTHONPATH": evil, "PYTHONHOME": evil, "PYTHONSTARTUP": evil / "os.py", "PYTHONUSERBASE": evil,
        "PYTHONPLATLIBDIR": "lib", "PYTHONEXECUTABLE": evil, "PYTHONINSPECT": "1", "PYTHONVERBOSE": "1",
        "PYTHONPYCACHEPREFIX": evil, "PYTHONSAFEPATH": "", "PATH": evil, "HOME": evil, "LC_ALL": "de_DE.ISO-8859-1",
    }  # fmt: skip
    done = start(copy / "electrum", "--offline", "version", cwd=empty, **variables)
    assert (done.returncode, done.stdout, done.stderr) == (0, "4.3.4\n", "")
    told = "import json, sys; print(sys.path, sys.flags.isolated, sys.flags.no_site, json.__file__)"
    shown = output(copy / "python/python3", "-c", told, cwd=empty, **variables)
    assert shown == f"{[f'{copy}/python/Lib', f'{copy}/app']} 1 1 {copy}/python/Lib/json/__init__.pyc\n"


@pytest.mark.parametrize("missing", ["python3", "python3._pth"])
def test_a_bundle_that_is_not_whole_says_so(copy: Path, empty: Path, missing: str) -> None:
    (copy / "python" / missing).unlink()
    done = start(copy / "electrum", cwd=empty)
    assert (done.returncode, done.stdout) == (103, "")
    assert f"{copy}/python/{missing}: expected the bundled Python" in done.stderr


def test_what_the_interpreter_has(electrum_linux: BuiltBundle, plan: pipeline.Plan, empty: Path) -> None:
    """Modules with libraries of ours, authorities of the system and of certifi, subprocesses of its own kind."""
    code = """
import bz2, ctypes, hashlib, lzma, sqlite3, ssl, subprocess, sys, sysconfig, zlib
import certifi
from Cryptodome.Cipher import AES
from electrum import ecc_fast
assert bz2.decompress(bz2.compress(b'x')) == lzma.decompress(lzma.compress(b'x')) == b'x'
assert sqlite3.connect(':memory:').execute('select sqrt(16)').fetchone() == (4.0,)
assert ssl.get_default_verify_paths().openssl_capath == '/etc/ssl/certs'
assert len(ssl.create_default_context(cafile=certifi.where()).get_ca_certs()) > 50
assert hashlib.new('ripemd160').digest_size == 20
assert ecc_fast._libsecp256k1 is not None
assert ctypes.pythonapi.Py_IsInitialized() == 1
assert sysconfig.get_config_var('prefix') == sys.prefix
assert not [value for value in sysconfig.get_config_vars().values() if '/build' in str(value)]
again = subprocess.run([sys.executable, '-c', 'import sys; print(sys.prefix)'], capture_output=True, text=True)
assert again.stdout.strip() == sys.prefix
import multiprocessing
with multiprocessing.get_context('spawn').Pool(1) as pool:
    print(pool.map(abs, [-1, 2]), ssl.OPENSSL_VERSION.split()[1])
"""
    version = next(item.version for item in plan.components if item.name == "openssl")
    assert output(electrum_linux.folder / "python/python3", "-c", code, cwd=empty) == f"[1, 2] {version}\n"


def test_the_system_is_asked_for_glibc_and_nothing_else(electrum_linux: BuiltBundle) -> None:
    policy = load_policy(policy_path(Project(ROOT), "linux")).elf
    assert policy is not None
    found = dict(elf_files(electrum_linux.folder))
    assert {"electrum", "python/python3", "app/electrum/libsecp256k1.so.0"} <= set(found)
    needed = {name for image in found.values() for name in image.needed}
    assert needed == {library.name for library in policy.libraries}, "the policy lists what is needed, and no more"
    assert {path for path, image in found.items() if image.program} == {"electrum", "python/python3"}


def test_packager_run_gives_it_a_network_and_a_home_of_its_own(electrum_linux: BuiltBundle) -> None:
    assert electrum_linux.output("--offline", "version") == "4.3.4\n"
    code = """
import os, socket, sys
print([name for _, name in socket.if_nameindex()], os.listdir(os.environ['HOME']))
try:
    open(os.path.join(sys.prefix, 'x'), 'w')
except OSError as error:
    print(error.strerror)
sys.exit(7)
"""
    done = electrum_linux.run("-c", code, python=True)
    assert done.returncode == 7, done.stderr.decode()
    assert done.stdout.decode() == "['lo'] []\nRead-only file system\n"


def test_ctrl_c_reaches_the_program(copy: Path) -> None:
    """Its own way to end, and a folder with an equals sign."""
    folder = copy.with_name("a=b")
    copy.rename(folder)
    code = "import time\ntry:\n    print('ready', flush=True)\n    time.sleep(600)\nexcept KeyboardInterrupt:\n    print('ended')"
    command = [sys.executable, "-m", "packager", "run", "--python", str(folder), "--", "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True, env=environment, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        os.killpg(child.pid, signal.SIGINT)
        assert child.stdout.read() == "ended\n"
    assert child.returncode == 130


def test_what_goes_out_is_what_the_manifest_says(electrum_linux: BuiltBundle, copy: Path) -> None:
    archive = electrum_linux.folder.with_name(f"{electrum_linux.folder.name}.tar.zst")
    done = packager("verify", archive, electrum_linux.folder)
    assert done.returncode == 0, done.stderr.decode()
    assert packager("diff", electrum_linux.folder, copy).returncode == 0
    (copy / "electrum").chmod(0o644)
    manifest = electrum_linux.folder.with_name(f"{electrum_linux.folder.name}.manifest.json")
    changed = packager("verify", copy, "--manifest", manifest)
    assert changed.returncode == 1
    assert b"electrum" in changed.stdout + changed.stderr


def test_the_audit_passes_it_and_refuses_a_program_of_this_machine(electrum_linux: BuiltBundle, copy: Path) -> None:
    done = packager("audit", electrum_linux.folder)
    assert done.returncode == 0, done.stdout.decode()
    shutil.copy("/usr/bin/env", copy / "app" / "env")
    (copy / "app/x.exe").write_bytes(b"MZ" + bytes(58) + b"\x40\0\0\0PE\0\0" + bytes(300))
    refused = packager("audit", copy)
    assert refused.returncode == 1
    said = refused.stdout.decode()
    assert "app/env: elf-leftovers: has .note.gnu.build-id" in said
    assert "app/x.exe: native-code: is native code for another system (PE)" in said


FLAGS = {
    "sound": ("-pie", "", ""),
    "elf-position": ("-no-pie", "", "independent"),
    "elf-relro": ("-pie", "-Wl,-z,norelro", "relro"),
    "lazy": ("-pie", "-Wl,-z,lazy", "bind_now"),
    "elf-writable-code": ("-pie", "-Wl,-z,execstack", "executable_stack"),
    "both": ("-pie", "-DBOTH", "writable_code"),
    "elf-search-path": ("-pie", "-Wl,-rpath,/build/deps", "search"),
    "elf-leftovers": ("-pie", "-Wl,--build-id", "leftovers"),
}


def test_what_a_linker_does_is_seen(plan: pipeline.Plan, store: Path, tmp_path: Path) -> None:
    """Each flag changes that one fact about a small program, linked by the toolchain that links the bundle."""
    clock = Clock(Silent())
    root = parts.make_root(plan.root, Store.open(store, clock.reporter), clock, offline=True)
    both = '#ifdef BOTH\n__asm__(".pushsection .both, \\"awx\\", @progbits; .byte 0; .popsection");\n#endif\n'
    (tmp_path / "x.c").write_text(f'#include <stdio.h>\n{both}int main(void) {{ return puts("x"); }}\n')
    lines = [
        f"$TRIPLET-gcc $CFLAGS {'-fPIE' if kind == '-pie' else '-fno-pie'} {kind} x.c $LDFLAGS {flag} -o {name}"
        for name, (kind, flag, _) in FLAGS.items()
    ]
    box = sandbox.Sandbox(root, writable={sandbox.SRC: tmp_path}, env=plan.environment.variables())
    box.run(["bash", "-euc", "\n".join(lines)], what="linking", log=tmp_path / "log", reporter=clock.reporter)
    images = {name: read_elf((tmp_path / name).read_bytes()) for name in FLAGS}
    sound = images.pop("sound")
    assert sound is not None
    assert (sound.needed, sound.machine, sound.program) == (("libc.so.6",), "X86_64", True)
    for name, image in images.items():
        assert image is not None
        assert getattr(image, FLAGS[name][2]) != getattr(sound, FLAGS[name][2]), name


@pytest.mark.timeout(5400)  # everything is compiled again
def test_a_second_build_from_nothing_gives_the_same(electrum_linux: BuiltBundle, tmp_path: Path) -> None:
    """With a store that has the sources and nothing else."""
    done = packager(
        "--json", "verify", "electrum", "--rebuild", "--target", "linux-x86_64", "--work", tmp_path / "w", timeout=5300
    )
    assert done.returncode == 0, done.stderr.decode()
    (rebuilt,) = json.loads(done.stdout)["rebuilt"]
    first = {name: file["sha256"] for name, file in electrum_linux.document["files"].items()}
    assert rebuilt["same"]
    assert rebuilt["sums"] == first


def test_the_lock_has_both_targets(plan: pipeline.Plan, electrum_linux: BuiltBundle) -> None:
    assert set(load_bundle_lock(plan.project, plan.bundle).archives) == {"windows-x86_64", "linux-x86_64"}
    assert electrum_linux.document["lock"] == "match"


def elf_files(folder: Path) -> list[tuple[str, Elf]]:
    """The ELF files below a folder, by path."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        if data.startswith(MAGIC):
            image = read_elf(data)
            assert image is not None, path
            found.append((os.path.relpath(path, folder), image))
    return found
