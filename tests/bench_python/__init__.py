"""``make bench-python``: how fast the interpreter is, beside a native build of the same source and Debian's own."""
