"""The words of a machine file: texts with their places, and what every declaration has."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from opslifecycle_codegen.base.diagnostics import Location


class Text(str):
    """A text of the file, with its place."""

    mark: Location
    precise: bool

    def __new__(cls, text: str, mark: Location, *, precise: bool = True) -> Text:
        """Create a text that begins at `mark`; `precise` if columns count from there."""
        self = super().__new__(cls, text)
        self.mark = mark
        self.precise = precise
        return self


class Name(Text):
    """A snake_case word: [a-z][a-z0-9_]*, no Python keyword."""


class TypeName(Text):
    """A PascalCase word: [A-Z][A-Za-z0-9]*."""


class Expr(Text):
    """An expression."""


class TypeExpr(Text):
    """A type: a scalar, a declared name, or one of these and `| None`."""


class NameList(tuple[Text, ...]):
    """One word or a list of words."""

    __slots__ = ()


#: The place of a word that no file has.
NOWHERE = Location("", 1, 1)

#: Marks a field that takes every key which no other field names.
REST = {"rest": True}


@frozen(kw_only=True)
class Declared:
    """A base for what is declared: it has a place."""

    mark: Location
    shorthand: ClassVar[str] = ""
