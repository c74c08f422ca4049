"""What a cancelled wait raises; apart, so that importing the package does not load asyncio."""

from __future__ import annotations

import asyncio
import concurrent.futures


class WaitCancelledError(asyncio.CancelledError, concurrent.futures.CancelledError):
    """A wait that was cancelled: the CancelledError of asyncio and of threads alike."""
