"""The types of the machine language, and their annotations in Python."""

from __future__ import annotations

from attrs import frozen


@frozen
class Type:
    """A type: its kind, its name, and its inner type.

    Kinds with a name: id, enum, record, union, variant, foreign, class. With an inner type:
    optional, collection, counts (a count for each member of an enum). Others have neither.
    """

    kind: str
    name: str = ""
    inner: Type | None = None

    def __str__(self) -> str:
        if self.kind == "optional":
            return f"{self.inner} | None"
        if self.inner is not None:
            return f"{self.kind} of {self.inner}"
        return self.name or self.kind

    @property
    def optional(self) -> bool:
        """Whether None is a value."""
        return self.kind == "optional"

    @property
    def required(self) -> Type:
        """The type without None."""
        return self.inner if self.kind == "optional" and self.inner is not None else self

    @property
    def python(self) -> str:
        """The annotation in generated code."""
        if self.kind == "optional":
            return f"{self.required.python} | None"
        return _PYTHON.get(self.kind, self.name)

    @property
    def numeric(self) -> bool:
        """Whether values can be added and ordered."""
        return self.kind in ("int", "float", "unknown")


_PYTHON = {"bool": "bool", "int": "int", "float": "float", "str": "str", "name": "str"}

BOOL = Type("bool")
INT = Type("int")
#: The greatest int, from 0: what a signed integer of 64 bits holds, in every store.
INT_MAX = 2**63 - 1
FLOAT = Type("float")
STR = Type("str")
NAME = Type("name")
NONE = Type("none")
ENTITY = Type("entity")
REGISTRY = Type("registry")
ACTION = Type("action")
STATUSES = Type("statuses")
ROW = Type("row")
BARRIER = Type("barrier")
#: The type of an expression with a reported error; it fits everywhere, to report an error once.
UNKNOWN = Type("unknown")

SCALARS = {"bool": BOOL, "int": INT, "float": FLOAT, "str": STR, "name": NAME}


def optional(inner: Type) -> Type:
    """`inner` or None."""
    return inner if inner.kind in ("optional", "none") else Type("optional", inner=inner)


def collection(inner: Type) -> Type:
    """Many of `inner`."""
    return Type("collection", inner=inner)


def fits(given: Type, wanted: Type) -> bool:
    """Return whether a value of type `given` is valid as a `wanted`."""
    if given == wanted or UNKNOWN in (given.required, wanted.required):
        return True
    if wanted.kind == "optional":
        return given == NONE or fits(given.required, wanted.required)
    if given.kind == "variant" and wanted.kind == "union":
        return given.inner == wanted
    if wanted == FLOAT:
        return given == INT
    if wanted == STR:
        return given == NAME
    return False


def join(one: Type, other: Type) -> Type | None:
    """Return the common type of both, or None."""
    if fits(one, other):
        return other
    if fits(other, one):
        return one
    if one == NONE:
        return optional(other)
    if other == NONE:
        return optional(one)
    if one.kind == "optional" or other.kind == "optional":
        inner = join(one.required, other.required)
        return None if inner is None else optional(inner)
    return None
