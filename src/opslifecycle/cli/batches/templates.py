"""Commands from a template and a list of values, as in `convert {} {.}.png`."""

from __future__ import annotations

import os.path
import re
import shlex
from collections.abc import Callable, Iterable, Mapping

from opslifecycle.cli.batches.model import Command, Retry, shortened_name

#: What stands for a value in a template, and what replaces it.
PLACEHOLDERS: Mapping[str, Callable[[str], str]] = {
    "{}": lambda value: value,
    "{.}": lambda value: os.path.splitext(value)[0],
    "{/}": os.path.basename,
    "{//}": lambda value: os.path.dirname(value) or ".",
    "{/.}": lambda value: os.path.splitext(os.path.basename(value))[0],
}
_NUMBER = "{#}"
_ANY = re.compile("|".join(re.escape(each) for each in (*PLACEHOLDERS, _NUMBER)))


def commands_of(
    template: str, values: Iterable[str], *, timeout_seconds: float | None, retry: Retry
) -> list[Command]:
    """Return a command for each value: the template, in which quoted texts replace placeholders.

    A template without a placeholder gets the value as its last word.

    Args:
        template: A text for the shell.
        values: The values.
        timeout_seconds: The limit of each attempt; None for no limit.
        retry: What happens when a command fails.
    """
    if not _ANY.search(template):
        template += " {}"
    found: dict[str, Command] = {}
    for number, value in enumerate(values, 1):
        text = _filled(template, value, number)
        name = shortened_name(text)
        if name in found:
            name = f"{name} #{number}"
        found[name] = Command(name, text, timeout_seconds, retry=retry)
    return list(found.values())


def _filled(template: str, value: str, number: int) -> str:
    def replacement(match: re.Match[str]) -> str:
        if match[0] == _NUMBER:
            return str(number)
        return shlex.quote(PLACEHOLDERS[match[0]](value))

    return _ANY.sub(replacement, template)
