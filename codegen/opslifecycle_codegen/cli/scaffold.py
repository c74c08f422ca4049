"""The project that `init` writes: a small machine whose generated tests pass."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import jinja2

from opslifecycle_codegen.base.config import NOT_TO_BE_HIDDEN, InvalidConfigError
from opslifecycle_codegen.emit import write
from opslifecycle_codegen.ir.symbols import pascal
from opslifecycle_codegen.source.parser import is_name

_TABLE = "tool.opslifecycle-codegen"


def begin(project: Path, name: str) -> list[PurePosixPath]:
    """Write a machine, its test and its configuration; return the paths.

    Raises InvalidConfigError, and writes nothing, if one of the files exists already.
    """
    if not is_name(name):
        raise InvalidConfigError(f"{name!r} is no name for a machine; use snake_case: order_line")
    if name in NOT_TO_BE_HIDDEN:
        message = f"a package {name!r} would hide the module that generated code needs"
        raise InvalidConfigError(f"{message}; choose another name, such as {name}_item")
    words = {"name": name, "title": pascal(name), "human": name.replace("_", " ")}
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("opslifecycle_codegen", "emit/templates/init"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        variable_start_string="<<",
        variable_end_string=">>",
        autoescape=False,
    )
    targets = {
        "machine.yaml.j2": PurePosixPath("machine", f"{name}.yaml"),
        "test.py.j2": PurePosixPath("tests", f"test_{name}.py"),
    }
    for path in targets.values():
        if (project / path).exists():
            raise InvalidConfigError(f"{path} is there already; it was left as it is")
    files = {
        path: environment.get_template(template).render(**words)
        for template, path in targets.items()
    }
    files[PurePosixPath("pyproject.toml")] = _configured(
        project, environment.get_template("pyproject.toml.j2").render(**words), name
    )
    write.write(project, files)
    return list(files)


def _configured(project: Path, fresh: str, name: str) -> str:
    """Return the existing configuration with a table for the machine added."""
    path = project / "pyproject.toml"
    if not path.exists():
        return fresh
    found = path.read_text(encoding="utf-8")
    if re.search(rf"machine/{re.escape(name)}\.yaml", found):
        raise InvalidConfigError(f"pyproject.toml names machine/{name}.yaml already")
    start = fresh.index(f"[[{_TABLE}.machine]]")
    end = fresh.find("\n[", start + 1)
    table = fresh[start : end if end != -1 else None].rstrip("\n")
    return f"{found.rstrip()}\n\n{table}\n"
