"""Authorities on top of others: decisions that can be published as a whole, or dropped."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Generic, TypeVar

import attrs
from opslifecycle.shell.overlay import Overlay
from opslifecycle.shell.overlay import merge as merge_overlay

AuthorityT = TypeVar("AuthorityT")


@attrs.frozen(eq=False, repr=False)
class Staging(Generic[AuthorityT]):
    """The functions that stage and merge an authority of one machine.

    Attributes:
        stage: Returns an authority that decides on top of another one, which does not change. That
            may be staged itself.
        merge: Writes what was decided on top of an authority into it.
    """

    stage: Callable[[AuthorityT], AuthorityT]
    merge: Callable[[AuthorityT, AuthorityT], None]


def by_slots() -> Staging[AuthorityT]:
    """Return the functions for a machine without stored data, whose package has none."""
    return Staging(_stage, _merge)


def _stage(authority: AuthorityT) -> AuthorityT:
    staged = copy(authority)
    for name in slots_of(authority):
        value = getattr(authority, name)
        if isinstance(value, dict):
            setattr(staged, name, Overlay(value, copy if name == "records" else None))
    return staged


def _merge(authority: AuthorityT, staged: AuthorityT) -> None:
    for name in slots_of(authority):
        value = getattr(staged, name)
        if isinstance(value, dict):
            merge_overlay(value)
        else:
            setattr(authority, name, value)


def slots_of(authority: object) -> tuple[str, ...]:
    """Return the names of the attributes of an authority."""
    slots: tuple[str, ...] = type(authority).__dict__["__slots__"]
    return slots
