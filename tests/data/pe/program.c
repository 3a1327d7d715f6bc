/* Imports from a DLL of its own and uses threads, so that without -static it needs libwinpthread-1.dll. */
#include <pthread.h>
#include <stdio.h>

__declspec(dllimport) int one(void);

static void *run(void *argument) { return argument; }

int main(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, run, NULL);
    pthread_join(thread, NULL);
    printf("%d\n", one());
    return 0;
}
