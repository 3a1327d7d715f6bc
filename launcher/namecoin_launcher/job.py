"""Windows' way to let a child process end with its parent, however that ends: a job object.

The daemon is put into a job whose only handle the supervisor holds, so that Windows ends it when the supervisor's
process ends. Nothing else is in there: neither the browser nor the watchdog has to break away from it. Where no job can
be had, and on other systems, the daemon's stdin does the same: it ends when that closes, unless it is stopped or hangs.
"""

from __future__ import annotations

import sys

if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    #: JOBOBJECTINFOCLASS, JOB_OBJECT_LIMIT_*, LOAD_LIBRARY_SEARCH_*, and rights to a process: winnt.h, libloaderapi.h.
    _EXTENDED_LIMIT_INFORMATION = 9
    _KILL_ON_JOB_CLOSE = 0x2000
    _SEARCH_SYSTEM32 = 0x0800
    _SET_QUOTA, _TERMINATE = 0x0100, 0x0001

    class _Basic(ctypes.Structure):
        _fields_ = (
            ("PerProcessUserTimeLimit", wintypes.LARGE_INTEGER),
            ("PerJobUserTimeLimit", wintypes.LARGE_INTEGER),
            ("LimitFlags", wintypes.DWORD),
            ("MinimumWorkingSetSize", ctypes.c_size_t),
            ("MaximumWorkingSetSize", ctypes.c_size_t),
            ("ActiveProcessLimit", wintypes.DWORD),
            ("Affinity", ctypes.c_size_t),
            ("PriorityClass", wintypes.DWORD),
            ("SchedulingClass", wintypes.DWORD),
        )

    class _Extended(ctypes.Structure):
        _fields_ = (
            ("BasicLimitInformation", _Basic),
            ("IoInfo", ctypes.c_ulonglong * 6),
            ("ProcessMemoryLimit", ctypes.c_size_t),
            ("JobMemoryLimit", ctypes.c_size_t),
            ("PeakProcessMemoryUsed", ctypes.c_size_t),
            ("PeakJobMemoryUsed", ctypes.c_size_t),
        )

    class Job:
        """A job whose processes end with this process, at the latest."""

        def __init__(self) -> None:
            """Raises ``OSError``."""
            self._kernel32 = kernel32 = ctypes.WinDLL("kernel32", use_last_error=True, winmode=_SEARCH_SYSTEM32)
            kernel32.CreateJobObjectW.restype = wintypes.HANDLE
            kernel32.CreateJobObjectW.argtypes = (ctypes.c_void_p, wintypes.LPCWSTR)
            kernel32.SetInformationJobObject.argtypes = (
                wintypes.HANDLE,
                ctypes.c_int,
                ctypes.c_void_p,
                wintypes.DWORD,
            )
            kernel32.AssignProcessToJobObject.argtypes = (wintypes.HANDLE, wintypes.HANDLE)
            kernel32.OpenProcess.restype = wintypes.HANDLE
            kernel32.OpenProcess.argtypes = (wintypes.DWORD, wintypes.BOOL, wintypes.DWORD)
            kernel32.CloseHandle.argtypes = (wintypes.HANDLE,)
            self._handle = self._checked(kernel32.CreateJobObjectW(None, None))
            limits = _Extended()
            limits.BasicLimitInformation.LimitFlags = _KILL_ON_JOB_CLOSE
            size = ctypes.sizeof(limits)
            self._checked(
                kernel32.SetInformationJobObject(self._handle, _EXTENDED_LIMIT_INFORMATION, ctypes.byref(limits), size)
            )

        def add(self, pid: int) -> None:
            """Put a child process into it, which must not have ended and been waited for. Raises ``OSError``."""
            process = self._checked(self._kernel32.OpenProcess(_SET_QUOTA | _TERMINATE, False, pid))
            try:
                self._checked(self._kernel32.AssignProcessToJobObject(self._handle, process))
            finally:
                self._kernel32.CloseHandle(process)

        def _checked(self, result: int | None) -> int:
            if not result:
                raise ctypes.WinError(ctypes.get_last_error())
            return result

else:

    class Job:
        """Nothing: here the daemon ends with its stdin."""

        def add(self, pid: int) -> None:
            """Do nothing."""
