"""The imports of a generated module, found from the names that its code uses."""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Mapping

from opslifecycle_codegen.emit import layout

_STANDARD = {
    "ABC": "abc", "abstractmethod": "abc",
    "Callable": "collections.abc", "Hashable": "collections.abc", "Iterable": "collections.abc",
    "Sequence": "collections.abc",
    "partial": "functools", "Path": "pathlib", "TracebackType": "types",
    "Any": "typing", "ClassVar": "typing", "Self": "typing", "TypeAlias": "typing",
    "assert_never": "typing",
    "MagicMock": "unittest.mock",
    "json": "", "weakref": "",
}  # fmt: skip
_THIRD_PARTY = {"define": "attrs", "frozen": "attrs", "pytest": ""}

#: What generated code calls the surface of the runtime: no declared name begins with an underscore.
RUNTIME = "_rt"
_RUNTIME_IMPORT = f"from opslifecycle.runtime import v1 as {RUNTIME}"

#: Names that no declared type may have: generated code uses them for something else.
RESERVED_TYPE_NAMES = frozenset({*_STANDARD, *_THIRD_PARTY, *dir(builtins)})


def import_blocks(
    body: str, local: Mapping[str, str], width: int, foreign: Mapping[str, str]
) -> str:
    """The import section of a module.

    `local` says which generated module defines which name, `foreign` in which modules the program's
    own classes stand: in sections where a linter would put them.
    """
    used = _used_names(body)
    standard = {n: m for n, m in foreign.items() if m.split(".")[0] in sys.stdlib_module_names}
    own = {name: module for name, module in foreign.items() if name not in standard}
    known = {*_STANDARD, *foreign, *_THIRD_PARTY, *local, *dir(builtins), *_definitions(body)}
    unknown = sorted(name for name in used - known if name[:1].isupper())
    assert not unknown, f"a template uses names that nothing defines: {unknown}"
    relative = any(module.startswith(".") for module in local.values())
    sections = [own, local] if relative else [{**own, **local}]
    blocks = [
        "from __future__ import annotations",
        _import_block(used, {**_STANDARD, **standard}, width),
        "\n".join(
            line
            for line in (
                _import_block(used, _THIRD_PARTY, width),
                _RUNTIME_IMPORT if RUNTIME in used else "",
            )
            if line
        ),
        *(_import_block(used, table, width) for table in sections),
    ]
    return "\n\n".join(block for block in blocks if block)


def _definitions(body: str) -> set[str]:
    tree = ast.parse(body.replace("@imports@", ""))
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(t.id for t in node.targets if isinstance(t, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


def public_definitions(body: str) -> list[str]:
    """What other modules may import from a module."""
    return sorted(name for name in _definitions(body) if not name.startswith("_"))


def _used_names(body: str) -> set[str]:
    tree = ast.parse(body.replace("@imports@", ""))
    return {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }


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
