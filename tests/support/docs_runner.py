"""Runs a page of the documentation: what it shows is what happens."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from tests.support.warm import python

_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_TITLE = re.compile(r'title="([^"]+)"')


def run_page(text: str, folder: Path) -> int:
    """Do everything that a page says, in an empty folder; gives how many blocks were run."""
    done = 0
    for language, info, content in _BLOCK.findall(text):
        title = _TITLE.search(info)
        if language == "console":
            for command, expected in _commands(content):
                _run(command, expected, folder, fails="fails" in info)
        elif title is not None and language == "diff":
            _edit(folder / title[1], content)
        elif title is not None:
            (folder / title[1]).write_text(content, encoding="utf-8")
        else:
            continue
        done += 1
    return done


def _commands(content: str) -> list[tuple[str, list[str]]]:
    """Each command with the lines that it is to print."""
    found: list[tuple[str, list[str]]] = []
    for line in content.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def _run(command: str, expected: list[str], folder: Path, *, fails: bool) -> None:
    words = shlex.split(command, comments=True)
    modules = {
        "opslifecycle-codegen": ["-m", "opslifecycle_codegen.cli.main"],
        "opslifecycle": ["-m", "opslifecycle.cli.main"],
        "python": [],
    }
    environment = {**os.environ, "COLUMNS": "100"}
    environment.pop("OPSLIFECYCLE_STORE", None)
    done = python(*modules[words[0]], *words[1:], cwd=folder, env=environment)
    assert (done.returncode != 0) is fails, f"$ {command}\n{done.stdout}"
    if not expected:
        return
    # Three dots stand for anything, within a line or for lines of their own.
    pattern = "".join(
        "(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*") + "\n"
        for line in expected
    )
    assert re.fullmatch(pattern, done.stdout), f"$ {command}\n{done.stdout}\nexpected:\n{pattern}"


def _edit(path: Path, content: str) -> None:
    """Replace the lines that go by those that come; the last may be the beginning of one."""
    lines = content.splitlines()
    old = "\n".join(line[1:] for line in lines if line[:1] in "- ")
    new = "\n".join(line[1:] for line in lines if line[:1] in "+ ")
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path.name} does not hold exactly once: {old}"
    path.write_text(text.replace(old, new), encoding="utf-8")
