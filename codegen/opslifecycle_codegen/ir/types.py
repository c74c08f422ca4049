"""The types of the machine language, and their annotations in Python."""

from __future__ import annotations

import re

from attrs import field, frozen


@frozen
class Limits:
    """What a declared type allows of the values of its kind; None where it says nothing."""

    minimum: int | None = None
    maximum: int | None = None
    max_length: int | None = None
    pattern: str = ""
    #: The digits behind the point; the minimum and the maximum count units of the last one.
    places: int | None = None
    #: A value, for generated tests.
    example: str = field(default="", eq=False)

    def accepts(self, text: str) -> bool:
        """Return whether a text is a value."""
        short = self.max_length is None or len(text) <= self.max_length
        return short and (not self.pattern or re.fullmatch(self.pattern, text) is not None)


@frozen
class Type:
    """A type: its kind, its name, and its inner type.

    Kinds with a name: id, enum, record, union, variant, foreign, class. With an inner type:
    optional, collection, counts (a count for each member of an enum), list, frozenset, dict (with
    the type of its keys, too). Others have neither; a declared type gives one of them a name and
    limits.
    """

    kind: str
    name: str = ""
    inner: Type | None = None
    limits: Limits | None = None
    #: The type of the keys of a dict.
    key: Type | None = None

    def __str__(self) -> str:
        if self.kind == "optional":
            return f"{self.inner} | None"
        if self.several:
            return self.name or self._spelled
        if self.inner is not None:
            return f"{self.kind} of {self.inner}"
        if self.kind == "decimal" and not self.name:
            return f"Decimal of {self.places} places"
        return self.name or self.kind

    @property
    def described(self) -> str:
        """What the values are, in words: `int from 1 to 9`."""
        if self.limits is None:
            return str(self)
        if self.kind == "int":
            least, most = self.range
            return f"int from {least} to {most}"
        if self.kind == "decimal":
            ends = (decimal_notation(each, self.places) for each in self.range)
            return f"Decimal from {' to '.join(ends)}"
        if self.kind == "bytes":
            return f"at most {self.limits.max_length} bytes"
        if self.several:
            has_length = self.kind != "frozenset"
            longest = f" of at most {self.limits.max_length}" if has_length else ""
            return f"{self._spelled}{longest}"
        limits, parts = self.limits, [self.kind]
        if limits.max_length is not None:
            parts.append(f"of at most {limits.max_length} characters")
        if limits.pattern:
            parts.append(f"that matches {limits.pattern}")
        return " ".join(parts)

    @property
    def _spelled(self) -> str:
        key = f"{self.key}, " if self.key is not None else ""
        return f"{self.kind}[{key}{self.inner}]"

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
        if self.several and self.inner is not None:
            of = self.inner.python
            if self.kind == "dict":
                return f"_rt.FrozenDict[{of}]"
            return f"tuple[{of}, ...]" if self.kind == "list" else f"frozenset[{of}]"
        return _PYTHON.get(self.kind, self.name)

    @property
    def several(self) -> bool:
        """Whether values are collections that a machine declares."""
        return self.kind in ("list", "frozenset", "dict")

    @property
    def numeric(self) -> bool:
        """Whether values can be added and ordered."""
        return self.kind in ("int", "float", "unknown")

    @property
    def ordered(self) -> bool:
        """Whether values can be compared with `<`."""
        return self.numeric or self.kind in ("datetime", "timedelta", "decimal")

    @property
    def integral(self) -> bool:
        """Whether values are whole numbers in rules.

        Times and durations count microseconds, decimal numbers units of their last digit.
        """
        return self.kind in ("int", "datetime", "timedelta", "decimal")

    @property
    def places(self) -> int:
        """The number of digits behind the point of a decimal number."""
        return (self.limits and self.limits.places) or 0

    @property
    def range(self) -> tuple[int, int]:
        """The least and the greatest integer of the type."""
        if self.kind in _MOMENTS:
            return _MOMENTS[self.kind]
        limits = self.limits or Limits()
        least = 0 if limits.minimum is None else limits.minimum
        return least, INT_MAX if limits.maximum is None else limits.maximum


_PYTHON = {
    "bool": "bool", "int": "int", "float": "float", "str": "str", "name": "str",
    "bytes": "bytes",
    "datetime": "_dt.datetime", "timedelta": "_dt.timedelta", "decimal": "_dec.Decimal",
}  # fmt: skip
#: The years 1 to 9999, in microseconds since the beginning of 1970; and the time between them.
_TIMES = (-62_135_596_800_000_000, 253_402_300_799_999_999)
_MOMENTS = {"datetime": _TIMES, "timedelta": (_TIMES[0] - _TIMES[1], _TIMES[1] - _TIMES[0])}

BOOL = Type("bool")
INT = Type("int")
#: The least and the greatest integer that a machine can declare: 64 bits with a sign, which every
#: store holds. Without a declared range, an int begins at 0.
INT_MIN, INT_MAX = -(2**63), 2**63 - 1
#: The most digits of a decimal number: as many as fit into 64 bits with a sign.
DIGITS_MAX = 18
#: An integer of which no declaration says that it is not negative.
SIGNED = Type("int", limits=Limits(INT_MIN, INT_MAX))
FLOAT = Type("float")
STR = Type("str")
#: A time in UTC, and the time between two, both in microseconds.
DATETIME, TIMEDELTA = Type("datetime"), Type("timedelta")
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

SCALARS = {"bool": BOOL, "int": INT, "float": FLOAT, "str": STR, "name": NAME,
           "datetime": DATETIME, "timedelta": TIMEDELTA}  # fmt: skip


def decimal(places: int) -> Type:
    """Return the type of a computed decimal number, which has a range only where it is stored."""
    return Type("decimal", limits=Limits(INT_MIN, INT_MAX, places=places))


def decimal_notation(units: int, places: int) -> str:
    """Return a decimal number, of units of its last digit, as text: 1250 and 2 make `12.50`."""
    digits = str(abs(units)).rjust(places + 1, "0")
    whole, rest = digits[: len(digits) - places], digits[len(digits) - places :]
    return f"{'-' * (units < 0)}{whole}{f'.{rest}' if places else ''}"


def decimal_units(text: str, places: int) -> int | None:
    """Return the text of a number in units of its last digit; None if that is not exact."""
    found = re.fullmatch(r"(-?)(\d{1,40})(?:\.(\d{1,40}))?", text)
    if found is None:
        return None
    sign, whole, rest = found.groups()
    rest = (rest or "").rstrip("0")
    if len(rest) > places:
        return None
    units = int(whole + rest.ljust(places, "0"))
    return -units if sign else units


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
    if given.kind == wanted.kind == "int":
        # That the value is in the range is shown by its bounds, or by a guard.
        return True
    if given.kind == wanted.kind == "decimal":
        # Nothing is rounded, so the number of digits behind the point has to be the same.
        return given.places == wanted.places
    if given.several and given.kind == wanted.kind:
        # That a list is not too long is shown by the lengths of its parts, or by a guard.
        return (given.inner, given.key) == (wanted.inner, wanted.key)
    if wanted == FLOAT:
        return given.kind == "int"
    if wanted == STR:
        return given.kind in ("name", "str")
    return False


def join(one: Type, other: Type) -> Type | None:
    """Return the common type of both, or None."""
    bare, others = one.required, other.required
    if bare.kind == others.kind == "int" and bare != others:
        number = SIGNED if min(bare.range[0], others.range[0]) < 0 else INT
        return optional(number) if one.optional or other.optional else number
    if bare.kind == others.kind == "decimal" and bare != others:
        if bare.places != others.places:
            return None
        computed = decimal(bare.places)
        return optional(computed) if one.optional or other.optional else computed
    if bare.several and bare.kind == others.kind and bare != others:
        # The length of either side may be greater than the other type allows.
        same = (bare.inner, bare.key) == (others.inner, others.key)
        joined = Type(bare.kind, inner=bare.inner, key=bare.key) if same else None
        return optional(joined) if joined and (one.optional or other.optional) else joined
    if fits(one, other):
        return other
    if fits(other, one):
        return one
    if bare.kind == others.kind == "variant" and bare.inner is not None:
        union = bare.inner if bare.inner == others.inner else None
        return optional(union) if union and (one.optional or other.optional) else union
    if one == NONE:
        return optional(other)
    if other == NONE:
        return optional(one)
    if one.kind == "optional" or other.kind == "optional":
        inner = join(one.required, other.required)
        return None if inner is None else optional(inner)
    return None
