"""Plain data: JSON texts and what they contain, with the conversions that need no cattrs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from json.encoder import encode_basestring
from typing import Any, TypeAlias

from opslifecycle.errors import InvalidValueError
from opslifecycle.values.checks import COUNT_MAX, limited_text

#: JSON-ready data: dicts, lists, texts, numbers, booleans and None. Not checked by type checkers,
#: as the results of `json.loads` are not.
Json: TypeAlias = Any
#: A JSON object.
Data: TypeAlias = dict[str, Json]

#: Why data is refused that lacks a key, or that has one too many.
MISSING = "is missing; add it, or pass what the same version of the machine has written"
UNKNOWN_HERE = "is not known here; remove it, or pass what this version of the machine has written"

#: A text as a JSON string, by the function that the json module itself uses.
json_text: Callable[[str], str] = encode_basestring


def error_text(error: BaseException, form: Callable[[BaseException], str] = str) -> str:
    """Return the text of an error, also if its own methods fail: programs have any errors.

    Args:
        error: The error.
        form: `str` or `repr`.
    """
    try:
        # A subclass of str has methods of its own.
        return str.__str__(form(error))
    except KeyboardInterrupt:
        raise
    except BaseException as failure:
        return f"{type(error).__name__} without a text: {type(failure).__name__} was raised for it"


def count_from(data: object) -> int:
    """Return a stored count.

    Raises:
        InvalidValueError: The data is no integer from 0 to COUNT_MAX.
    """
    if type(data) is not int or not 0 <= data <= COUNT_MAX:
        raise InvalidValueError("", f"expected an integer from 0 to {COUNT_MAX}, got {data!r:.80}")
    return data


def optional_count_from(data: object) -> int | None:
    """Return a stored count or None.

    Raises:
        InvalidValueError: The data is neither None nor an integer from 0 to COUNT_MAX.
    """
    return None if data is None else count_from(data)


def int_from(data: object, least: int, most: int) -> int:
    """Return a stored integer of a range.

    Raises:
        InvalidValueError: The data is no integer from `least` to `most`.
    """
    if type(data) is not int or not least <= data <= most:
        reason = f"expected an integer from {least} to {most}, got {data!r:.80}"
        raise InvalidValueError("", reason)
    return data


def optional_int_from(data: object, least: int, most: int) -> int | None:
    """Return a stored integer of a range or None.

    Raises:
        InvalidValueError: The data is neither None nor an integer from `least` to `most`.
    """
    return None if data is None else int_from(data, least, most)


def str_from(data: object, max_length: int | None, pattern: str) -> str:
    """Return a stored text with limits.

    Raises:
        InvalidValueError: The data is no text, too long, or not matched by `pattern`.
    """
    limited_text("", data, max_length, pattern)
    assert isinstance(data, str)
    return data


def optional_str_from(data: object, max_length: int | None, pattern: str) -> str | None:
    """Return a stored text with limits or None.

    Raises:
        InvalidValueError: The data is neither None nor a text within the limits.
    """
    return None if data is None else str_from(data, max_length, pattern)


#: How deep stored data may be nested. No registry writes data that is nested half as deep, and
#: `json.loads` needs so little of the stack for it that more is damage, and not a full stack.
DEPTH_MAX = 200
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')


def json_of(text: str | bytes) -> Json:
    """Return what a JSON text contains.

    Raises:
        ValueError: The text is no JSON, or nested deeper than DEPTH_MAX levels.
        RecursionError: The stack has no room left, whatever the text.
    """
    try:
        return json.loads(text)
    except RecursionError:
        if not _is_deep(text if isinstance(text, str) else text.decode("latin-1")):
            raise
        raise ValueError(f"it is nested deeper than {DEPTH_MAX} levels") from None


def _is_deep(text: str) -> bool:
    depth = 0
    for each in _BRACKETS.finditer(text):
        depth += (each[0] in "[{") - (each[0] in "]}")
        if depth > DEPTH_MAX:
            return True
    return False


def is_deeper(data: Json, levels: int) -> bool:
    """Return whether data is nested deeper than some levels; it may contain itself."""
    if not levels:
        return True
    if isinstance(data, dict):
        data = data.values()
    elif not isinstance(data, list | tuple):
        return False
    return any(is_deeper(each, levels - 1) for each in data)


def data_of(text: str, known: frozenset[str] | None = None) -> Data:
    """Return the JSON object that a text contains, after a check of its keys.

    Args:
        text: JSON.
        known: The keys that are allowed; None for any. Keys may be missing.

    Raises:
        InvalidValueError: The text is no JSON, no object, or has a key that is not in `known`.
    """
    try:
        data = json_of(text)
    except ValueError as error:
        raise InvalidValueError("value", f"expected JSON, got {text!r:.80}: {error}") from None
    if not isinstance(data, dict):
        raise InvalidValueError("value", f"expected an object, got {type(data).__name__}")
    if known is not None:
        for key in data:
            if key not in known:
                raise InvalidValueError(key, UNKNOWN_HERE)
    return data


#: `json.dumps` would make an encoder for each call, which takes longer than the encoding.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def text_of(data: Json) -> str:
    """Return data as compact JSON text.

    Raises:
        ValueError: For NaN and the infinities, which JSON does not have.
    """
    return _ENCODER.encode(data)
