"""Lines in a format of the user's own, for `opslifecycle ls --format`."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping

import click
from opslifecycle.cli.moments import shown
from opslifecycle.cli.text import one_line
from opslifecycle.inspection.records import Found, age

_ESCAPES = {r"\t": "\t", r"\n": "\n", r"\0": "\0"}


def _duration(found: Found) -> str:
    started, ended = found.snapshot.started_at_ms, found.snapshot.completed_at_ms
    return "" if started is None or ended is None else f"{(ended - started) / 1000:.3f}"


#: What a format can name.
FIELDS: Mapping[str, Callable[[Found], str]] = {
    "id": lambda found: found.id,
    "status": lambda found: found.status,
    "name": lambda found: one_line(found.name),
    "kind": lambda found: found.snapshot.kind.value,
    "age": lambda found: age(found.age_ms()),
    "created": lambda found: shown(found.snapshot.created_at_ms),
    "started": lambda found: shown(found.snapshot.started_at_ms),
    "ended": lambda found: shown(found.snapshot.completed_at_ms),
    "seconds": _duration,
    "reason": lambda found: one_line(found.reason),
    "registry": lambda found: one_line(found.registry),
}


class LineFormat(click.ParamType[str]):
    """A text in which fields such as `{id}` stand for values, as `str.format` reads it."""

    name = "format"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """See `click.ParamType.convert`."""
        text = str(value)
        for escape, character in _ESCAPES.items():
            text = text.replace(escape, character)
        try:
            names = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
            unknown = [name for name in names if name not in FIELDS]
            if not unknown:
                text.format_map(dict.fromkeys(FIELDS, ""))
        except ValueError as error:
            self.fail(f"{value!r}: {error}; write {{{{ for a brace", param, ctx)
        if unknown:
            known = ", ".join(FIELDS)
            self.fail(f"{value!r}: there is no field {{{unknown[0]}}}; it has {known}", param, ctx)
        return text


def formatted(text: str, found: Found) -> str:
    """Return the line of an operation."""
    return text.format_map({name: value(found) for name, value in FIELDS.items() if name in text})
