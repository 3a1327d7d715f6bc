/* A Windows program for the tests of `packager run`: does one thing that its first argument names. */
#include <winsock2.h>
#include <windows.h>
#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static BOOL WINAPI on_control(DWORD kind)
{
    if (kind == CTRL_C_EVENT) {
        puts("interrupted");
        fflush(stdout);
        ExitProcess(7);
    }
    return FALSE;
}

static struct sockaddr_in loopback(const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((u_short)atoi(port))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    _setmode(0, _O_BINARY);
    _setmode(1, _O_BINARY);
    if (strcmp(what, "echo") == 0) { /* stdin to stdout, byte by byte the same */
        char buffer[65536];
        size_t got;
        while ((got = fread(buffer, 1, sizeof buffer, stdin)) > 0)
            fwrite(buffer, 1, got, stdout);
        return 0;
    }
    if (strcmp(what, "exit") == 0) {
        fputs("out", stdout);
        fputs("err", stderr);
        return atoi(argv[2]);
    }
    if (strcmp(what, "args") == 0) { /* the arguments after the first, one a line */
        for (int i = 2; i < argc; i++)
            printf("%s\n", argv[i]);
        return 0;
    }
    if (strcmp(what, "write") == 0) { /* a file is made; exit code 5 where that is refused */
        FILE *file = fopen(argv[2], "wb");
        if (file == NULL)
            return 5;
        fputs("written", file);
        return fclose(file) == 0 ? 0 : 6;
    }
    if (strcmp(what, "getenv") == 0) {
        printf("%s", getenv(argv[2]) ? getenv(argv[2]) : "(unset)");
        return 0;
    }
    if (strcmp(what, "cwd") == 0) {
        char path[1024];
        GetCurrentDirectoryA(sizeof path, path);
        puts(path);
        return 0;
    }
    if (strcmp(what, "wait") == 0 || strcmp(what, "stubborn") == 0) { /* until Ctrl-C, or in spite of it */
        if (strcmp(what, "wait") == 0)
            SetConsoleCtrlHandler(on_control, TRUE);
        else
            SetConsoleCtrlHandler(NULL, TRUE);
        puts("ready");
        fflush(stdout);
        Sleep(600000);
        return 0;
    }
    if (strcmp(what, "spawn") == 0) { /* leaves a child behind */
        STARTUPINFOA info = {.cb = sizeof info};
        PROCESS_INFORMATION child;
        char self[MAX_PATH], line[MAX_PATH + 64];
        GetModuleFileNameA(NULL, self, sizeof self);
        snprintf(line, sizeof line, "\"%s\" wait", self);
        return CreateProcessA(NULL, line, NULL, NULL, FALSE, DETACHED_PROCESS, NULL, NULL, &info, &child) ? 0 : 1;
    }
    WSADATA data;
    WSAStartup(0x202, &data);
    SOCKET sock = socket(AF_INET, SOCK_STREAM, 0);
    if (strcmp(what, "serve") == 0) { /* answers one connection on 127.0.0.1 and ends */
        struct sockaddr_in address = loopback(argv[2]);
        if (bind(sock, (struct sockaddr *)&address, sizeof address) != 0 || listen(sock, 1) != 0)
            return 8;
        puts("ready");
        fflush(stdout);
        SOCKET peer = accept(sock, NULL, NULL);
        send(peer, "hello", 5, 0);
        shutdown(peer, SD_SEND);
        closesocket(peer);
        return 0;
    }
    if (strcmp(what, "connect") == 0) { /* prints what such a server says; exit code 9 where nobody answers */
        struct sockaddr_in address = loopback(argv[2]);
        char buffer[64];
        if (connect(sock, (struct sockaddr *)&address, sizeof address) != 0)
            return 9;
        int got = recv(sock, buffer, sizeof buffer, 0);
        fwrite(buffer, 1, got > 0 ? (size_t)got : 0, stdout);
        return 0;
    }
    fprintf(stderr, "probe: unknown word %s\n", what);
    return 2;
}
