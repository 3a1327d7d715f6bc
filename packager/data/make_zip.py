"""Write a reproducible zip of a folder: make_zip.py FOLDER ZIP PREFIX EPOCH.

Runs in the build root, because deflate's output belongs to a zlib version and the root's is locked. Entries are sorted;
times are the epoch in UTC, modes fixed, no extra fields.
"""

import os
import sys
import time
import zipfile


def main(folder: str, target: str, prefix: str, epoch: int) -> None:
    """Walk FOLDER sorted by path bytes and write every file, below PREFIX/ unless that is empty."""
    when = time.gmtime(epoch)[:6]
    paths = []
    for parent, folders, names in os.walk(folder):
        folders.sort()
        paths += [os.path.join(parent, name) for name in names]
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(paths, key=os.fsencode):
            name = os.path.relpath(path, folder).replace(os.sep, "/")
            info = zipfile.ZipInfo(f"{prefix}/{name}" if prefix else name, when)
            info.create_system = 3
            info.external_attr = (0o100755 if name.lower().endswith(".exe") else 0o100644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            with open(path, "rb") as stream:
                archive.writestr(info, stream.read(), compresslevel=9)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
