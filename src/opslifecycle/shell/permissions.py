"""The permission of an action for a record: whether it is legal, or why it is not."""

from __future__ import annotations

import attrs
from opslifecycle.errors import OpsLifecycleError


@attrs.frozen
class Permission:
    """Whether one action is legal now.

    `refusal` is the error that the action would raise, with its fields and its `guard`; None if the
    state of the record allows the action. Guards that depend on arguments cannot be evaluated
    beforehand: `depends_on` names them.
    """

    action: str
    refusal: OpsLifecycleError | None
    depends_on: tuple[str, ...] = ()

    @property
    def already_done(self) -> bool:
        """Whether the rejection counts as success, because the status is in `idempotent_in`."""
        return self.refusal is not None and self.refusal.already_done

    @property
    def allowed(self) -> bool:
        """Whether the state of the record allows the action."""
        return self.refusal is None
