/* A DLL to plant: says that it is loaded, and by which path. */
#include <windows.h>

BOOL WINAPI DllMain(HINSTANCE self, DWORD reason, LPVOID reserved)
{
    char text[1024] = "PLANTED ";
    DWORD written;
    (void)reserved;
    if (reason == DLL_PROCESS_ATTACH) {
        DWORD length = 8 + GetModuleFileNameA(self, text + 8, sizeof text - 9);
        text[length] = '\n';
        WriteFile(GetStdHandle(STD_OUTPUT_HANDLE), text, length + 1, &written, NULL);
    }
    return TRUE;
}
