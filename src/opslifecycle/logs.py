"""The logs of components, whose records have an event by which programs tell them apart."""

from __future__ import annotations

import logging


class EventLog:
    """The log of one component: the logger `opslifecycle.<component>`.

    Each record has the attribute `event`, a name that does not change when the text does. The
    documentation lists the events.

    Args:
        component: The name of the component.
    """

    def __init__(self, component: str) -> None:
        self._logger = logging.getLogger(f"opslifecycle.{component}")

    def info(self, event: str, text: str, *arguments: object) -> None:
        """Log what works, and may be of interest."""
        self._log(logging.INFO, event, text, arguments, None)

    def warning(
        self, event: str, text: str, *arguments: object, cause: BaseException | None = None
    ) -> None:
        """Log what may pass by itself."""
        self._log(logging.WARNING, event, text, arguments, cause)

    def error(
        self, event: str, text: str, *arguments: object, cause: BaseException | None = None
    ) -> None:
        """Log a failure that an operator has to act on."""
        self._log(logging.ERROR, event, text, arguments, cause)

    def _log(
        self,
        level: int,
        event: str,
        text: str,
        arguments: tuple[object, ...],
        cause: BaseException | None,
    ) -> None:
        extra = {"event": event}
        self._logger.log(level, text, *arguments, exc_info=cause, extra=extra, stacklevel=3)
