"""Hash every file of the standard library; print how far it is."""

import hashlib
import sys
import sysconfig
from pathlib import Path

algorithm = sys.argv[1] if len(sys.argv) > 1 else "sha256"
files = sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py"))
if not files:
    sys.exit("no files of the standard library found")
total = hashlib.new(algorithm)
for number, path in enumerate(files, 1):
    total.update(hashlib.new(algorithm, path.read_bytes()).digest())
    if number % 50 == 0 or number == len(files):
        print(f"{number * 100 // len(files)}% {path.name}")
print(f"{algorithm} of {len(files)} files: {total.hexdigest()[:16]}")
