"""What must be true of effects: each is delivered, and again only for a reason."""

from __future__ import annotations

from tests.support.chaos.ledger import Ledger
from tests.support.chaos.pipe import Line
from tests.support.chaos.verdict import require


class Effects:
    """The messages that the handler of one registry has been called with."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        #: The number of the message of each record, and the records whose message is handled.
        self._numbers: dict[str, int] = {}
        self._handled: set[str] = set()
        self._handled_in_this_life: set[int] = set()

    def hear(self, line: Line) -> None:
        """Note a call of the handler."""
        id, number = line["id"], line["number"]
        text = f"an effect of what has not happened: {line}"
        states = self._ledger.possible(id) if id in self._ledger.records else set()
        require(line["status"] in {each.status for each in states}, "duplicated", text)
        known = self._numbers.setdefault(id, number)
        require(known == number, "duplicated", f"{id} has two messages: {known} and {number}")
        again = number in self._handled_in_this_life
        require(not again, "duplicated", f"message {number} was handled twice")
        if line["say"] == "effect":
            self._handled.add(id)
            self._handled_in_this_life.add(number)

    def opened(self, line: Line) -> None:
        """Note what a new process finds undelivered; the ledger knows already what it has found."""
        self._handled_in_this_life.clear()
        require(not line["dead"], "wrong", f"dead letters: {line['dead']}")
        pending = {id: number for number, id in line["pending"]}
        require(len(pending) == len(line["pending"]), "duplicated", f"{line['pending']}")
        for id, number in pending.items():
            known = self._numbers.setdefault(id, number)
            require(known == number, "duplicated", f"{id} has messages {known} and {number}")
        ended = self._ended()
        for id in ended:
            known_of = id in pending or id in self._handled
            require(known_of, "lost", f"the effect of {id} was not delivered, and is not pending")
        for id in pending:
            require(id in ended, "duplicated", f"{id} has an effect, and has not ended")

    def drained(self) -> None:
        """Verify that everything was delivered."""
        for id in self._ended():
            require(id in self._handled, "lost", f"the effect of {id} was never delivered")

    def _ended(self) -> set[str]:
        ledger = self._ledger
        return {
            id for id, record in ledger.records.items()
            if ledger.has_ended(record) or record.state.collected
        }  # fmt: skip
