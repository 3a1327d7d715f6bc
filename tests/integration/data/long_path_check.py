"""Uses what a bundle's programs use, from wherever the bundle is, and prints as JSON what it found there.

As ``child`` it is what the first one starts. The argument is a folder to write to.
"""

from __future__ import annotations

import asyncio
import ctypes
import glob
import importlib
import json
import multiprocessing
import os
import shutil
import sqlite3
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

NAME = "long_path_check"


def square(number: int) -> int:
    return number * number


def child(*how: str) -> list[str]:
    return [sys.executable, "-I", "-B", "-X", "utf8", *how, "child", "ü 漢"]


async def asynchronous_child() -> Any:
    process = await asyncio.create_subprocess_exec(*child("-m", NAME), stdout=subprocess.PIPE)
    output, _ = await process.communicate()
    return json.loads(output)


def files(folder: str) -> list[Any]:
    """Write, read, list, move and remove below a folder, by the ways that programs do it."""
    below = Path(folder, "state ü", "y" * 60)
    below.mkdir(parents=True)
    Path(below, "text").write_text("written", "utf-8")
    os.replace(below / "text", below / "moved")
    shutil.copy(below / "moved", below / "copied")
    with sqlite3.connect(below / "database") as database:
        database.execute("create table t as select 42 as n")
    (number,) = database.execute("select n from t").fetchone()
    database.close()
    found = sorted(os.path.basename(name) for name in glob.glob(os.path.join(glob.escape(str(below)), "*")))
    assert found == sorted(os.listdir(below)) == sorted(entry.name for entry in os.scandir(below)), found
    assert (below / "copied").resolve().samefile(os.path.realpath(os.path.abspath(below / "copied")))
    text = (below / "copied").read_text("utf-8")
    shutil.rmtree(Path(folder, "state ü"))
    return [text, number, found, os.path.exists(below)]


def electrum() -> dict[str, Any]:
    """What Electrum loads from beside its own files: data, libsecp256k1, Cryptodome's modules."""
    nmc = Path(__file__).parent / "electrum_nmc"
    if nmc.is_dir():
        sys.path.insert(0, str(nmc))
    constants = importlib.import_module("electrum.constants")
    fast = importlib.import_module("electrum.ecc_fast")
    aes = importlib.import_module("Cryptodome.Cipher.AES")
    ssl.create_default_context(cafile=importlib.import_module("certifi").where())
    return {
        "servers": bool(constants.net.DEFAULT_SERVERS),
        "secp256k1": fast._libsecp256k1 is not None,
        "aes": aes.new(bytes(16), aes.MODE_ECB).encrypt(bytes(16)).hex(),
    }


def main() -> None:
    for name in ("bz2", "decimal", "hashlib", "lzma", "unicodedata", "winsound", "xml.etree.ElementTree", "zoneinfo"):
        importlib.import_module(name)
    started: list[Any] = []
    sys.addaudithook(lambda event, said: started.append(said[0]) if event == "subprocess.Popen" else None)
    told: dict[str, Any] = {
        "path": sys.path[:],
        "executable": [sys.executable, vars(sys)["_base_executable"]],
        "prefix": [sys.prefix, sys.exec_prefix, sys.base_prefix],
        "file": __file__,
        "ctypes": ctypes.pythonapi.Py_IsInitialized(),
        "files": files(sys.argv[1]),
        "electrum": electrum(),
        "module": json.loads(subprocess.run(child("-m", NAME), stdout=subprocess.PIPE, check=True).stdout),
        "script": json.loads(subprocess.run(child(__file__), stdout=subprocess.PIPE, check=True).stdout),
        "asynchronous": asyncio.run(asynchronous_child()),
        "started": started,
    }
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        told["spawned"] = pool.map(square, [7])
    loaded = {getattr(module, "__file__", None) for module in [*sys.modules.values()]}
    told["modules"] = sorted(name for name in loaded if name)
    sys.stdout.buffer.write(json.dumps(told).encode())


if __name__ == "__main__":
    if sys.argv[1] == "child":
        sys.stdout.buffer.write(json.dumps([sys.executable, sys.argv[2], __file__]).encode())
    else:
        main()
