/* The interpreter's program on Linux, in place of CPython's own.
 *
 * With a file <program>._pth beside it, it is a bundle's python: isolated before anything is read (no PYTHON* variable,
 * no user site, no current or script's folder), and with nothing on sys.path but the folders that the file names, which
 * are relative to it. Where the program lies is asked of the kernel, not of argv[0], PATH or a pyvenv.cfg, so it works in
 * every folder. Without that file it is CPython's general interpreter, which is how CPython's own build runs it.
 *
 * CPython's getpath knows ._pth files too, but finds the program through argv[0] and PATH, looks for pyvenv.cfg in and
 * above its folder, and isolates only after PYTHON* variables have been read.
 */

#include "Python.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

/* As the stubs: what a shell has no meaning for and Python does not end with by itself. */
#define FAILED 103

static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(FAILED);
}

static char *joined(const char *folder, size_t length, const char *separator, const char *name)
{
    char *path = malloc(length + strlen(separator) + strlen(name) + 1);
    if (path == NULL)
        fail("out of memory");
    memcpy(path, folder, length);
    strcpy(path + length, separator);
    strcat(path, name);
    return path;
}

/* The absolute path of this program's file, links resolved; NULL if the kernel does not tell. */
static char *own_path(void)
{
    static char path[PATH_MAX + 1];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length > 0 && path[0] == '/') {
        path[length] = '\0';
        return path;
    }
    const char *started = (const char *)getauxval(AT_EXECFN);
    return started == NULL ? NULL : realpath(started, path);
}

static void check(PyStatus status)
{
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);
}

static void set_text(PyConfig *config, wchar_t **field, const char *value)
{
    check(PyConfig_SetBytesString(config, field, value));
}

static int run_bundled(int argc, char **argv, const char *program, const char *list, FILE *file)
{
    const char *slash = strrchr(program, '/');
    size_t length = (size_t)(slash - program);
    char *folder = joined(program, length, "", "");

    PyPreConfig before;
    PyPreConfig_InitPythonConfig(&before);
    before.isolated = 1;
    before.use_environment = 0;
    check(Py_PreInitializeFromBytesArgs(&before, argc, argv));

    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    config.isolated = 1;
    config.use_environment = 0;
    config.user_site_directory = 0;
    config.site_import = 0;
    config.safe_path = 1;
    config.pathconfig_warnings = 0;
    check(PyConfig_SetBytesArgv(&config, argc, argv));
    set_text(&config, &config.program_name, program);
    set_text(&config, &config.executable, program);
    set_text(&config, &config.base_executable, program);
    set_text(&config, &config.home, folder);
    set_text(&config, &config.prefix, folder);
    set_text(&config, &config.base_prefix, folder);
    set_text(&config, &config.exec_prefix, folder);
    set_text(&config, &config.base_exec_prefix, folder);

    config.module_search_paths_set = 1;
    char line[1024];
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] == '\0')
            continue;
        size_t end = length;
        const char *rest = line;
        while (strncmp(rest, "../", 3) == 0) {
            rest += 3;
            while (end > 0 && program[--end] != '/')
                ;
        }
        char *path = joined(program, end, "/", rest);
        wchar_t *decoded = Py_DecodeLocale(path, NULL);
        if (decoded == NULL)
            fail("%s: cannot be read as text", path);
        check(PyWideStringList_Append(&config.module_search_paths, decoded));
        if (config.stdlib_dir == NULL)
            set_text(&config, &config.stdlib_dir, path);
        PyMem_RawFree(decoded);
        free(path);
    }
    if (ferror(file))
        fail("%s: expected the list of Python's folders, found that it cannot be read: %s", list, strerror(errno));
    fclose(file);

    check(Py_InitializeFromConfig(&config));
    PyConfig_Clear(&config);
    free(folder);
    return Py_RunMain();
}

int main(int argc, char **argv)
{
    const char *program = own_path();
    if (program == NULL)
        return Py_BytesMain(argc, argv);
    char *list = joined(program, strlen(program), "._", "pth");
    FILE *file = fopen(list, "re");
    if (file == NULL && errno == ENOENT)
        return Py_BytesMain(argc, argv);
    if (file == NULL)
        fail("%s: expected the list of Python's folders, found that it cannot be opened: %s", list, strerror(errno));
    return run_bundled(argc, argv, program, list, file);
}
