"""What a library program has said, heard by the models of its two registries."""

from __future__ import annotations

import copy
from collections import Counter, deque
from collections.abc import Callable

from tests.support.chaos.effects import Effects
from tests.support.chaos.ledger import Ledger
from tests.support.chaos.pipe import Line
from tests.support.chaos.rules import OfficeRules, Rules
from tests.support.chaos.verdict import ViolationError, require
from tests.support.chaos.verifying import verify_opened, verify_told

#: Refusals of a store that pass, and end no registry.
_PASSING = {"PersistenceError", "RegistryOwnedError", "StoreBusyError"}


class Models:
    """The models of one store, over all processes that work on it."""

    def __init__(self) -> None:
        self.parts = {"operations": Ledger(Rules()), "office": Ledger(OfficeRules())}
        self.effects = Effects(self.parts["office"])
        self.epoch: str | None = None
        #: Whether the store was put back from a copy since it was opened last.
        self.restored = False
        self.counts: Counter[str] = Counter()
        #: The latest lines, to be read after a violation.
        self.journal: deque[Line] = deque(maxlen=20_000)
        self.closed: set[str] = set()
        self.opened: set[str] = set()
        #: Registries whose store was deleted, with the last command that may still be accepted.
        self._deleted: dict[str, int] = {}
        self.noticed: set[str] = set()

    def copied(self) -> Models:
        """Return the models of a copy of the store that is made now."""
        return copy.deepcopy(self)

    def stored(self) -> list[int]:
        """Return how far each registry has stored what it was told to."""
        return [each.stored_before for each in self.parts.values()]

    def hear(self, line: Line) -> None:
        """Take one line in; raises ViolationError if it may not be."""
        self.journal.append(line)
        try:
            hear: Callable[[Line], None] = getattr(self, f"_hear_{line['say']}")
            if not self._is_of_a_deleted(line):
                hear(line)
        except ViolationError:
            raise
        except Exception as error:
            raise ViolationError("wrong", f"{line} cannot be: {error!r}") from error

    def begin(self) -> None:
        """Expect another process."""
        self.closed.clear()
        self.opened.clear()

    def delete(self, part: str) -> None:
        """Expect that nothing is accepted any more that would have to be stored in a registry."""
        self._deleted[part] = max(each["n"] for each in self.journal if "n" in each)

    def _is_of_a_deleted(self, line: Line) -> bool:
        """Judge a line of a registry whose store is gone."""
        part = line.get("part") or self._name_of(line)
        if part not in self._deleted:
            return False
        ledger = self.parts[part]
        if line["say"] in ("failed", "over", "unopened"):
            self.noticed.add(part)
        elif line["say"] == "ok" and part not in self.noticed:
            before = ledger.stored_before
            ledger.accepted(line)
            late = ledger.stored_before > before and line["n"] > self._deleted[part]
            require(not late, "lost", f"accepted after the store was deleted: {line}")
            return True
        return part in self.noticed

    def _name_of(self, line: Line) -> str | None:
        if "n" not in line:
            return "office" if line["say"].startswith("effect") else None
        # Of a registry whose loss was noticed, the attempts are no longer taken in.
        names = (name for name, each in self.parts.items() if line["n"] in each.flying)
        return next(names, next(iter(self._deleted), None))

    def _part(self, line: Line) -> Ledger:
        return next(each for each in self.parts.values() if line["n"] in each.flying)

    def _hear_try(self, line: Line) -> None:
        self.parts[line["part"]].attempted(line)

    def _hear_ok(self, line: Line) -> None:
        self.counts["commands acknowledged"] += 1
        self._part(line).accepted(line)

    def _hear_refused(self, line: Line) -> None:
        self.counts["commands refused by the machine"] += 1
        self._part(line).refused(line)

    def _hear_failed(self, line: Line) -> None:
        self.counts["commands refused by the store"] += 1
        self._part(line).failed(line)

    def _hear_over(self, line: Line) -> None:
        self.counts["registries that ended by themselves"] += 1
        self._part(line).failed(line)
        raise ViolationError("wrong", f"a live owner's registry has ended: {line}")

    def _hear_unopened(self, line: Line) -> None:
        self.counts["openings refused"] += 1
        require(line["error"] in _PASSING, "wrong", f"the store cannot be opened: {line}")

    def _hear_opened(self, line: Line) -> None:
        self.counts["full comparisons"] += 1
        ledger = self.parts[line["part"]]
        verify_opened(ledger, line)
        self.opened.add(line["part"])
        if "pending" in line:
            self.effects.opened(line)
            return
        if self.epoch is not None:
            # Consumers may have read further than a copy goes.
            changed = line["epoch"] != self.epoch
            require(changed == self.restored, "wrong", f"the epoch {changed=}, {self.restored=}")
        self.epoch, self.restored = line["epoch"], False

    def _hear_told(self, line: Line) -> None:
        self.counts["full comparisons"] += 1
        verify_told(self.parts[line["part"]], line)

    def _hear_effect(self, line: Line) -> None:
        self.counts["effects handled"] += 1
        self.effects.hear(line)

    def _hear_effect_failed(self, line: Line) -> None:
        self.counts["effects that failed"] += 1
        self.effects.hear(line)

    def _hear_closed(self, line: Line) -> None:
        self.closed.add(line["part"])
        flying = self.parts[line["part"]].flying
        require(not flying, "lost", f"commands without an answer: {flying}")
