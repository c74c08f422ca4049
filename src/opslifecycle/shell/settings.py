"""Settings of a registry: given, else as they were stored, else the machine's default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, final

import attrs
from opslifecycle.values.conversion import count_from, optional_count_from, structure
from opslifecycle.values.identifiers import Identifier

EpochT = TypeVar("EpochT", bound=Identifier)


@final
class _Unset:
    """Stands for a setting that was not given."""

    def __repr__(self) -> str:
        return "..."


UNSET: Any = _Unset()


@attrs.frozen
class Setting:
    """A setting of a machine's registries.

    Attributes:
        name: Its name, for the constructor and the store.
        kind: Its type.
        default: The machine's default.
        at_least: The least value that the authority gets, whatever was given; None for any.
        argument: The authority's parameter.
    """

    name: str
    kind: Any
    default: Any = None
    at_least: int | None = attrs.field(default=None, kw_only=True)
    argument: str = attrs.field(
        default=attrs.Factory(lambda self: self.name, takes_self=True), kw_only=True
    )

    def value(self, given: Mapping[str, Any], state: Mapping[str, Any]) -> Any:
        """Return the value: as given, else as stored, else the default.

        Args:
            given: What the constructor was given; UNSET for nothing.
            state: The stored fields of the registry; empty for a new one.

        Raises:
            InvalidValueError: If the stored value is not of the type.
        """
        value = given.get(self.name, UNSET)
        if value is UNSET:
            value = self._read(state[self.name]) if self.name in state else self.default
        return value if self.at_least is None else max(self.at_least, value)

    def _read(self, stored: Any) -> Any:
        read = {int: count_from, int | None: optional_count_from}.get(self.kind)
        return structure(stored, self.kind) if read is None else read(stored)


def epoch_from(state: dict[str, Any], kind: type[EpochT]) -> EpochT:
    """Return the epoch of a feed: as it was stored, or a new one for a registry that is new.

    Raises:
        InvalidValueError: If what is stored is no epoch.
    """
    return structure(state["epoch_id"], kind) if state else kind.new()
