"""The configuration in `pyproject.toml`: the machines, and the folders of their outputs."""

from __future__ import annotations

import keyword
import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from attrs import frozen

from opslifecycle_codegen.base.diagnostics import nearest

_KEYS = ["source", "package", "module", "tests", "docs", "lock", "templates", "output"]
_TABLE = "tool.opslifecycle-codegen"
_LINE_LENGTH_DEFAULT = 88
_HEAD = re.compile(r"\s*\[\[\s*tool\s*\.\s*[\"']?opslifecycle-codegen[\"']?\s*\.\s*machine\s*\]\]")
#: Top-level modules that generated code imports, or what it imports does.
NOT_TO_BE_HIDDEN = sys.stdlib_module_names | {
    "attr", "attrs", "cattr", "cattrs", "opslifecycle", "opslifecycle_codegen",
}  # fmt: skip
_NOT_IN_PATHS = frozenset('\\<>:"|?*=~')
_EXAMPLE = (
    f"add to pyproject.toml:\n\n    [[{_TABLE}.machine]]\n"
    '    source = "machine/order.yaml"\n    package = "src/shop/order"\n'
    '    tests = "tests/generated"\n    docs = "docs/generated"'
)


class InvalidConfigError(Exception):
    """An invalid configuration; the message has the place and the fix."""


@frozen
class MachineConfig:
    """The configuration of one machine: its source and its outputs, relative to the project."""

    source: PurePosixPath
    package: PurePosixPath
    module: str
    lock: PurePosixPath
    tests: PurePosixPath | None
    docs: PurePosixPath | None
    line_length: int
    #: The folder of the project's own templates, and the folder of their output.
    templates: PurePosixPath | None = None
    output: PurePosixPath | None = None

    def outputs(self) -> list[PurePosixPath]:
        """Return the folders that contain generated files."""
        return [
            folder
            for folder in (self.package, self.tests, self.docs, self.output)
            if folder is not None
        ]


def load_config(pyproject: Path) -> list[MachineConfig]:
    """Return the machines of a project; raises InvalidConfigError for errors or if it has none."""
    text = _text(pyproject)
    place = _Place(pyproject, text)
    try:
        data = tomllib.loads(text)
    except RecursionError:
        raise place.error("tables and lists are nested too deeply; flatten them") from None
    except ValueError as error:
        # Invalid TOML, or an integer with more digits than Python parses.
        raise place.error(str(error)) from None
    tool = data.get("tool", {})
    table = tool.get("opslifecycle-codegen", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise place.error(f"{_TABLE} is not a table; {_EXAMPLE}")
    _known(place, _TABLE, table, ["line_length", "machine"])
    machines = table.get("machine", [])
    if not isinstance(machines, list) or not machines:
        raise place.error(f"no machine is configured; {_EXAMPLE}")
    line_length = table.get("line_length", _LINE_LENGTH_DEFAULT)
    if type(line_length) is not int or not _LINE_LENGTH_DEFAULT <= line_length <= 200:
        message = f"line_length is a number from {_LINE_LENGTH_DEFAULT} to 200; got {line_length!r}"
        raise place.error(message, "line_length")
    found: list[MachineConfig] = []
    for number, machine in enumerate(machines):
        each = _machine(_Place(pyproject, text, number), machine, line_length)
        for key in ("source", "package", "module", "lock"):
            value = getattr(each, key)
            # Some file systems have no capital letters of their own.
            taken = [str(getattr(other, key)).casefold() for other in found]
            if str(value).casefold() in taken:
                message = f"two machines have the same {key}, {str(value)!r}"
                raise _Place(pyproject, text, number).error(message, key)
        found.append(each)
    return found


def _text(pyproject: Path) -> str:
    try:
        return pyproject.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise InvalidConfigError(f"there is no {pyproject}; {_EXAMPLE}") from None
    except UnicodeDecodeError as error:
        message = (
            f"{pyproject}: this is not UTF-8: byte {error.start} is {error.object[error.start]:#x}"
        )
        raise InvalidConfigError(message) from None
    except OSError as error:
        raise InvalidConfigError(f"{pyproject}: {error.strerror}") from None


@frozen
class _Place:
    """The place of an error in the configuration: the whole table, or the table of one machine."""

    pyproject: Path
    text: str
    number: int | None = None

    def error(self, message: str, key: str = "") -> InvalidConfigError:
        """Return the error, with its line if the table is written in the documented form."""
        line = self._line(key)
        at = "" if line is None else f":{line}"
        return InvalidConfigError(f"{self.pyproject}{at}: {message}")

    def _line(self, key: str) -> int | None:
        lines = self.text.split("\n")
        heads = [n for n, line in enumerate(lines) if _HEAD.match(line)]
        if self.number is None:
            start, end = 0, len(lines)
        elif self.number < len(heads):
            start, end = heads[self.number], len(lines)
            later = (n for n in range(start + 1, end) if lines[n].startswith("["))
            end = next(later, end)
        else:
            return None
        spelled = re.compile(rf"""\s*["']?{re.escape(key)}["']?\s*=""")
        found = (n for n in range(start, end) if key and spelled.match(lines[n]))
        at = next(found, None if self.number is None else start)
        return None if at is None else at + 1


def _machine(place: _Place, table: object, line_length: int) -> MachineConfig:
    where = f"[[{_TABLE}.machine]]"
    if not isinstance(table, dict):
        raise place.error(f"{where} is not a table; {_EXAMPLE}")
    _known(place, where, table, _KEYS)
    for key in ("source", "package"):
        if key not in table:
            raise place.error(f"{where} lacks {key!r}; {_EXAMPLE}")
    source = _path(place, "source", table["source"])
    package = _path(place, "package", table["package"])
    parts = package.parts[1:] if package.parts[:1] == ("src",) else package.parts
    module = _module(place, table.get("module"), parts)
    if source.suffix not in (".yaml", ".yml"):
        message = f"source is a YAML file, such as machine/order.yaml; got {str(source)!r}"
        raise place.error(message, "source")
    if ("templates" in table) is not ("output" in table):
        raise place.error(f"{where} needs templates and output together")
    optional = {
        key: _path(place, key, table[key]) if key in table else None
        for key in ("tests", "docs", "templates", "output")
    }
    lock = _path(place, "lock", table.get("lock", str(source.with_suffix(".lock.json"))))
    if lock.suffix != ".json":
        message = f"lock is a JSON file, such as machine/order.lock.json; got {str(lock)!r}"
        raise place.error(message, "lock")
    return MachineConfig(
        source=source,
        package=package,
        module=module,
        lock=lock,
        line_length=line_length,
        **optional,
    )


def _path(place: _Place, key: str, value: object) -> PurePosixPath:
    path = PurePosixPath(value) if isinstance(value, str) and value else None
    if path is None or path.is_absolute() or not path.parts or ".." in path.parts:
        message = f"{key} is a path inside the project, with slashes; got {value!r}"
        raise place.error(message, key)
    wrong = next((c for c in str(path) if c in _NOT_IN_PATHS or not c.isprintable()), None)
    if wrong is not None:
        # Windows has no such file names, and each generated file has the path in a comment.
        message = f"{key} is a path inside the project without {wrong!r}; got {value!r}"
        raise place.error(message, key)
    return path


def _module(place: _Place, value: object, folders: tuple[str, ...]) -> str:
    """Return the dotted name under which the package is imported."""
    if value is None:
        name, key, words = ".".join(folders), "package", list(folders)
    else:
        name, key = str(value), "module"
        words = name.split(".") if isinstance(value, str) else [""]
    named = (each.isidentifier() and not keyword.iskeyword(each) for each in words)
    if not words or not all(named) or any(each.startswith("__") for each in words):
        message = (
            f"the generated package is imported as {name!r}, which is no name of a module;"
            " choose another folder for package, or say the name under module"
        )
        raise place.error(message, key)
    if words[0] in sys.stdlib_module_names or name in NOT_TO_BE_HIDDEN:
        message = (
            f"the generated package is imported as {name!r}, and hides the module {words[0]!r}"
            " that generated code needs; choose another folder for package, or one within a"
            " package of the project"
        )
        raise place.error(message, key)
    return name


def _known(place: _Place, where: str, table: Iterable[str], keys: list[str]) -> None:
    for key in table:
        if key not in keys:
            raise place.error(f"{where} has no {key!r}; {nearest(key, keys)}", key)
