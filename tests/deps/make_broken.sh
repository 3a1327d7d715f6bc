#!/bin/bash
# make_broken.sh OUT: programs for Windows with one thing wrong each, in OUT/<what is wrong>/, and OUT/sound/ with nothing
# wrong. Needs a MinGW whose triplet is in $TRIPLET, and its $CFLAGS and $LDFLAGS; meant to run in the build root.
# Wherever there is a program.exe, it imports helper.dll (or what stands below); each folder is complete but for its fault.
set -euo pipefail
out=$1
: "${TRIPLET:=x86_64-w64-mingw32ucrt}" "${CFLAGS:=-O2}" "${LDFLAGS:=-static -s}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

echo 'int nothing;' > empty.c
echo 'int one(void) { return 1; } int two(void) { return 2; }' > helper.c
echo 'int one(void); int two(void); int main(void) { return one() + two() - 3; }' > program.c

# library NAME DEF SOURCE [LIBRARY...]: a DLL with the exports of DEF, and lib.a to link with it.
library() {
    printf 'LIBRARY "%s"\nEXPORTS\n%s\n' "$1" "$2" > exports.def
    # shellcheck disable=SC2086
    $TRIPLET-gcc $CFLAGS -shared "$3" exports.def "${@:4}" -o "$1" -Wl,--out-implib,lib.a $LDFLAGS
}
# program FOLDER LIBRARY: program.exe in a folder, linked with an import library.
program() {
    mkdir -p "$out/$1"
    # shellcheck disable=SC2086
    $TRIPLET-gcc $CFLAGS program.c "$2" -o "$out/$1/program.exe" $LDFLAGS
}

library helper.dll $'one\ntwo' helper.c
cp lib.a whole.a
cp helper.dll whole.dll

program sound whole.a
cp whole.dll "$out/sound/helper.dll"

program missing-dll whole.a

program missing-symbol whole.a
library helper.dll one helper.c
cp helper.dll "$out/missing-symbol/helper.dll"

library helper.dll $'one @5 NONAME\ntwo @9 NONAME' helper.c
program missing-ordinal lib.a
library helper.dll 'one @5 NONAME' helper.c
cp helper.dll "$out/missing-ordinal/helper.dll"

program wrong-machine whole.a
cp whole.dll "$out/wrong-machine/helper.dll"
pe=$(od -An -tu4 -j60 -N4 whole.dll)
printf '\x64\xaa' | dd of="$out/wrong-machine/helper.dll" bs=1 seek=$((pe + 4)) conv=notrunc status=none # ARM64

program forwarder-loop whole.a
library helper.dll $'one = other.one\ntwo = other.two' empty.c
cp helper.dll "$out/forwarder-loop/helper.dll"
library other.dll $'one = helper.one\ntwo = helper.two' empty.c
cp other.dll "$out/forwarder-loop/other.dll"

program missing-symbol-forwarded whole.a # helper.dll -> other.dll -> last.dll, which has only one of the two
cp helper.dll "$out/missing-symbol-forwarded/helper.dll"
library other.dll $'one = last.one\ntwo = last.two' empty.c
cp other.dll "$out/missing-symbol-forwarded/other.dll"
library last.dll one helper.c
cp last.dll "$out/missing-symbol-forwarded/last.dll"

program case-twin whole.a
cp whole.dll "$out/case-twin/helper.dll"
cp whole.dll "$out/case-twin/HELPER.DLL"

library version.dll $'one\ntwo' helper.c
program planted-name lib.a
cp version.dll "$out/planted-name/"

program planted-known-dll whole.a
cp whole.dll "$out/planted-known-dll/helper.dll"
cp whole.dll "$out/planted-known-dll/ws2_32.dll"

library api-ms-win-nowhere-l1-1-0.dll $'one\ntwo' helper.c
program unresolved-api-set lib.a

program broken-file whole.a
head -c 700 whole.dll > "$out/broken-file/helper.dll"

program missing-assembly whole.a
cp whole.dll "$out/missing-assembly/helper.dll"
cat > "$out/missing-assembly/program.exe.manifest" <<'XML'
<?xml version="1.0" encoding="UTF-8"?>
<assembly xmlns="urn:schemas-microsoft-com:asm.v1" manifestVersion="1.0">
  <dependency><dependentAssembly>
    <assemblyIdentity type="win32" name="Microsoft.VC90.CRT" version="9.0.21022.8" processorArchitecture="amd64"
      publicKeyToken="1fc8b3b9a1e18e3b"/>
  </dependentAssembly></dependency>
</assembly>
XML
