"""A pytest plugin: one module of the shell is what standard input says, instead of its file."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from types import CodeType, ModuleType

SOURCE = sys.stdin.read()
NAME = f"opslifecycle.{os.environ['OPSLIFECYCLE_MUTANT']}"


class _Loader(importlib.abc.InspectLoader):
    def get_source(self, fullname: str) -> str:
        return SOURCE

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(SOURCE, f"<mutant of {NAME}>")


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_loader(fullname, _Loader()) if fullname == NAME else None


sys.meta_path.insert(0, _Finder())
