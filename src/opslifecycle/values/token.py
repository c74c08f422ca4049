"""Obligation tokens: proofs that only a registry creates."""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar

from opslifecycle.values.not_copyable import NotCopyable

TokenT = TypeVar("TokenT", bound="ObligationToken")


class ObligationToken(NotCopyable):
    """Base of tokens whose existence proves something.

    Only the registry creates one: the constructor, copying and pickling raise TypeError. This
    protects against mistakes; it is not a security boundary. Tokens are immutable and compare by
    identity.
    """

    __slots__: tuple[str, ...] = ()

    def __init__(self) -> None:
        raise TypeError(f"{type(self).__name__} is made by the registry alone")

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in type(self).__slots__)
        return f"{type(self).__name__}({fields})"


def mint(kind: type[TokenT], **fields: Any) -> TokenT:
    """Return a token with its fields. Only the shell calls this."""
    token = object.__new__(kind)
    for name, value in fields.items():
        object.__setattr__(token, name, value)
    return token
