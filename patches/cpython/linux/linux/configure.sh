# Configure CPython for a bundle: every extension module is in the program, and every library but glibc's.
# Reads TRIPLET; arguments are further ones for configure. Run by recipes, in the folder of the sources.
set -eu
deps=/build/deps
settings=(
  CC="$TRIPLET-gcc" AR="$TRIPLET-gcc-ar" RANLIB="$TRIPLET-gcc-ranlib" READELF="$TRIPLET-readelf"
  OPT="-DNDEBUG -fwrapv -O3 -Wall"
  MODULE_BUILDTYPE=static
  ZLIB_CFLAGS=-I$deps/zlib/include ZLIB_LIBS=$deps/zlib/lib/libz.a
  BZIP2_CFLAGS=-I$deps/bzip2/include BZIP2_LIBS=$deps/bzip2/lib/libbz2.a
  LIBLZMA_CFLAGS=-I$deps/xz/include LIBLZMA_LIBS=$deps/xz/lib/liblzma.a
  LIBFFI_CFLAGS=-I$deps/libffi/include LIBFFI_LIBS=$deps/libffi/lib/libffi.a
  LIBSQLITE3_CFLAGS=-I$deps/sqlite/include LIBSQLITE3_LIBS="-L$deps/sqlite/lib -lsqlite3 -lm -ldl -lpthread"
  # What would be looked for on the build machine, and is for terminals, Tcl/Tk or databases of no bundle.
  py_cv_module__curses=n/a py_cv_module__curses_panel=n/a py_cv_module_readline=n/a py_cv_module__tkinter=n/a
  py_cv_module__dbm=n/a py_cv_module__gdbm=n/a py_cv_module__uuid=n/a
)
./configure --build="$TRIPLET" --disable-test-modules --without-ensurepip --without-static-libpython \
    --enable-loadable-sqlite-extensions --with-openssl=$deps/openssl "${settings[@]}" "$@"
cp Modules/Setup.stdlib Modules/Setup.local
