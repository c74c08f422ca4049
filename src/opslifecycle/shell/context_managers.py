"""The `with` statements of generated registries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class ContextManager(ABC):
    """Base of a registry that a `with` statement closes."""

    @abstractmethod
    def _close(self) -> None:
        """Close the registry."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()


class AsyncContextManager(ABC):
    """Base of a registry that an `async with` statement closes."""

    @abstractmethod
    async def _close(self) -> None:
        """Close the registry."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._close()
