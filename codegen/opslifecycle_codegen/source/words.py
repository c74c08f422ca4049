"""Scalars of a machine file with their locations, and the base of all declarations."""

from __future__ import annotations

from typing import ClassVar, Self, TypeVar

from attrs import frozen

from opslifecycle_codegen.base.diagnostics import Location

T = TypeVar("T")


class Text(str):
    """A text of the file with its location."""

    mark: Location
    precise: bool

    def __new__(cls, text: str, mark: Location, *, precise: bool = True) -> Self:
        """Create a text at `mark`; `precise` if offsets in the text are columns of the file."""
        self = super().__new__(cls, text)
        self.mark = mark
        self.precise = precise
        return self


class Name(Text):
    """A snake_case word: [a-z][a-z0-9_]*, no Python keyword."""


class GuardUse(Name):
    """A guard by its name, with an expression for each of its parameters."""

    arguments: dict[Name, Expr]

    def __new__(
        cls, text: str, mark: Location, *, precise: bool = True,
        arguments: dict[Name, Expr] | None = None,
    ) -> Self:  # fmt: skip
        """Create a use of a guard at `mark`."""
        self = super().__new__(cls, text, mark, precise=precise)
        self.arguments = arguments or {}
        return self


class TypeName(Text):
    """A PascalCase word: [A-Z][A-Za-z0-9]*."""


class Expr(Text):
    """An expression."""


class TypeExpr(Text):
    """A type: a scalar, a declared name, or one of these and `| None`."""


class Number(int):
    """An integer with or without a sign; other integers of the grammar have none."""

    __slots__ = ()


class NameList(tuple[Text, ...]):
    """One word or a list of words."""

    __slots__ = ()


#: The location of a word that the compiler made.
NOWHERE = Location("", 1, 1)

#: Marks the field that holds every key that no other field names.
REST = {"rest": True}

#: The key of the metadata of a field that is mandatory without the field that it names.
UNLESS = "unless"


@frozen(kw_only=True)
class Declared:
    """The base of all declarations, with a location."""

    mark: Location
    shorthand: ClassVar[str] = ""


class OneOrMore(tuple[T, ...]):
    """One declaration of a class of the grammar, `item`, or a list of them."""

    __slots__ = ()
    item: ClassVar[type[Declared]]
