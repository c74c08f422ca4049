"""The built-in guards, effects and rejections that every machine has."""

from __future__ import annotations

from opslifecycle_codegen.ir.types import FLOAT, INT, STR, Type

#: The built-in guard that tests whether the status allows the action.
LEGAL_STATUS = "legal_status"

#: The built-in guard of `create` that tests whether the parent is live.
LIVE_PARENT = "live_parent"

#: Effects that the shell applies, each with the feature that places it.
BUILT_IN_EFFECTS = {
    "append_to_feed": "`feed`, and `feed: {when: …}` says which records get an entry",
    "count_in_barriers": "`barrier`",
    "wake_watchers": "`watch`",
    "evict_oldest": "`retention`",
    "close_watchers": "`rollback`",
    "fail_barriers": "`rollback`",
    "plan_timers": "`after`",
    "cancel_timers": "`rollback` with `after`",
    "erase": "`rollback`, `erase`, `collect` or `discard_when`",
}

#: The rejection of a number outside its range.
OUT_OF_RANGE = "out_of_range"
#: The prefix of guards that the compiler places; a declared name has no space.
RANGE_GUARD = "range of "

#: Rejections that every machine has, with their fields.
BUILT_IN_REJECTIONS: dict[str, tuple[str, dict[str, Type]]] = {
    "invalid_spec": ("InvalidSpecError", {"field": STR, "reason": STR}),
    "cursor_out_of_range": ("CursorOutOfRangeError", {"cursor": INT, "watermark": INT}),
    OUT_OF_RANGE: ("OutOfRangeError", {"field": STR, "value": FLOAT}),
}

#: The checks of a new barrier, each once, in the order of the machine.
BARRIER_CHECKS = ("repeated", "busy", "unknown")
