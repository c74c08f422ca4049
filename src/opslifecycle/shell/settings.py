"""Settings of a registry: given, else as they were stored, else the machine's default."""

from __future__ import annotations

from typing import Any, final


@final
class _Unset:
    """Stands for a setting that was not given."""

    def __repr__(self) -> str:
        return "..."


UNSET: Any = _Unset()


def setting(name: str, given: Any, state: dict[str, Any], default: Any) -> Any:
    """The value of a setting."""
    return state.get(name, default) if given is UNSET else given
