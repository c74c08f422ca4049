"""The registry of a machine for one event loop, asked and compared like the other one."""

from __future__ import annotations

import asyncio
import contextlib
from types import ModuleType
from typing import Any

from tests.support.random_machines.exploring import Asked
from tests.support.random_machines.sides import Side
from tests.support.random_machines.verdicts import FaultError


class AsyncSide(Side):
    """A side whose registry runs in an event loop of its own."""

    def _opened(self, package: ModuleType, given: dict[str, Any]) -> Any:
        self._runner = asyncio.Runner()
        kind = getattr(package, self._views.public.async_registry)
        try:
            return self._runner.run(self._open(kind, given))
        except BaseException:
            self._runner.close()
            raise

    async def _open(self, kind: Any, given: dict[str, Any]) -> Any:
        # Only a registry with a store has something to wait for.
        return await kind._open(**given) if self.program.recovery is not None else kind(**given)

    def _called(self, asked: Asked) -> Any:
        return self._runner.run(self._answer(asked))

    async def _answer(self, asked: Asked) -> Any:
        found = super()._called(asked)
        return await found if asyncio.iscoroutine(found) else found

    def close(self) -> None:
        """Close the registry, and its loop."""
        self.closed = True
        try:
            self._runner.run(self.registry._close())
            self._runner.close()
        except Exception as error:
            raise FaultError("a registry cannot be closed", repr(error)) from error

    def abandon(self) -> None:
        """Close a registry that may have failed, whatever it says."""
        if not self.closed:
            with contextlib.suppress(Exception):
                self._runner.run(self.registry._close())
            self._runner.close()
