"""The table in `pyproject.toml` that says what is generated where."""

from __future__ import annotations

import keyword
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any

from attrs import frozen

from opslifecycle_codegen.base.diagnostics import nearest

_KEYS = ["source", "package", "module", "tests", "docs", "lock", "templates", "output"]
_TABLE = "tool.opslifecycle-codegen"
_LINE_LENGTH_DEFAULT = 88
_EXAMPLE = (
    f"add to pyproject.toml:\n\n    [[{_TABLE}.machine]]\n"
    '    source = "machine/order.yaml"\n    package = "src/shop/order"\n'
    '    tests = "tests/generated"\n    docs = "docs/generated"'
)


class InvalidConfigError(Exception):
    """A configuration that cannot be used; the text says where and what to do."""


@frozen
class MachineConfig:
    """One machine: where it is declared and where its files go, relative to the project."""

    source: PurePosixPath
    package: PurePosixPath
    module: str
    lock: PurePosixPath
    tests: PurePosixPath | None
    docs: PurePosixPath | None
    line_length: int
    #: A folder of templates of the project's own, and where what they print goes.
    templates: PurePosixPath | None = None
    output: PurePosixPath | None = None

    def outputs(self) -> list[PurePosixPath]:
        """The folders that generated files stand in."""
        return [
            folder
            for folder in (self.package, self.tests, self.docs, self.output)
            if folder is not None
        ]


def load_config(pyproject: Path) -> list[MachineConfig]:
    """The machines of a project; raises InvalidConfigError if there are none or it is wrong."""
    try:
        data = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InvalidConfigError(f"there is no {pyproject}; {_EXAMPLE}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise InvalidConfigError(f"{pyproject}: {error}") from None
    table = data.get("tool", {}).get("opslifecycle-codegen", {})
    if not isinstance(table, dict):
        raise InvalidConfigError(f"{pyproject}: {_TABLE} is no table")
    _known(pyproject, _TABLE, table, ["line_length", "machine"])
    machines = table.get("machine", [])
    if not isinstance(machines, list) or not machines:
        raise InvalidConfigError(f"{pyproject}: no machine is configured; {_EXAMPLE}")
    line_length = table.get("line_length", _LINE_LENGTH_DEFAULT)
    if not isinstance(line_length, int) or not _LINE_LENGTH_DEFAULT <= line_length <= 200:
        message = f"{pyproject}: line_length is a number from {_LINE_LENGTH_DEFAULT} to 200"
        raise InvalidConfigError(message)
    found = [_machine(pyproject, machine, line_length) for machine in machines]
    for key in ("source", "package", "module", "lock"):
        values = [str(getattr(each, key)) for each in found]
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise InvalidConfigError(f"{pyproject}: two machines have the same {key}, {twice!r}")
    return found


def _machine(pyproject: Path, table: Any, line_length: int) -> MachineConfig:
    where = f"[[{_TABLE}.machine]]"
    if not isinstance(table, dict):
        raise InvalidConfigError(f"{pyproject}: {where} is no table")
    _known(pyproject, where, table, _KEYS)
    for key in ("source", "package"):
        if key not in table:
            raise InvalidConfigError(f"{pyproject}: {where} lacks {key!r}")
    source = _path(pyproject, "source", table["source"])
    package = _path(pyproject, "package", table["package"])
    parts = package.parts[1:] if package.parts[:1] == ("src",) else package.parts
    module = _module(pyproject, table.get("module", ".".join(parts)))
    if source.suffix not in (".yaml", ".yml"):
        message = (
            f"{pyproject}: source is a YAML file, such as machine/order.yaml; got {str(source)!r}"
        )
        raise InvalidConfigError(message)
    tests, docs = table.get("tests"), table.get("docs")
    lock = table.get("lock", str(source.with_suffix(".lock.json")))
    templates, output = table.get("templates"), table.get("output")
    if (templates is None) is not (output is None):
        raise InvalidConfigError(f"{pyproject}: {where} needs templates and output together")
    return MachineConfig(
        source=source,
        package=package,
        module=module,
        lock=_path(pyproject, "lock", lock),
        tests=None if tests is None else _path(pyproject, "tests", tests),
        docs=None if docs is None else _path(pyproject, "docs", docs),
        line_length=line_length,
        templates=None if templates is None else _path(pyproject, "templates", templates),
        output=None if output is None else _path(pyproject, "output", output),
    )


def _path(pyproject: Path, key: str, value: Any) -> PurePosixPath:
    path = PurePosixPath(value) if isinstance(value, str) and value else None
    refused = ("\\", "\0", "\n")
    if (
        path is None
        or path.is_absolute()
        or not path.parts
        or ".." in path.parts
        or any(each in str(path) for each in refused)
    ):
        message = f"{pyproject}: {key} is a path inside the project, with slashes; got {value!r}"
        raise InvalidConfigError(message)
    return path


def _module(pyproject: Path, value: Any) -> str:
    """The dotted name under which the package is imported."""
    words = value.split(".") if isinstance(value, str) else [""]
    if not all(word.isidentifier() and not keyword.iskeyword(word) for word in words):
        message = (
            f"{pyproject}: the generated package is imported as {value!r}, which is no name of a"
            " module; choose another folder for package, or say the name under module"
        )
        raise InvalidConfigError(message)
    return str(value)


def _known(pyproject: Path, where: str, table: dict[str, Any], keys: list[str]) -> None:
    for key in table:
        if key not in keys:
            raise InvalidConfigError(f"{pyproject}: {where} has no {key!r}; {nearest(key, keys)}")
