"""Gaps of the completion feed, apart from the errors, which need no library."""

from __future__ import annotations

import attrs


@attrs.frozen
class CompletionFeedGap:
    """Entries that a reader asked for and that were evicted."""

    #: The position of the reader.
    requested_after_seq: int
    #: The highest sequence number of an evicted entry.
    dropped_through: int
    #: The sequence number of the latest entry.
    watermark: int
