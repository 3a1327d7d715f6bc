# Runs under Wine, on the interpreter under test: nothing of this repository can be imported here.
"""What Wine does and Windows does not, each shown with the function itself and little of CPython around it (ctypes, _overlapped).

``python -m probes - FOLDER RESULTS ...``, in place of inside.py, works in FOLDER and writes one JSON object to RESULTS: for each
probe, by name, whether Wine does here what expected.toml says of it (``why`` names the probe). One that has become false says that this Wine is another, and its tests may pass.
"""

from __future__ import annotations

import importlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

ctypes: Any = importlib.import_module("ctypes")
overlapped: Any = importlib.import_module("_overlapped")
ERROR_SUCCESS, ERROR_NOT_SUPPORTED = 0, 50
OPEN_EXISTING, BACKUP_SEMANTICS = 3, 0x02000000
PROBES: dict[str, Callable[[], bool]] = {}


def probe(function: Callable[[], bool]) -> Callable[[], bool]:
    """Register a probe under its function's name."""
    PROBES[function.__name__] = function
    return function


def dll(name: str) -> Any:
    """A DLL whose functions take what they are given and leave the last error for ctypes.get_last_error()."""
    return ctypes.WinDLL(name, use_last_error=True)


def handle(value: int) -> Any:
    """A HANDLE for a call: ctypes would pass an int as 32 bits."""
    return ctypes.c_void_p(value)


def opened(path: str, access: int, flags: int = BACKUP_SEMANTICS) -> Any:
    """CreateFileW() of something that is there."""
    create = dll("kernel32").CreateFileW
    create.restype = ctypes.c_void_p
    return handle(create(path, access, 7, None, OPEN_EXISTING, flags, None))


def completion_port() -> Any:
    """A new I/O completion port."""
    return overlapped.CreateIoCompletionPort(overlapped.INVALID_HANDLE_VALUE, 0, 0, 1)


@probe
def first_pipe_instance_is_not_minded() -> bool:
    """CreateNamedPipeW() with FILE_FLAG_FIRST_PIPE_INSTANCE makes a second instance of a pipe."""
    create = dll("kernel32").CreateNamedPipeW
    create.restype = ctypes.c_void_p
    handles = [create(r"\\.\pipe\probe", 3 | 0x80000, 0, 255, 512, 512, 0, None) for _ in range(2)]
    found = bool(handles[1] != ctypes.c_void_p(-1).value)
    for value in handles:
        dll("kernel32").CloseHandle(handle(value))
    return found


@probe
def a_drive_is_given_in_full_with_a_backslash() -> bool:
    """GetFullPathNameW("C:") is the working folder with a backslash at its end."""
    text = ctypes.create_unicode_buffer(1024)
    dll("kernel32").GetFullPathNameW(os.getcwd()[:2], 1024, text, None)
    return len(text.value) > 3 and text.value.endswith("\\")


@probe
def icacls_says_nothing() -> bool:
    """icacls.exe prints nothing (programs/icacls: a stub)."""
    return subprocess.run(["icacls.exe", "."], capture_output=True, check=False).stdout.strip() == b""


@probe
def fsutil_knows_no_volumes() -> bool:
    """``fsutil volume list`` fails (programs/fsutil has hardlink and behavior only)."""
    return subprocess.run(["fsutil.exe", "volume", "list"], capture_output=True, check=False).returncode != 0


@probe
def commit_leaves_errno() -> bool:
    """_commit() of a file descriptor that is not open does not set errno (dlls/msvcrt/file.c)."""
    ucrt = ctypes.CDLL("ucrtbase.dll", use_errno=True)
    ctypes.set_errno(0)
    return bool(ucrt._commit(99) == -1) and ctypes.get_errno() == 0


@probe
def a_certificate_store_needs_no_name() -> bool:
    """CertOpenStore() of a system store called "" succeeds (CRYPT_SysRegOpenStoreW() in dlls/crypt32/store.c)."""
    open_store = dll("crypt32").CertOpenStore
    open_store.restype = ctypes.c_void_p
    # CERT_STORE_PROV_SYSTEM_W; CERT_STORE_READONLY_FLAG and CERT_SYSTEM_STORE_CURRENT_USER
    return bool(open_store(ctypes.c_void_p(10), 0, None, 0x8000 | 0x10000, ""))


@probe
def pipes_have_no_position() -> bool:
    """SetFilePointerEx() fails on a named pipe."""
    kernel32 = dll("kernel32")
    kernel32.CreateNamedPipeW.restype = ctypes.c_void_p
    pipe = handle(kernel32.CreateNamedPipeW(r"\\.\pipe\probe-position", 3, 0, 1, 512, 512, 0, None))
    moved = kernel32.SetFilePointerEx(pipe, ctypes.c_int64(0), None, 1)
    kernel32.CloseHandle(pipe)
    return not moved


@probe
def a_socket_takes_more_than_fits() -> bool:
    """send() on a non-blocking socket whose peer reads nothing takes 2 MB and more (sock_send() in dlls/ntdll/unix/socket.c)."""
    one, other = socket.socketpair()
    with one, other:
        one.setblocking(False)
        try:
            for _ in range(40):
                one.send(b"x" * 65536)
        except BlockingIOError:
            return False
    return True


@probe
def a_full_pipe_is_no_full_disk() -> bool:
    """_write() to a non-blocking pipe that is full does not say ENOSPC, as UCRT's does of a write of nothing."""
    ucrt = ctypes.CDLL("ucrtbase.dll", use_errno=True)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    for _ in range(1000):
        ctypes.set_errno(0)
        if ucrt._write(writer, b"x" * 1024, 1024) < 1024:
            break
    error = ctypes.get_errno()
    os.close(reader)
    os.close(writer)
    return bool(error != 28)


@probe
def the_final_path_of_a_long_one_is_not_told() -> bool:
    """GetFinalPathNameByHandleW() of more than 260 characters is ERROR_MORE_DATA (dlls/kernelbase/file.c: MAX_PATH)."""
    path, kernel32 = "\\\\?\\" + os.path.join(os.getcwd(), *["folder"] * 50), dll("kernel32")
    os.makedirs(path)
    opening = opened(path, 0)
    text = ctypes.create_unicode_buffer(2048)
    length = kernel32.GetFinalPathNameByHandleW(opening, text, 2048, 0)
    error = ctypes.get_last_error()
    kernel32.CloseHandle(opening)
    return bool(length == 0 and error == 234)


@probe
def a_product_loses_its_sign() -> bool:
    """fma(1e-300, -1e-300, 0.0) is 0.0 and not -0.0 (libs/musl/src/math/fma.c)."""
    ucrt = ctypes.CDLL("ucrtbase.dll")
    ucrt.fma.restype, ucrt.fma.argtypes = ctypes.c_double, [ctypes.c_double] * 3
    return str(ucrt.fma(1e-300, -1e-300, 0.0)) == "0.0"


@probe
def a_share_keeps_its_dots() -> bool:
    """GetFullPathNameW() leaves "//spam//eggs. . ." as it is; Windows gives "\\\\spam\\eggs"."""
    text = ctypes.create_unicode_buffer(1024)
    dll("kernel32").GetFullPathNameW("//spam//eggs. . .", 1024, text, None)
    return str(text.value).endswith("eggs. . .")


@probe
def folders_are_never_read_only() -> bool:
    """SetFileAttributesW() with FILE_ATTRIBUTE_READONLY does nothing to a folder."""
    os.mkdir("probe-folder")
    kernel32 = dll("kernel32")
    return bool(kernel32.SetFileAttributesW("probe-folder", 1)) and not kernel32.GetFileAttributesW("probe-folder") & 1


@probe
def short_names_are_hashes() -> bool:
    """GetShortPathNameW() of a long name is no PROGRA~1."""
    text = ctypes.create_unicode_buffer(1024)
    dll("kernel32").GetShortPathNameW(os.environ["PROGRAMFILES"], text, 1024)
    return not text.value.upper().endswith("PROGRA~1")


@probe
def truncating_what_is_not_open_leaves_errno() -> bool:
    """_chsize_s() of a file descriptor that is not open does not say EBADF (dlls/msvcrt/file.c)."""
    ucrt = ctypes.CDLL("ucrtbase.dll", use_errno=True)
    ctypes.set_errno(0)
    return bool(ucrt._chsize_s(99, ctypes.c_int64(0)) != 9)


@probe
def links_to_folders_are_not_supported() -> bool:
    """FSCTL_SET_REPARSE_POINT is not supported (dlls/ntdll/unix/file.c): there are no junctions."""
    os.mkdir("probe-junction")
    opening, done = opened("probe-junction", 0x40000000, BACKUP_SEMANTICS | 0x00200000), ctypes.c_ulong()
    kernel32 = dll("kernel32")
    made = kernel32.DeviceIoControl(opening, 0x900A4, b"\0" * 64, 64, None, 0, ctypes.byref(done), None)
    error = ctypes.get_last_error()
    kernel32.CloseHandle(opening)
    return not made and error == ERROR_NOT_SUPPORTED


@probe
def the_performance_key_has_no_values() -> bool:
    """RegEnumValueW() of HKEY_PERFORMANCE_DATA fails with ERROR_INVALID_HANDLE (dlls/kernelbase/registry.c)."""
    name, size = ctypes.create_unicode_buffer(256), ctypes.c_ulong(256)
    return bool(
        dll("advapi32").RegEnumValueW(handle(0xFFFFFFFF80000004), 0, name, ctypes.byref(size), None, None, None, None)
        == 6
    )


@probe
def registry_reflection_is_a_stub() -> bool:
    """RegQueryReflectionKey() says ERROR_CALL_NOT_IMPLEMENTED (dlls/advapi32/registry.c)."""
    disabled = ctypes.c_int()
    return bool(dll("advapi32").RegQueryReflectionKey(handle(0xFFFFFFFF80000001), ctypes.byref(disabled)) == 120)


@probe
def a_refused_connection_is_refused_at_once() -> bool:
    """ConnectEx() to a port where nobody listens fails at once; Windows tries for two seconds first."""
    port = completion_port()
    with socket.socket() as client, socket.socket() as nobody:
        client.bind(("127.0.0.1", 0))
        nobody.bind(("127.0.0.1", 0))
        overlapped.CreateIoCompletionPort(client.fileno(), port, 0, 0)
        operation = overlapped.Overlapped(0)
        operation.ConnectEx(client.fileno(), nobody.getsockname())
        at_once = overlapped.GetQueuedCompletionStatus(port, 1500) is not None
    dll("kernel32").CloseHandle(handle(port))
    return at_once


@probe
def a_datagram_that_nobody_takes_is_not_said() -> bool:
    """WSARecvFrom() waits on when a datagram was sent from its socket to a port where nobody listens; Windows ends it."""
    port = completion_port()
    with socket.socket(type=socket.SOCK_DGRAM) as sender, socket.socket(type=socket.SOCK_DGRAM) as nobody:
        for item in (sender, nobody):
            item.bind(("127.0.0.1", 0))
        address = nobody.getsockname()
        nobody.close()
        overlapped.CreateIoCompletionPort(sender.fileno(), port, 0, 0)
        operation = overlapped.Overlapped(0)
        operation.WSARecvFrom(sender.fileno(), 100)
        sender.sendto(b"x", address)
        waits = overlapped.GetQueuedCompletionStatus(port, 1000) is None
        operation.cancel()
        overlapped.GetQueuedCompletionStatus(port, 10000)
    dll("kernel32").CloseHandle(handle(port))
    return waits


def main() -> None:
    """Run them all."""
    _, folder, path, *_ = sys.argv[1:]
    os.chdir(folder)
    found: dict[str, bool | str] = {}
    for name, function in PROBES.items():
        try:
            found[name] = function()
        except OSError as exc:
            found[name] = f"{type(exc).__name__}: {exc}"
    with open(path, "w", encoding="ascii") as file:
        json.dump(found, file)


if __name__ == "__main__":
    main()
