"""The imports of a generated module, derived from the names that its code uses."""

from __future__ import annotations

import ast
import builtins
import symtable
import sys
from collections.abc import Mapping
from functools import lru_cache

from opslifecycle_codegen.emit import layout
from opslifecycle_codegen.emit.annotations import BUILTINS

_STANDARD = {
    "Callable": "collections.abc", "Hashable": "collections.abc", "Iterable": "collections.abc",
    "Sequence": "collections.abc",
    "Path": "pathlib",
    "Any": "typing", "ClassVar": "typing", "Self": "typing", "TypeAlias": "typing",
    "assert_never": "typing",
    "MagicMock": "unittest.mock",
    "json": "", "weakref": "",
}  # fmt: skip
_THIRD_PARTY = {"define": "attrs", "frozen": "attrs", "pytest": ""}

#: The placeholder of imports in a body: no text of a machine has this character.
IMPORTS_PLACE = "\0imports\0"

#: The alias of the runtime in generated code: no declared name begins with an underscore.
RUNTIME = "_rt"
#: Modules whose names a member of a class may hide.
_MODULES = {
    "_abc": "import abc as _abc",
    BUILTINS: f"import builtins as {BUILTINS}",
    "_dt": "import datetime as _dt",
    "_dec": "import decimal as _dec",
}
_RUNTIME_IMPORT = f"from opslifecycle.runtime import v1 as {RUNTIME}"


def import_blocks(
    body: str, local: Mapping[str, str], width: int, foreign: Mapping[str, str]
) -> str:
    """Return the import section of a module.

    `local` has the generated module that defines a name, `foreign` the modules of the user's
    classes. Sections are in the linter's order.
    """
    defined = _definitions(body)
    used = _used_names(body) - defined
    standard = {n: m for n, m in foreign.items() if m.split(".")[0] in sys.stdlib_module_names}
    own = {name: module for name, module in foreign.items() if name not in standard}
    known = {*_STANDARD, *foreign, *_THIRD_PARTY, *local, *dir(builtins), *defined}
    unknown = sorted(name for name in used - known if name[:1].isupper())
    assert not unknown, f"a template uses names that nothing defines: {unknown}"
    relative = any(module.startswith(".") for module in local.values())
    sections = [own, local] if relative else [{**own, **local}]
    blocks = [
        "from __future__ import annotations",
        _joined(
            *(line for name, line in _MODULES.items() if name in used),
            _import_block(used, {**_STANDARD, **standard}, width),
        ),
        _joined(
            _import_block(used, _THIRD_PARTY, width), _RUNTIME_IMPORT if RUNTIME in used else ""
        ),
        *(_import_block(used, table, width) for table in sections),
    ]
    return "\n\n".join(block for block in blocks if block)


@lru_cache(maxsize=64)
def _definitions(body: str) -> frozenset[str]:
    tree = ast.parse(body.replace(IMPORTS_PLACE, ""))
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(t.id for t in node.targets if isinstance(t, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return frozenset(names)


def public_definitions(body: str) -> list[str]:
    """Return the public names of a module that only templates define."""
    return sorted(name for name in _definitions(body) if not name.startswith("_"))


def _joined(*blocks: str) -> str:
    return "\n".join(block for block in blocks if block)


def _used_names(body: str) -> set[str]:
    """Return the free names of a module."""
    used: set[str] = set()
    tables = [symtable.symtable(body.replace(IMPORTS_PLACE, ""), "generated", "exec")]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        # A module and a class may read a name before they bind it.
        binds = table.get_type() not in ("module", "class")
        used.update(
            symbol.get_name()
            for symbol in table.get_symbols()
            if symbol.is_referenced() and (symbol.is_global() or not binds)
        )
    return used


def _import_block(used: set[str], table: Mapping[str, str], width: int) -> str:
    plain = [f"import {name}" for name, module in table.items() if name in used and not module]
    by_module: dict[str, list[str]] = {}
    for name, module in table.items():
        if name in used and module:
            by_module.setdefault(module, []).append(name)
    lines = sorted(plain)
    for module in sorted(by_module):
        lines += layout.imports(module, by_module[module], width=width)
    return "\n".join(lines)
