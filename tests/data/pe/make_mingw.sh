#!/bin/bash
# make_mingw.sh OUT: build the same PE files twice, a second and more apart, into OUT/first and OUT/second.
# They differ in nothing but stamps and checksums; normalising must make each pair the same. Needs a MinGW whose triplet
# is in $TRIPLET; meant to run in the build root. What comes out:
#   library.dll   exports by name, no resources
#   static.exe    imports library.dll only        dynamic.exe  imports libwinpthread-1.dll too: the historic failure
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$1
: "${TRIPLET:=x86_64-w64-mingw32ucrt}"
unset SOURCE_DATE_EPOCH
for pass in first second; do
    work=$(mktemp -d)
    cp "$here"/*.c "$here"/*.rc "$here"/*.manifest "$work"
    cd "$work"
    "$TRIPLET-windres" resources.rc resources.o
    "$TRIPLET-gcc" -O2 -s -shared library.c -o library.dll -static -Wl,--out-implib,liblibrary.a
    "$TRIPLET-gcc" -O2 -s program.c resources.o -o static.exe -static -L. -llibrary -lpthread
    "$TRIPLET-gcc" -O2 -s program.c resources.o -o dynamic.exe -L. -llibrary -lpthread
    mkdir -p "$out/$pass"
    cp library.dll static.exe dynamic.exe "$out/$pass"
    cd /
    rm -rf "$work"
    sleep 1.1
done
