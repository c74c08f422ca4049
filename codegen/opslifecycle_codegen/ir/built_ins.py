"""What every machine has without declaring it, by the names that a machine may speak of."""

from __future__ import annotations

from opslifecycle_codegen.ir.types import FLOAT, INT, STR, Type

#: The built-in guard that tests whether the status allows the action.
LEGAL_STATUS = "legal_status"

#: What the shell carries out itself, and the feature that has it placed.
BUILT_IN_EFFECTS = {
    "append_to_feed": "`feed`, and `feed: {when: …}` says which records get an entry",
    "count_in_barriers": "`barrier`",
    "wake_watchers": "`watch`",
    "evict_oldest": "`retention`",
    "close_watchers": "`rollback`",
    "fail_barriers": "`rollback`",
    "erase": "`rollback`, `erase`, `collect` or `discard_when`",
}

#: The rejection of a number that would leave its range.
OUT_OF_RANGE = "out_of_range"
#: How the guards begin that the compiler places for it; no guard of a machine has a space.
RANGE_GUARD = "range of "

#: Rejections that every machine has, with their facts.
BUILT_IN_REJECTIONS: dict[str, tuple[str, dict[str, Type]]] = {
    "invalid_spec": ("InvalidSpecError", {"field": STR, "reason": STR}),
    "cursor_out_of_range": ("CursorOutOfRangeError", {"cursor": INT, "watermark": INT}),
    OUT_OF_RANGE: ("OutOfRangeError", {"field": STR, "value": FLOAT}),
}

#: What a barrier is checked for when it is asked for, each once, in the order of the machine.
BARRIER_CHECKS = ("repeated", "busy", "unknown")
