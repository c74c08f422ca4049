"""The picture of a machine: where its statuses are drawn, and what the page calls its records."""

from __future__ import annotations

from opslifecycle.inspection.machines import NOT_RECORDED, OPERATIONS, Machine
from opslifecycle.values.plain import Data

#: The size of a status, by its longest name; the space beside and below it.
_CHARACTER, _NODE_LEAST, _NODE_HEIGHT = 9, 136, 36
_MARGIN, _EDGE = 24, 5
#: What is above the first live status: the name of the command that leads to it.
_LABEL = 24
_LIVE_STEP, _FINAL_STEP, _BETWEEN = 90, 48, 160
_COUNT = 42


def picture_of(machine: Machine) -> Data:
    """Return the picture: live statuses on the left, final ones on the right, in their order."""
    inspected = machine.inspection
    live, final = inspected.live, inspected.final
    widths = [_width(live), _width(final)]
    heights = [_LIVE_STEP * (len(live) - 1), _FINAL_STEP * (len(final) - 1)]
    above = (_LABEL, _EDGE)
    height = _NODE_HEIGHT + _EDGE + max(map(sum, zip(heights, above, strict=True)))
    left = _MARGIN + (_MARGIN if _has_arcs(machine) else 0)
    right = left + widths[0] + _BETWEEN
    statuses: Data = {}
    for names, x, width, step, span, least in (
        (live, left, widths[0], _LIVE_STEP, heights[0], above[0]),
        (final, right, widths[1], _FINAL_STEP, heights[1], above[1]),
    ):
        top = least + (height - least - _EDGE - _NODE_HEIGHT - span) // 2
        for place, name in enumerate(names):
            statuses[name] = {"x": x, "y": top + place * step, "width": width}
            if names is final:
                statuses[name]["terminal"] = True
            elif name in inspected.milestones:
                statuses[name]["milestone"] = True
    return {
        "machine": machine.name,
        "entity": inspected.entity.replace("_", " "),
        "entities": inspected.entities.replace("_", " "),
        "path": f"v1/{inspected.entities}",
        "is_work": machine is OPERATIONS,
        "has_times": bool(inspected.created),
        "of_owners": list(NOT_RECORDED) if machine.is_interrupted else [],
        "size": {
            "width": (right + widths[1] if final else left + widths[0]) + _EDGE,
            "height": height,
        },
        "node_height": _NODE_HEIGHT,
        "statuses": statuses,
        "initial": {"to": inspected.begins[0], "action": inspected.begins[1]},
        "edges": [
            {"from": source, "to": to, "actions": list(actions)}
            for source, to, *actions in inspected.transitions
        ],
    }


def _width(names: tuple[str, ...]) -> int:
    return max(_NODE_LEAST, _CHARACTER * max(map(len, names), default=0) + _COUNT)


def _has_arcs(machine: Machine) -> bool:
    """Return whether a transition leads from a live status to one that is not the next."""
    places = {name: place for place, name in enumerate(machine.inspection.live)}
    return any(
        source in places and to in places and places[to] - places[source] not in (0, 1)
        for source, to, *_ in machine.inspection.transitions
    )
