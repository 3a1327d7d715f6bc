/* A bundle's program: electrum.exe, or its windowless twin.
 *
 * It loads the interpreter that lies in python\ beside it, by absolute path, and lets it run one module of the bundle.
 * Nothing is ever searched for in PATH or in the current folder, by this program or by the loader on its behalf, and
 * no PYTHON* variable counts. The names are in config.h, which packager/stubs.py writes; see README.md.
 */
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

#include "config.h"

#define WIDEN_(text) L##text
#define WIDEN(text) WIDEN_(text)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The exit code when the interpreter cannot be started, as the py launcher's (PC/launcher2.c, RC_NO_PYTHON). */
enum { CANNOT_START = 103 };

/* A path has at most 32767 characters (naming-a-file in Microsoft's documentation), plus a prefix of ours. */
enum { LONGEST_PATH = 32767 + 16 };

/* sys.argv becomes [this program, argument...], and the module is __main__ with its own name in __spec__, which
 * multiprocessing needs. That is what `python -m` does too, but for argv[0], which would be the .pyc. */
static const wchar_t RUN[] = L"import sys, runpy; del sys.argv[0]; runpy._run_module_as_main('" WIDEN(STUB_MODULE) L"', False)";

typedef int(__cdecl *python_main)(int argc, wchar_t **argv);

/* The C run-time must leave * and ? in arguments alone. */
int _dowildcard = 0;

/* Tells the user why the program cannot start: on stderr, and in a window where there is no console. */
static void tell(const wchar_t *text)
{
#ifdef STUB_WINDOWLESS
    HMODULE user = LoadLibraryExW(L"user32.dll", NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    if (user != NULL) {
        typedef int(WINAPI * message_box)(HWND, LPCWSTR, LPCWSTR, UINT);
        message_box show = (message_box)(void (*)(void))GetProcAddress(user, "MessageBoxW");
        if (show != NULL)
            show(NULL, text, WIDEN(STUB_NAME), MB_OK | MB_ICONERROR | MB_SETFOREGROUND);
    }
#endif
    HANDLE err = GetStdHandle(STD_ERROR_HANDLE);
    DWORD mode, written;
    if (err == NULL || err == INVALID_HANDLE_VALUE)
        return;
    if (GetConsoleMode(err, &mode)) {
        WriteConsoleW(err, text, (DWORD)wcslen(text), &written, NULL);
        return;
    }
    int size = WideCharToMultiByte(CP_UTF8, 0, text, -1, NULL, 0, NULL, NULL);
    char *bytes = size > 0 ? malloc((size_t)size) : NULL;
    if (bytes != NULL && WideCharToMultiByte(CP_UTF8, 0, text, -1, bytes, size, NULL, NULL) > 0)
        WriteFile(err, bytes, (DWORD)(size - 1), &written, NULL);
    free(bytes);
}

static int fail(const wchar_t *format, ...)
{
    static wchar_t text[LONGEST_PATH + 1024];
    int start = swprintf(text, COUNT(text), L"%ls: ", WIDEN(STUB_NAME));
    va_list arguments;
    va_start(arguments, format);
    /* Leaves the text cut off, but terminated, should it ever not fit. */
    vswprintf(text + start, COUNT(text) - (size_t)start - 1, format, arguments);
    va_end(arguments);
    text[COUNT(text) - 2] = L'\0';
    wcscat(text, L"\n");
    tell(text);
    return CANNOT_START;
}

/* Cuts the last component off a path; FALSE if there is none. */
static BOOL to_parent(wchar_t *path)
{
    wchar_t *end = wcsrchr(path, L'\\');
    if (end == NULL)
        return FALSE;
    *end = L'\0';
    return TRUE;
}

static BOOL is_file(const wchar_t *path)
{
    DWORD attributes = GetFileAttributesW(path);
    return attributes != INVALID_FILE_ATTRIBUTES && !(attributes & FILE_ATTRIBUTE_DIRECTORY);
}

/* Puts the prefix in front that lifts the limit of 260 characters, where it is needed: whether long paths work without
 * it depends on a setting of the machine. Room for LONGEST_PATH is expected. */
static void lift_limit(wchar_t *path)
{
    size_t length = wcslen(path);
    BOOL unc = path[0] == L'\\' && path[1] == L'\\';
    const wchar_t *prefix = unc ? L"\\\\?\\UNC" : L"\\\\?\\";
    size_t drop = unc ? 1 : 0;
    /* 64 leaves room for the names that are put behind it. */
    if (length < MAX_PATH - 64 || wcsncmp(path, L"\\\\?\\", 4) == 0)
        return;
    memmove(path + wcslen(prefix), path + drop, (length - drop + 1) * sizeof(wchar_t));
    memcpy(path, prefix, wcslen(prefix) * sizeof(wchar_t));
}

/* The folder that a file really lies in, links followed; FALSE if that cannot be told. */
static BOOL real_folder(const wchar_t *file, wchar_t *folder)
{
    HANDLE handle = CreateFileW(file, 0, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, OPEN_EXISTING, 0, NULL);
    if (handle == INVALID_HANDLE_VALUE)
        return FALSE;
    DWORD length = GetFinalPathNameByHandleW(handle, folder, LONGEST_PATH, FILE_NAME_NORMALIZED | VOLUME_NAME_DOS);
    CloseHandle(handle);
    if (length == 0 || length >= LONGEST_PATH || !to_parent(folder))
        return FALSE;
    /* The answer always has the prefix. Python shows the path to users, so leave it off where it is not needed. */
    if (length < MAX_PATH - 64) {
        if (wcsncmp(folder, L"\\\\?\\UNC\\", 8) == 0)
            memmove(folder + 1, folder + 7, (wcslen(folder + 7) + 1) * sizeof(wchar_t));
        else if (wcsncmp(folder, L"\\\\?\\", 4) == 0)
            memmove(folder, folder + 4, (wcslen(folder + 4) + 1) * sizeof(wchar_t));
    }
    return TRUE;
}

/* The machine type in a PE file's header, or -1 if it is not one. */
static int machine_of(const wchar_t *path)
{
    unsigned char head[4096];
    DWORD got = 0;
    HANDLE file = CreateFileW(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_DELETE, NULL, OPEN_EXISTING, 0, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return -1;
    if (!ReadFile(file, head, sizeof head, &got, NULL))
        got = 0;
    CloseHandle(file);
    if (got < 64 || head[0] != 'M' || head[1] != 'Z')
        return -1;
    DWORD offset = head[60] | (DWORD)head[61] << 8 | (DWORD)head[62] << 16 | (DWORD)head[63] << 24;
    if (offset > got - 6 || memcmp(head + offset, "PE\0\0", 4) != 0)
        return -1;
    return head[offset + 4] | head[offset + 5] << 8;
}

#if defined(_M_X64) || defined(__x86_64__)
#define OWN_MACHINE IMAGE_FILE_MACHINE_AMD64
#elif defined(_M_ARM64) || defined(__aarch64__)
#define OWN_MACHINE IMAGE_FILE_MACHINE_ARM64
#else
#define OWN_MACHINE IMAGE_FILE_MACHINE_I386
#endif

static int explain(const wchar_t *dll, DWORD error)
{
    int machine = machine_of(dll);
    if (machine < 0)
        return fail(L"%ls: expected a DLL, found something else; unpack the program again", dll);
    if (machine != OWN_MACHINE)
        return fail(L"%ls: expected a DLL for machine %04x, found one for %04x; unpack the program again", dll, OWN_MACHINE, machine);
    if (error == ERROR_BAD_EXE_FORMAT)
        return fail(L"%ls: expected a whole DLL, found a damaged one; unpack the program again", dll);
    return fail(L"%ls: cannot be loaded, Windows error %lu; Windows 10 or later is needed", dll, error);
}

int wmain(int argc, wchar_t **argv)
{
    static wchar_t program[LONGEST_PATH], folder[LONGEST_PATH], dll[LONGEST_PATH], python[LONGEST_PATH], pth[LONGEST_PATH];

    /* From here on the loader looks nowhere but in System32, for this program and for what python313.dll imports. */
    if (!SetDefaultDllDirectories(LOAD_LIBRARY_SEARCH_SYSTEM32) || !SetDllDirectoryW(L""))
        return fail(L"the DLL search path cannot be restricted, Windows error %lu", GetLastError());

    DWORD length = GetModuleFileNameW(NULL, program, LONGEST_PATH - 16);
    if (length == 0 || length >= LONGEST_PATH - 16)
        return fail(L"the program's own path cannot be told, Windows error %lu", GetLastError());
    wcscpy(folder, program);
    if (!to_parent(folder))
        return fail(L"%ls: expected an absolute path", program);
    lift_limit(folder);
    swprintf(dll, COUNT(dll), L"%ls\\python\\" WIDEN(STUB_PYTHON) L".dll", folder);
    /* Started through a link to this file from some other folder? Then look where it really lies. */
    if (!is_file(dll) && real_folder(program, folder))
        swprintf(dll, COUNT(dll), L"%ls\\python\\" WIDEN(STUB_PYTHON) L".dll", folder);
    swprintf(pth, COUNT(pth), L"%ls\\python\\" WIDEN(STUB_PYTHON) L"._pth", folder);
    swprintf(python, COUNT(python), L"%ls\\python\\python%ls.exe", folder,
#ifdef STUB_WINDOWLESS
             L"w"
#else
             L""
#endif
    );
    if (!is_file(dll))
        return fail(L"%ls: expected the bundled Python, found no such file; unpack the program again", dll);
    /* Without this file the interpreter would look in the registry and in the environment for its library. */
    if (!is_file(pth))
        return fail(L"%ls: expected the bundled Python's path file, found no such file; unpack the program again", pth);

    HMODULE library = LoadLibraryExW(dll, NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    if (library == NULL)
        return explain(dll, GetLastError());
    python_main run = (python_main)(void (*)(void))GetProcAddress(library, "Py_Main");
    if (run == NULL)
        return fail(L"%ls: expected Python, found a DLL without Py_Main; unpack the program again", dll);

    /* argv[0] is what sys.executable becomes: the plain interpreter, for subprocesses to be started with. -I: no
     * environment, no user site; -B: write no .pyc; -X utf8: the same encodings on every Windows. */
    wchar_t *head[] = {python, L"-I", L"-B", L"-X", L"utf8", L"-c", (wchar_t *)RUN, program};
    size_t rest = argc > 1 ? (size_t)argc - 1 : 0;
    wchar_t **line = calloc(COUNT(head) + rest + 1, sizeof *line);
    if (line == NULL)
        return fail(L"out of memory");
    memcpy(line, head, sizeof head);
    if (rest > 0)
        memcpy(line + COUNT(head), argv + 1, rest * sizeof *line);
    return run((int)(COUNT(head) + rest), line);
}
