/* For each file named: the checksum that stands in its header, and the one that belongs there, by Windows' own imagehlp. */
#include <windows.h>
#include <imagehlp.h>
#include <stdio.h>

int wmain(int argc, wchar_t **argv)
{
    for (int i = 1; i < argc; i++) {
        DWORD stored = 0, right = 0;
        DWORD status = MapFileAndCheckSumW(argv[i], &stored, &right);
        printf("%lu %08lx %08lx\n", status, stored, right);
    }
    return 0;
}
