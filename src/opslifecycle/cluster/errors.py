"""The errors of clusters."""

from __future__ import annotations

from opslifecycle.errors import OpsLifecycleError


class NotAnsweredError(OpsLifecycleError):
    """A command for a registry of another host that no host has answered in time.

    `registry` is the name of the registry. Nothing of the command has happened, and nothing will.
    """

    field_names = ("registry",)
    template = "no host has answered a command for the registry {registry!r}; nothing has happened"
    fix = "try again once a host of the cluster has opened the registry"

    registry: str

    def __init__(self, registry: str) -> None:
        super().__init__(registry)
