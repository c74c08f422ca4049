"""Settings of a registry: given, else as they were stored, else the machine's default."""

from __future__ import annotations

from typing import Any, TypeVar, final

from opslifecycle.values.conversion import count_from, optional_count_from, structure
from opslifecycle.values.identifiers import Identifier

EpochT = TypeVar("EpochT", bound=Identifier)


@final
class _Unset:
    """Stands for a setting that was not given."""

    def __repr__(self) -> str:
        return "..."


UNSET: Any = _Unset()


def setting(name: str, given: Any, state: dict[str, Any], default: Any, kind: Any) -> Any:
    """Return the value of a setting.

    Args:
        name: What the store calls it.
        given: What the constructor was given; UNSET for nothing.
        state: What is stored of the registry; empty for a new one.
        default: What the machine says.
        kind: Its type.

    Raises:
        InvalidValueError: If what is stored is no such value.
    """
    if given is not UNSET:
        return given
    if name not in state:
        return default
    read = {int: count_from, int | None: optional_count_from}.get(kind)
    return structure(state[name], kind) if read is None else read(state[name])


def epoch_from(state: dict[str, Any], kind: type[EpochT]) -> EpochT:
    """Return the epoch of a feed: as it was stored, or a new one for a registry that is new.

    Raises:
        InvalidValueError: If what is stored is no epoch.
    """
    return structure(state["epoch_id"], kind) if state else kind.new()
