/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The part of delayed imports that runs: called by the code of load_rules.py when a function is called first.
 *
 * mingw-w64's helper, like that of Visual C++, calls LoadLibrary, which looks into the program's folder before System32.
 */
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

extern IMAGE_DOS_HEADER __ImageBase;

FARPROC delayed_function(const IMAGE_DELAYLOAD_DESCRIPTOR *dll, FARPROC *address);

/* As Visual C++'s helper does, so that debuggers and Windows' error reports know what it means: facility 0x6D. */
static void fail(DWORD error, const char *name)
{
    ULONG_PTR arguments[] = {(ULONG_PTR)name};
    RaiseException(0xC06D0000 | error, EXCEPTION_NONCONTINUABLE, 1, arguments);
}

/* The function that belongs at `address`, one of the table that `dll` describes, which is set to it. Several threads may
 * do the same at a time: all come to the same end. The thread's last error stays what it was. */
FARPROC delayed_function(const IMAGE_DELAYLOAD_DESCRIPTOR *dll, FARPROC *address)
{
    DWORD last = GetLastError();
    char *image = (char *)&__ImageBase;
    const char *name = image + dll->DllNameRVA;
    HMODULE *handle = (HMODULE *)(image + dll->ModuleHandleRVA);
    const FARPROC *addresses = (const FARPROC *)(image + dll->ImportAddressTableRVA);
    const IMAGE_THUNK_DATA *names = (const IMAGE_THUNK_DATA *)(image + dll->ImportNameTableRVA);
    const IMAGE_IMPORT_BY_NAME *wanted =
        (const IMAGE_IMPORT_BY_NAME *)(image + names[address - addresses].u1.AddressOfData);

    /* What the DLL imports in turn is looked for in the same place. */
    HMODULE module = LoadLibraryExA(name, NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    if (module == NULL)
        fail(ERROR_MOD_NOT_FOUND, name);
    FARPROC function = GetProcAddress(module, wanted->Name);
    if (function == NULL)
        fail(ERROR_PROC_NOT_FOUND, wanted->Name);
    InterlockedExchangePointer((void **)handle, (void *)module);
    InterlockedExchangePointer((void **)address, (void *)function);
    SetLastError(last);
    return function;
}
