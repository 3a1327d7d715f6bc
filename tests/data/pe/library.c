/* A DLL that exports two functions by name. */
__declspec(dllexport) int one(void) { return 1; }
__declspec(dllexport) int two(void) { return 2; }
