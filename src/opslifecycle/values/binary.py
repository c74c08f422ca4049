"""Bytes of a limited length: their check, and the base64 text that stores and JSON have."""

from __future__ import annotations

import binascii

from opslifecycle.errors import InvalidValueError
from opslifecycle.values.checks import expected


def check_bytes(field: str, value: object, max_length: int) -> None:
    """Check for at most so many bytes. A bytearray, which can change, is refused."""
    if type(value) is not bytes:
        expected(field, "bytes", value)
    if len(value) > max_length:
        reason = f"expected at most {max_length} bytes, got {len(value)}"
        raise InvalidValueError(field, reason)


def bytes_text(value: bytes) -> str:
    """Return bytes as base64 text."""
    return binascii.b2a_base64(value, newline=False).decode("ascii")


def bytes_of_data(data: object) -> bytes:
    """Return the bytes of base64 text; their number is checked where it is declared.

    Raises:
        InvalidValueError: The data is no such text, or not as `bytes_text` writes it.
    """
    if type(data) is str:
        try:
            value = binascii.a2b_base64(data, strict_mode=True)
        except ValueError:
            value = b""
        if bytes_text(value) == data:
            return value
    raise InvalidValueError("", f"expected base64 text, got {data!r:.80}")


def bytes_from(data: object, max_length: int) -> bytes:
    """Return stored bytes; raises InvalidValueError for anything else, or for more of them."""
    value = bytes_of_data(data)
    check_bytes("", value, max_length)
    return value


def optional_bytes_from(data: object, max_length: int) -> bytes | None:
    """Return stored bytes or None; raises InvalidValueError for anything else."""
    return None if data is None else bytes_from(data, max_length)
