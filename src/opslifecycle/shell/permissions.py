"""What may be asked of a record now, and what stands against it."""

from __future__ import annotations

import attrs
from opslifecycle.errors import OpsLifecycleError


@attrs.frozen
class Permission:
    """Whether one action is legal now.

    `refusal` is the error that the action would raise, unraised, with its facts and its `guard`;
    None if the state of the record allows it. Guards that judge what the action is given cannot be
    asked beforehand: `depends_on` names them.
    """

    action: str
    refusal: OpsLifecycleError | None
    depends_on: tuple[str, ...] = ()

    @property
    def already_done(self) -> bool:
        """Whether the action is refused because the record is where it leads (`idempotent_in`)."""
        return self.refusal is not None and self.refusal.already_done

    @property
    def allowed(self) -> bool:
        """Whether nothing stands against it so far."""
        return self.refusal is None
