"""Intervals of integers, and what arithmetic makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from attrs import frozen


@frozen
class Interval:
    """The least and the greatest value of an expression; None where there is no bound."""

    least: int | None
    most: int | None

    def within(self, other: Interval) -> bool:
        """Return whether every value is in another interval."""
        low = other.least is None or (self.least is not None and self.least >= other.least)
        high = other.most is None or (self.most is not None and self.most <= other.most)
        return low and high

    def has(self, value: int) -> bool:
        """Return whether a value is in the interval."""
        return Interval(value, value).within(self)

    def joined(self, other: Interval) -> Interval:
        """Return the smallest interval around both."""
        return Interval(
            _whole(min, [self.least, other.least]), _whole(max, [self.most, other.most])
        )

    def met(self, other: Interval) -> Interval:
        """Return the interval of the values that are in both."""
        leasts = [each for each in (self.least, other.least) if each is not None]
        mosts = [each for each in (self.most, other.most) if each is not None]
        return Interval(max(leasts, default=None), min(mosts, default=None))


ANYTHING = Interval(None, None)


def calculated(operator: str, one: Interval, other: Interval) -> Interval:
    """Return the bounds of `one operator other`; a divisor of zero has no result."""
    if operator == "+":
        return Interval(_added(one.least, other.least), _added(one.most, other.most))
    if operator == "-":
        return Interval(_taken(one.least, other.most), _taken(one.most, other.least))
    if operator == "*":
        return _product(one, other)
    divisors = [each for each in _without_zero(other) if each is not None]
    results = [
        _quotient(one, each) if operator == "//" else _remainder(one, each) for each in divisors
    ]
    return around(results) if results else ANYTHING


def extreme(function: str, parts: list[Interval]) -> Interval:
    """Return the bounds of the least, or the greatest, of some numbers."""
    leasts, mosts = [each.least for each in parts], [each.most for each in parts]
    if function == "min":
        known = [each for each in mosts if each is not None]
        return Interval(_whole(min, leasts), min(known, default=None))
    known = [each for each in leasts if each is not None]
    return Interval(max(known, default=None), _whole(max, mosts))


def around(intervals: Iterable[Interval]) -> Interval:
    """Return the smallest interval around some, of which there is one at least."""
    first, *others = intervals
    for each in others:
        first = first.joined(each)
    return first


def _product(one: Interval, other: Interval) -> Interval:
    if 0 in (one.least, one.most) and one.least == one.most:
        return one
    signs = [each for part in (one, other) for each in (part.least, part.most)]
    if None not in signs:
        corners = [a * b for a in _ends(one) for b in _ends(other)]
        return Interval(min(corners), max(corners))
    # Without a bound, only signs say something: of two numbers that are not negative, or of one.
    if _positive(one) and _positive(other):
        assert one.least is not None
        assert other.least is not None
        return Interval(one.least * other.least, None)
    return ANYTHING


def _ends(interval: Interval) -> tuple[int, int]:
    assert interval.least is not None
    assert interval.most is not None
    return interval.least, interval.most


def _positive(interval: Interval) -> bool:
    return interval.least is not None and interval.least >= 0


def _without_zero(divisor: Interval) -> Iterator[Interval | None]:
    """Yield the negative and the positive part of a divisor, as far as there are."""
    below, above = divisor.met(Interval(None, -1)), divisor.met(Interval(1, None))
    for part in (below, above):
        empty = part.least is not None and part.most is not None and part.least > part.most
        yield None if empty else part


def _quotient(one: Interval, divisor: Interval) -> Interval:
    """Return the bounds of a quotient by a divisor of one sign."""
    if divisor.most is not None and divisor.most < 0:
        return _quotient(_negative(one), _negative(divisor))
    nearest = divisor.least
    assert nearest is not None
    furthest = divisor.most
    least = one.least
    if least is not None:
        # A negative number is the smaller the smaller its divisor is, another one the greater.
        least = least // nearest if least < 0 else 0 if furthest is None else least // furthest
    most = one.most
    if most is not None:
        most = most // nearest if most >= 0 else -1 if furthest is None else most // furthest
    return Interval(least, most)


def _remainder(one: Interval, divisor: Interval) -> Interval:
    """Return the bounds of a remainder, which has the sign of its divisor."""
    if divisor.most is not None and divisor.most < 0:
        return _negative(_remainder(_negative(one), _negative(divisor)))
    most = None if divisor.most is None else divisor.most - 1
    return Interval(0, most).met(Interval(None, one.most)) if _positive(one) else Interval(0, most)


def _negative(interval: Interval) -> Interval:
    return calculated("-", Interval(0, 0), interval)


def _added(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _taken(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one - other


def _whole(choose: Callable[..., int], values: list[int | None]) -> int | None:
    """Return what is chosen of values that are all known; None if one is not."""
    known = [each for each in values if each is not None]
    return choose(known) if len(known) == len(values) else None
