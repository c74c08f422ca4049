"""The file operations of SQLite, recorded and made to fail: a file system of our own under it.

SQLite reaches its files through a table of C functions, which a program may replace. This one
stands in front of the usual one, in the very library that Python's sqlite3 uses.
"""

from __future__ import annotations

import _sqlite3
import contextlib
import ctypes
from collections.abc import Callable, Iterator
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int64, c_void_p, cast
from pathlib import Path
from typing import Any

import attrs

# The functions of a file, and those of a file system after the two that are replaced, in the order
# of sqlite3.h.
_METHODS = [
    *("close", "read", "write", "truncate", "sync", "size", "lock", "unlock", "reserved"),
    *("control", "sector", "device", "shm_map", "shm_lock", "shm_barrier", "shm_unmap"),
    *("fetch", "unfetch"),
]
_REST = [
    *("access", "full_path", "dl_open", "dl_error", "dl_sym", "dl_close", "random", "sleep"),
    *("time", "error", "time64", "set_call", "get_call", "next_call"),
]

_Write = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_Truncate = CFUNCTYPE(c_int, c_void_p, c_int64)
_Sync = CFUNCTYPE(c_int, c_void_p, c_int)
# Names stay pointers: SQLite keeps parameters behind them.
_Open = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, POINTER(c_int))
_Delete = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int)


class _Io(Structure):
    _fields_ = (("version", c_int), *((name, c_void_p) for name in _METHODS))


class _File(Structure):
    _fields_ = (("methods", POINTER(_Io)),)


class _Vfs(Structure):
    _fields_ = (
        ("version", c_int),
        ("file_size", c_int),
        ("path_max", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("data", c_void_p),
        ("open", c_void_p),
        ("delete", c_void_p),
        *((name, c_void_p) for name in _REST),
    )


@attrs.frozen
class Operation:
    """One change of a file, or an attempt at one."""

    kind: str
    path: str
    offset: int = 0
    data: bytes = b""
    size: int = 0


#: What an operation comes to: None lets it happen; a code fails it, after so many bytes if it
#: writes.
Fault = tuple[int, int] | None


class Files:
    """Records every operation that changes a file, and asks `fault` about each."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.fault: Callable[[Operation], Fault] = lambda operation: None
        self._library = ctypes.CDLL(_sqlite3.__file__)
        self._library.sqlite3_vfs_find.restype = POINTER(_Vfs)
        self._usual = self._library.sqlite3_vfs_find(None)
        self._paths: dict[int, str] = {}
        self._tables: dict[int, _Io] = {}
        self._kept: list[object] = []
        self._own = _Vfs()
        ctypes.memmove(ctypes.byref(self._own), self._usual, ctypes.sizeof(_Vfs))
        self._own.name = b"recorded"
        self._open_usual = _Open(self._usual.contents.open)
        self._delete_usual = _Delete(self._usual.contents.delete)
        self._own.open = self._callback(_Open(self._open))
        self._own.delete = self._callback(_Delete(self._delete))

    def _callback(self, function: object) -> int | None:
        self._kept.append(function)
        return cast(function, c_void_p).value  # type: ignore[arg-type]

    @contextlib.contextmanager
    def installed(self) -> Iterator[Files]:
        """Have every connection that is opened meanwhile use these files."""
        self._library.sqlite3_vfs_register(ctypes.byref(self._own), 1)
        try:
            yield self
        finally:
            self._library.sqlite3_vfs_register(self._usual, 1)
            self._library.sqlite3_vfs_unregister(ctypes.byref(self._own))

    def _judge(self, operation: Operation) -> Fault:
        self.operations.append(operation)
        return self.fault(operation)

    def _open(self, vfs: int, name: int | None, file: int, flags: int, out: object) -> int:
        path = _text(name)
        fault = self._judge(Operation("open", path))
        if fault is not None:
            cast(file, POINTER(_File)).contents.methods = None
            return fault[0]
        code = self._open_usual(ctypes.addressof(self._usual.contents), name, file, flags, out)
        opened = cast(file, POINTER(_File)).contents
        if opened.methods:
            self._paths[file] = path
            opened.methods = ctypes.pointer(self._table(opened.methods))
        return int(code)

    def _delete(self, vfs: int, name: int, sync: int) -> int:
        fault = self._judge(Operation("delete", _text(name)))
        if fault is not None:
            return fault[0]
        return int(self._delete_usual(ctypes.addressof(self._usual.contents), name, sync))

    def _table(self, usual: Any) -> _Io:
        """The usual functions, but for those that change a file."""
        address = ctypes.addressof(usual.contents)
        if address not in self._tables:
            table = _Io()
            ctypes.memmove(ctypes.byref(table), usual, ctypes.sizeof(_Io))
            write, truncate = _Write(table.write), _Truncate(table.truncate)
            sync = _Sync(table.sync)

            def own_write(file: int, data: int, size: int, offset: int) -> int:
                text = ctypes.string_at(data, size)
                fault = self._judge(Operation("write", self._paths[file], offset, text, size))
                if fault is None:
                    return int(write(file, data, size, offset))
                if fault[1]:
                    write(file, data, min(size, fault[1]), offset)
                return fault[0]

            def own_truncate(file: int, size: int) -> int:
                fault = self._judge(Operation("truncate", self._paths[file], size=size))
                return int(truncate(file, size)) if fault is None else fault[0]

            def own_sync(file: int, flags: int) -> int:
                fault = self._judge(Operation("sync", self._paths[file]))
                return int(sync(file, flags)) if fault is None else fault[0]

            table.write = self._callback(_Write(own_write))
            table.truncate = self._callback(_Truncate(own_truncate))
            table.sync = self._callback(_Sync(own_sync))
            self._tables[address] = table
        return self._tables[address]


def _text(name: int | None) -> str:
    return ctypes.string_at(name).decode() if name else ""


def named(operation: Operation) -> str:
    """An operation in words: what, and on which of a store's files."""
    path = Path(operation.path).name
    return f"{operation.kind} {path.rpartition('.db')[2] or 'db'}"
