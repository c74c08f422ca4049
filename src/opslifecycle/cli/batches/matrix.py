"""Variants of one command: a text with `{{name}}` has another value in each."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence

_PLACEHOLDER = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
VARIANTS_MAX = 1000


class UnknownPlaceholderError(Exception):
    """A placeholder without a value; the text names it and what there is."""


def combinations(axes: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    """Return each combination of one value from every axis; one without values if there is none."""
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def fill(text: str, values: Mapping[str, str]) -> str:
    """Return a text with its placeholders replaced; unchanged if there are no values.

    Raises:
        UnknownPlaceholderError: A placeholder names none of the values.
    """
    if not values:
        return text

    def value_of(match: re.Match[str]) -> str:
        if match[1] not in values:
            known = ", ".join(values)
            raise UnknownPlaceholderError(f"{match[0]} is not in the matrix, which has {known}")
        return values[match[1]]

    return _PLACEHOLDER.sub(value_of, text)
