"""Stage 3, analyze: the placeholders in the messages of errors.

What is wrong in one would raise where the message is printed, which may be a handler of the error.
"""

from __future__ import annotations

import re
import string
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from opslifecycle_codegen.base.diagnostics import Diagnostics, nearest
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.scope import Scope
from opslifecycle_codegen.ir.types import UNKNOWN, Type
from opslifecycle_codegen.source.words import Text

_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
#: Fields in formats; and widths that would fill the memory.
_NO_FORMAT = re.compile(r"[{}]|[0-9]{4}")
#: A value of each kind, with which a format is tried. Members and values of classes take none.
_SAMPLES = {
    "bool": True, "int": 1, "float": 1.5, "str": "text", "name": "text",
    "datetime": datetime(2000, 1, 1, tzinfo=UTC), "timedelta": timedelta(), "decimal": Decimal(1),
}  # fmt: skip


def check_messages(program: Program, diagnostics: Diagnostics) -> None:
    """Report placeholders of messages that could not be printed."""
    for name, rejection in program.machine.errors.items():
        fields = program.error_fields[str(name)]
        _Message(program, str(name), rejection.message, fields, diagnostics).check()


class _Message:
    def __init__(
        self, program: Program, error: str, text: Text, fields: dict[str, Type], found: Diagnostics
    ) -> None:
        self._scope = Scope(program.symbols, {})
        self._error = error
        self._text = text
        self._fields = fields
        self._diagnostics = found

    def check(self) -> None:
        """Report every placeholder that is wrong, once."""
        try:
            parts = list(string.Formatter().parse(self._text))
        except ValueError as error:
            self._add("bad-template", f"{self._error} has an invalid placeholder: {error}")
            return
        found = [each for each in parts if each[1] is not None]
        for _, path, spec, conversion in dict.fromkeys(found):
            type = self._type_of(path or "")
            if type != UNKNOWN:
                self._check_format(path or "", type, spec or "", conversion)

    def _type_of(self, path: str) -> Type:
        """Return the type of what a placeholder names; UNKNOWN after an error."""
        type, known, said = UNKNOWN, self._fields, self._error
        if not _PATH.fullmatch(path):
            message = f"{said} says {{{path}}}, which is no field of it"
            self._add("unknown-name", message, nearest(path, known))
            return UNKNOWN
        for place, word in enumerate(path.split(".")):
            if place and type.optional:
                message = f"{said} says {{{path}}}, and what is before .{word} may be None"
                self._add("may-be-none", message, "make it a field of its own")
                return UNKNOWN
            if type.kind == "foreign":
                return UNKNOWN
            if place:
                known, said = self._scope.attributes_of(type), str(type)
            if word not in known:
                message = f"{self._error} says {{{path}}}, which is no field of it"
                if place:
                    message = f"{self._error} says {{{path}}}, and {said} has no {word!r}"
                self._add("unknown-name", message, nearest(word, known))
                return UNKNOWN
            type = known[word]
        return type

    def _check_format(self, path: str, type: Type, spec: str, conversion: str | None) -> None:
        if conversion not in (None, "r", "s", "a"):
            message = f"{{{path}!{conversion}}} is not r, s or a"
        elif not spec or _takes("text" if conversion else _SAMPLES.get(type.kind), spec):
            return
        else:
            message = f"a value of type {type} does not take the format {spec!r}"
        self._add("bad-template", f"{self._error} has an invalid placeholder: {message}")

    def _add(self, rule: str, message: str, hint: str = "") -> None:
        self._diagnostics.add(self._text.mark, rule, message, hint)


def _takes(sample: object, spec: str) -> bool:
    if sample is None or _NO_FORMAT.search(spec):
        return False
    try:
        format(sample, spec)
    except ValueError:
        return False
    return True
