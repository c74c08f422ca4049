"""What a disk may hold after a power cut, for every point of a recording of file operations.

A sync makes everything durable that was written to its file before. What was written since may have
reached the disk or not: nothing of it, all of it, each beginning of it, each of it but one, and the
last write torn. Deleting a file may not have happened yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.files import Operation

Image = dict[str, bytes]


def images(base: Image, operations: Sequence[Operation]) -> Iterator[tuple[int, Image]]:
    """Every image that may be found after each operation, with how many had been done."""
    seen: set[int] = set()
    durable: dict[str, bytes | None] = dict(base)
    pending: list[Operation] = []
    for done, operation in enumerate(operations, 1):
        if operation.kind == "sync":
            _settle(durable, [each for each in pending if each.path == operation.path])
            pending = [each for each in pending if each.path != operation.path]
        elif operation.kind != "open":
            pending.append(operation)
        for applied in _selections(pending):
            image = dict(durable)
            _settle(image, applied)
            found = {path: text for path, text in image.items() if text is not None}
            key = hash((done if not pending else 0, frozenset(found.items())))
            if key not in seen:
                seen.add(key)
                yield done, found


def _selections(pending: list[Operation]) -> Iterator[list[Operation]]:
    """Which of the pending operations may have reached the disk."""
    for count in range(len(pending) + 1):
        yield pending[:count]
    for left_out in range(len(pending) - 1):
        yield pending[:left_out] + pending[left_out + 1 :]
    if pending and pending[-1].kind == "write":
        last = pending[-1]
        half = Operation("write", last.path, last.offset, last.data[: last.size // 2])
        yield [*pending[:-1], half]


def _settle(files: dict[str, bytes | None], operations: Sequence[Operation]) -> None:
    """Apply operations to the contents of files."""
    for operation in operations:
        content = files.get(operation.path) or b""
        if operation.kind == "delete":
            files[operation.path] = None
        elif operation.kind == "truncate":
            files[operation.path] = content[: operation.size].ljust(operation.size, b"\0")
        else:
            content = content.ljust(operation.offset, b"\0")
            end = operation.offset + len(operation.data)
            files[operation.path] = content[: operation.offset] + operation.data + content[end:]


def lay(image: Image, store: Path, folder: Path) -> Path:
    """Put an image of a store's files into a folder; gives the path of the store there."""
    for path, content in image.items():
        name = Path(path).name
        assert name.startswith(store.name), name
        (folder / name).write_bytes(content)
    return folder / store.name
