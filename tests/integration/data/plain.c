/* Imports DLLs that are no KnownDLLs as any linker does, and calls a function of those that its arguments name. */
#define WIN32_LEAN_AND_MEAN
#include <winsock2.h>
#include <windows.h>
#include <bcrypt.h>
#include <iphlpapi.h>
#include <mmsystem.h>
#include <propvarutil.h>
#include <wincrypt.h>
#include <stdio.h>
#include <string.h>

/* Says what ends the program; a debugger that would is not waited for. */
static LONG WINAPI told(EXCEPTION_POINTERS *thrown)
{
    printf("exception 0x%08lx\n", thrown->ExceptionRecord->ExceptionCode);
    fflush(stdout);
    TerminateProcess(GetCurrentProcess(), 3);
    return EXCEPTION_EXECUTE_HANDLER;
}

int main(int argc, char **argv)
{
    SetUnhandledExceptionFilter(told);
    for (int i = 1; i < argc; i++) {
        DWORD value = 0;
        WCHAR text[64];
        VARIANT none;
        memset(&none, 0, sizeof none);
        if (strcmp(argv[i], "bcrypt") == 0)
            value = BCryptGenRandom(NULL, (PUCHAR)&value, sizeof value, BCRYPT_USE_SYSTEM_PREFERRED_RNG) == 0;
        else if (strcmp(argv[i], "crypt32") == 0)
            value = CertOpenStore(CERT_STORE_PROV_MEMORY, 0, 0, 0, NULL) != NULL;
        else if (strcmp(argv[i], "iphlpapi") == 0)
            value = if_nametoindex("no such interface") == 0;
        else if (strcmp(argv[i], "propsys") == 0)
            /* What comes out of it depends on Windows or Wine. */
            value = VariantToString(&none, text, 64) != E_OUTOFMEMORY;
        else if (strcmp(argv[i], "version") == 0)
            value = GetFileVersionInfoSizeW(L"C:\\windows\\system32\\kernel32.dll", NULL) > 0;
        else if (strcmp(argv[i], "winmm") == 0)
            value = PlaySoundW(NULL, NULL, 0);
        printf("%s %lu\n", argv[i], value);
    }
    fflush(stdout);
    return 0;
}
