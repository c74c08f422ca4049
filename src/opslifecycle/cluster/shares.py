"""The share of each host, when several hosts share all registries of a machine.

The registries are divided into slots by their numbers. Of the hosts, the one with the highest score
for a slot opens its registries (rendezvous hashing), so a host that comes or goes moves only its
own share. With slots, a host reads only the registries that it has to open.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence

from opslifecycle.stores.postgres.claims import OWNER_LIVES
from opslifecycle.stores.postgres.link import Deadline, Link
from opslifecycle.stores.postgres.schema import SLOTS
from opslifecycle.stores.postgres.statements import keys_text

#: The score of a slot without a member.
_NO_MEMBER = (-1, 0)
#: With more hosts than these, each looks less often.
MEMBERS_LOOKING = 100


class Shares:
    """The slots of one host; what changes with a member is computed when it comes or goes.

    Args:
        own: The host.

    Attributes:
        own: The host.
        members: The hosts, as of the last update.
        slots: The slots of the host among them.
    """

    def __init__(self, own: int) -> None:
        self.own = own
        self.members: frozenset[int] = frozenset()
        self.slots: frozenset[int] = frozenset()
        #: Of each slot, the highest score with its host.
        self._best: list[tuple[int, int]] = [_NO_MEMBER] * SLOTS

    def update(self, members: frozenset[int]) -> frozenset[int]:
        """Return the host's slots among these members: none, if it is no member."""
        if members == self.members:
            return self.slots
        for member in members - self.members:
            self._enter(member, range(SLOTS))
        left = [slot for slot in range(SLOTS) if self._best[slot][1] not in members]
        for slot in left:
            self._best[slot] = _NO_MEMBER
        for member in members if left else ():
            self._enter(member, left)
        self.members = members
        self.slots = frozenset(slot for slot, best in enumerate(self._best) if best[1] == self.own)
        return self.slots

    def _enter(self, member: int, slots: Iterable[int]) -> None:
        """Let a host have those of some slots for which its score is the highest."""
        own = scores(member)
        for slot in slots:
            self._best[slot] = max(self._best[slot], (own[slot], member))


def scores(member: int) -> Sequence[int]:
    """Return the score of a host for each slot: numbers without any pattern."""
    return memoryview(hashlib.shake_128(str(member).encode()).digest(4 * SLOTS)).cast("I")


def looks_apart(members: int) -> float:
    """Return how many pauses lie between two looks of a host.

    A look reads one row for each host, so the looks of all together would grow with the square of
    their number.

    Args:
        members: The number of hosts.
    """
    return max(1.0, members / MEMBERS_LOOKING)


def free_registries(
    link: Link, schema: str, machine: str, slots: Collection[int], deadline: Deadline
) -> dict[str, int]:
    """Return the registries of a machine in some slots that no living process owns.

    Each owner is read once, and not each registry, because hosts ask this all the time, and nearly
    all registries have an owner that lives.

    Returns:
        The names of the registries, with their slots.
    """
    # One row without an owner says that there are registries without one.
    owners = link.run(
        f"""
WITH RECURSIVE owning(owner) AS (
    SELECT min(owner) FROM {schema}.registries
    UNION ALL
    SELECT (SELECT min(r.owner) FROM {schema}.registries r WHERE r.owner > owning.owner)
    FROM owning WHERE owning.owner IS NOT NULL
)
SELECT owner FROM owning WHERE owner IS NOT NULL AND owner NOT IN (
    SELECT o.owner FROM {schema}.owners o WHERE {OWNER_LIVES})
UNION ALL
SELECT NULL WHERE EXISTS (
    SELECT 1 FROM {schema}.registries WHERE machine = $1 AND owner IS NULL)""",
        machine,
        deadline=deadline,
    )
    if not owners or not slots:
        return {}
    gone = [int(owner) for (owner,) in owners if owner is not None]
    slot = f"number & {SLOTS - 1}"
    wanted = f"SELECT name, {slot} FROM {schema}.registries WHERE {slot} = ANY($1::integer[])"
    # With the owners as values, the planner knows how few they are.
    rows = link.run(
        f"{wanted} AND machine = $2 AND owner IS NULL"
        f" UNION ALL {wanted} AND machine = $2 AND owner = ANY($3::bigint[])",
        keys_text(sorted(slots)), machine, keys_text(gone),
        deadline=deadline,
    )  # fmt: skip
    return {str(name): int(found or 0) for name, found in rows}
