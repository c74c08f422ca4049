"""What a version of a random machine has stored, the next version has, or is refused.

`make nightly` edits many machines; here those are edited that show most in little time.
"""

from __future__ import annotations

import pytest
from opslifecycle_codegen.emit import storage
from opslifecycle_codegen.ir.initial_values import Origin, Start, starts_of
from opslifecycle_codegen.ir.program import Program

from tests.support.random_machines.edits_of_gains import GAINS
from tests.support.random_machines.verdicts import FaultError, Tally
from tests.support.random_machines.versions import Versions, versioned
from tests.support.scale import WHOLE, whole_or

#: The last one archives.
MACHINES = [*range(60), 307]
#: One that stores much, and whose third version opens as well.
BY_DAY = [16]
EDITED = whole_or(6, 3)
STORED = ["record", "feed entry", "cursor", "registry field", "message"]
AT_NIGHT = ["history", "archived record"]
#: The machine that shows the planted fault.
PLANTED = 28


def compare(number: int, tally: Tally) -> None:
    try:
        Versions(versioned(number)[0], number, tally).run(EDITED)
    except FaultError as error:
        again = f"python -m tests.support.random_machines.nightly --versions --number {number}"
        raise AssertionError(f"{error}\nprint the smallest machine: {again}") from error


def test_the_next_version_has_what_was_stored() -> None:
    tally = Tally()
    for number in MACHINES if WHOLE else BY_DAY:
        compare(number, tally)
    print(tally)
    assert tally.versions > len(BY_DAY)
    assert tally.versions_refused
    assert tally.chains
    gains = {f"edit: {each.__name__.replace('_', ' ')}" for each in GAINS}
    assert not WHOLE or gains <= {*tally.tried}
    wanted = [f"stored: {each}" for each in (*STORED, *(AT_NIGHT if WHOLE else ()))]
    assert tally.missing(wanted) == []


def test_a_planted_loss_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no action sets any more was once neither read from a store nor written."""

    def without(program: Program) -> list[Start]:
        constant = (Origin.LITERAL, Origin.DERIVED)
        return [each for each in starts_of(program) if each.updated or each.origin not in constant]

    with monkeypatch.context() as patch:
        patch.setattr(storage, "starts_of", without)
        with pytest.raises(FaultError, match="another value"):
            Versions(versioned(PLANTED)[0], PLANTED, Tally()).run(EDITED)
    compare(PLANTED, Tally())
