"""The error of a cancelled wait: a module of its own, so that the package loads without asyncio."""

from __future__ import annotations

import asyncio
import concurrent.futures


class WaitCancelledError(asyncio.CancelledError, concurrent.futures.CancelledError):
    """A wait that was cancelled: the CancelledError of both asyncio and threads."""
