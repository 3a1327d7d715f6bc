/* A bundle's program on Linux: what stub.c is on Windows.
 *
 * It becomes the interpreter that lies in python/ beside it, by absolute path, which runs one module of the bundle.
 * Nothing is searched for in PATH or in the current folder, no shell is needed, and no PYTHON* variable counts. The
 * names are in config.h, which packager/stubs.py writes; see README.md.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "config.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The exit code when the interpreter cannot be started, as on Windows. */
enum { CANNOT_START = 103 };

/* See stub.c. */
static const char RUN[] = "import sys, runpy; del sys.argv[0]; runpy._run_module_as_main('" STUB_MODULE "', False)";

__attribute__((format(printf, 1, 2))) static int fail(const char *format, ...)
{
    fputs(STUB_NAME ": ", stderr);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return CANNOT_START;
}

/* The file of this program, links resolved: asked of the kernel, because argv[0] may say anything. */
static int own_path(char path[static PATH_MAX + 1])
{
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX);
    if (length > 0 && path[0] == '/') {
        path[length] = '\0';
        return 1;
    }
    /* No /proc, as in some sandboxes. */
    const char *started = (const char *)getauxval(AT_EXECFN);
    return started != NULL && realpath(started, path) != NULL;
}

int main(int argc, char **argv)
{
    static char program[PATH_MAX + 1], python[PATH_MAX + 32], list[PATH_MAX + 64];

    if (!own_path(program))
        return fail("the program's own path cannot be told: %s", strerror(errno));
    char *slash = strrchr(program, '/');
    snprintf(python, sizeof python, "%.*s/python/%s", (int)(slash - program), program, STUB_PYTHON);
    snprintf(list, sizeof list, "%s._pth", python);
    if (access(python, F_OK) != 0)
        return fail("%s: expected the bundled Python, found no such file; unpack the program again", python);
    /* Without this file the interpreter would look in the environment for its library. */
    if (access(list, F_OK) != 0)
        return fail("%s: expected the bundled Python's path file, found no such file; unpack the program again", list);

    /* Started with an empty environment? Programs ask HOME where their user's files are, as the shell set it. */
    struct passwd *user;
    if (getenv("HOME") == NULL && (user = getpwuid(getuid())) != NULL && user->pw_dir[0] == '/')
        setenv("HOME", user->pw_dir, 0);

    /* argv[0] is what sys.orig_argv begins with: the plain interpreter. -I: no environment, no user site; -B: write no
     * .pyc; -X utf8: the same encodings in every locale. */
    char *head[] = {python, "-I", "-B", "-X", "utf8", "-c", (char *)RUN, program};
    size_t rest = argc > 1 ? (size_t)argc - 1 : 0;
    char **line = calloc(COUNT(head) + rest + 1, sizeof *line);
    if (line == NULL)
        return fail("out of memory");
    memcpy(line, head, sizeof head);
    if (rest > 0)
        memcpy(line + COUNT(head), argv + 1, rest * sizeof *line);
    execv(python, line);
    return fail("%s: cannot be started: %s; unpack the program again, on a file system that lets programs run", python, strerror(errno));
}
