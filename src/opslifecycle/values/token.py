"""Obligation tokens: objects that only a registry creates, as proof of what it has done."""

from __future__ import annotations

from typing import NoReturn, TypeVar

from opslifecycle.values.not_copyable import NotCopyable

TokenT = TypeVar("TokenT", bound="ObligationToken")


class ObligationToken(NotCopyable):
    """Base of tokens, each of which proves that a registry did something.

    The constructor, copying and pickling raise TypeError, so that no other code creates a token by
    mistake. This is not a security boundary. Tokens are immutable and compare by identity.
    """

    __slots__: tuple[str, ...] = ()

    def __init__(self) -> None:
        raise TypeError(f"{type(self).__name__} cannot be constructed: only a registry creates it")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in type(self).__slots__)
        return f"{type(self).__name__}({fields})"


def mint(kind: type[TokenT], **fields: object) -> TokenT:
    """Return a token with its fields. Only the shell calls this.

    Args:
        kind: The class of the token.
        **fields: The value of every slot of the class.
    """
    token = object.__new__(kind)
    for name, value in fields.items():
        object.__setattr__(token, name, value)
    return token
