/* A DLL that must never be loaded: it says so when it is. */
#include <windows.h>

__declspec(dllexport) int __cdecl Py_Main(int argc, wchar_t **argv)
{
    (void)argv;
    return 66 + argc;
}

__declspec(dllexport) DWORD WINAPI GetFileVersionInfoSizeW(LPCWSTR name, LPDWORD handle)
{
    (void)name;
    (void)handle;
    return 0;
}

BOOL WINAPI DllMain(HINSTANCE self, DWORD reason, LPVOID reserved)
{
    DWORD written;
    (void)self;
    (void)reserved;
    if (reason == DLL_PROCESS_ATTACH)
        WriteFile(GetStdHandle(STD_OUTPUT_HANDLE), "PLANTED\n", 8, &written, NULL);
    return TRUE;
}
