/* Stands for python313.dll in the tests of the stub: says where it and two DLLs came from, and its arguments. */
#include <windows.h>
#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>

static void say(const wchar_t *text)
{
    static char bytes[100000];
    int size = WideCharToMultiByte(CP_UTF8, 0, text, -1, bytes, sizeof bytes, NULL, NULL);
    fwrite(bytes, 1, (size_t)(size - 1), stdout);
    fputc('\n', stdout);
}

static void say_path(const wchar_t *module)
{
    static wchar_t path[33000];
    GetModuleFileNameW(GetModuleHandleW(module), path, 33000);
    say(path);
}

__declspec(dllexport) int __cdecl Py_Main(int argc, wchar_t **argv)
{
    DWORD unused;
    const wchar_t *code = _wgetenv(L"FAKE_EXIT");
    _setmode(1, _O_BINARY);
    GetFileVersionInfoSizeW(L"nothing", &unused); /* so that version.dll is imported, as the real one does */
    say_path(L"python313.dll");
    say_path(L"version.dll");
    say_path(L"ucrtbase.dll");
    for (int i = 0; i < argc; i++)
        say(argv[i]);
    if (argv[argc] != NULL)
        say(L"argv does not end with NULL");
    fflush(stdout);
    return code ? _wtoi(code) : 0;
}
