"""Compress a part of the standard library into a temporary file, and check what comes out of it."""

import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

METHODS = {"bz2": zipfile.ZIP_BZIP2, "deflate": zipfile.ZIP_DEFLATED, "xz": zipfile.ZIP_LZMA}

package, method = sys.argv[1], sys.argv[2]
if method not in METHODS:
    sys.exit(f"{method}: expected one of {', '.join(METHODS)}")
folder = Path(sysconfig.get_path("stdlib")) / package
files = sorted(path for path in folder.rglob("*.py") if path.is_file())
if not files:
    sys.exit(f"no files found in {folder}")
with tempfile.TemporaryDirectory() as scratch:
    packed = Path(scratch, f"{package}.zip")
    with zipfile.ZipFile(packed, "w", METHODS[method]) as archive:
        for number, path in enumerate(files, 1):
            archive.write(path, path.relative_to(folder))
            print(f"{number * 90 // len(files)}% {path.name}")
    with zipfile.ZipFile(packed) as archive:
        for path in files:
            if archive.read(path.relative_to(folder).as_posix()) != path.read_bytes():
                sys.exit(f"{path} came out changed")
    size = sum(path.stat().st_size for path in files)
    print(f"100% {package}: {size} bytes in {packed.stat().st_size}, checked")
