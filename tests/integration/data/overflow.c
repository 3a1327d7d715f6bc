/* Writes past the end of a buffer, in the way that its first argument names, or not (0 as the second one). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT "a text that is longer than the buffer"
static struct {
    char small[16];
    char more[64];
} both;

__attribute__((noinline)) static void stack(size_t length)
{
    char buffer[16];
    volatile char *byte = buffer;
    for (size_t i = 0; i < length; i++)
        byte[i] = 'A';
    printf("%c\n", buffer[3]);
}

__attribute__((noinline)) static void copy(const char *text)
{
    strcpy(both.small, text);
    puts(both.small);
}

__attribute__((noinline)) static void print(const char *text)
{
    sprintf(both.small, "%s", text);
    puts(both.small);
}

/* The size is known when the program runs, not before: what level 3 adds. */
__attribute__((noinline)) static void heap(size_t size, const char *text, size_t length)
{
    char *buffer = malloc(size + 64) ? malloc(size) : NULL;
    if (buffer == NULL)
        abort();
    memcpy(buffer, text, length);
    printf("%c\n", buffer[0]);
}

int main(int argc, char **argv)
{
    int over = argc > 2 && strcmp(argv[2], "0") != 0;
    const char *text = over ? TEXT : "short";
    setvbuf(stdout, NULL, _IONBF, 0);
    if (strcmp(argv[1], "stack") == 0)
        stack(over ? 64 : 8);
    else if (strcmp(argv[1], "copy") == 0)
        copy(text);
    else if (strcmp(argv[1], "print") == 0)
        print(text);
    else
        heap(16, text, over ? 20 : 6);
    puts("survived");
    return 0;
}
