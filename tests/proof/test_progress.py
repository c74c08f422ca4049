"""Searches that take long: what they say meanwhile, where they end, and what is smaller."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from opslifecycle_codegen.cli.main import main, parser
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.modelcheck import scenarios as scenarios_module
from opslifecycle_codegen.modelcheck import search, verification
from opslifecycle_codegen.modelcheck.scenarios import scenarios

from tests.support.codegen.projects import project

#: Two dicts, a list and a sum, each of which multiplies the states.
CART = Path(__file__).parents[1] / "codegen/cart.yaml"
ONE = """
scenarios:
  one:
    summary: One cart.
    entities: 1
"""


@pytest.fixture(scope="module")
def carts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return project(tmp_path_factory.mktemp("carts"), CART)


@pytest.mark.nightly
def test_a_machine_without_scenarios_is_searched_in_one_that_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verification, "DEFAULT_STATES_MAX", 300)
    (scenario,) = scenarios(program_of(CART.read_bytes(), "cart.yaml"))
    found, lines = verification.searched(scenario)
    assert found.closed
    assert len(found.scenario.interpreter.ids) == 1
    assert {each.most for each in found.scenario.bounds} == {1}
    assert [*verification.never(found.scenario.interpreter.program, [found])] == []
    assert lines[0] == "default: One record and everything on, by default."
    assert [line.split(":")[0].strip().split(",")[0] for line in lines[1:4]] == [
        "2 records", "2 records", "1 record",
    ]  # fmt: skip
    assert lines[1].endswith("cart.total <= 3: more than 300 states, so this is a smaller one")
    assert lines[2].endswith("cart.total <= 1: more than 300 states, so this is a smaller one")


def test_a_search_says_how_far_it_is_and_where_it_ended(
    carts: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(search, "PROGRESS_SECONDS", 0.0)
    assert main(["--project", str(carts), "verify", "--max-states", "100"]) == 4
    shown = capsys.readouterr()
    pattern = r"default: \d+ states, \d+ steps, depth \d+, \d+ still to be continued, \d+ states/s"
    lines = shown.err.splitlines()
    assert len(lines) > 3
    # Each of the three that are too large says early what would make it smaller.
    smaller = [each for each in lines if not re.fullmatch(pattern, each)]
    advice = "lower their `bounds` in `scenarios`"
    assert len(smaller) == 3
    assert all("most values have" in each and each.endswith(advice) for each in smaller)
    assert "cart.counts (" in smaller[0]
    assert "NOT CLOSED" in shown.out
    last = shown.out.splitlines()[-1]
    assert "default has more than 100 states: make it smaller." in last
    assert "cart.counts (" in last
    assert "--max-states" in last
    # What was not reached may be reached later, so it is not called wrong.
    assert "no scenario" not in shown.out


def test_a_default_scenario_in_which_nothing_happens_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each transition of this feed is counted, so that one step of counts is one transition."""
    monkeypatch.setattr(verification, "DEFAULT_STATES_MAX", 3000)
    errand = CART.with_name("errand.yaml").read_text(encoding="utf-8")
    text = re.sub(r"(?ms)^scenarios:.*?(?=^\w)", "", errand)
    program = program_of(text.encode(), "errand.yaml")
    wide, narrow, *_ = scenarios_module.default_scenarios(program)
    small = search.Search(narrow).run()
    assert small.closed
    assert "done" not in small.reached
    assert not search.Search(wide, states_max=3000).run().closed
    found, _ = verification.searched(wide)
    assert found.closed
    assert found.reached >= {"done"}
    assert len(found.scenario.interpreter.ids) == 1


def test_a_search_ends_in_the_middle_of_a_level() -> None:
    (scenario,) = scenarios(program_of((CART.read_text() + ONE).encode(), "cart.yaml"))
    sizes = [search.Search(scenario, states_max=most).run().states for most in (50, 100)]
    # One state leads to a few others, where a level has hundreds.
    assert 50 < sizes[0] < 75
    assert 100 < sizes[1] < 125


def test_a_declared_scenario_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "DEFAULT_STATES_MAX", 10)
    (scenario,) = scenarios(program_of((CART.read_text() + ONE).encode(), "cart.yaml"))
    found, lines = verification.searched(scenario, 200)
    assert found.scenario is scenario
    assert (found.closed, found.states_max) == (False, 200)
    assert not any("smaller" in line for line in lines)


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", "²"])
def test_the_limit_is_a_number_of_states(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["verify", f"--max-states={text}"])
    assert f"expected a number of at least 1, got {text!r}" in capsys.readouterr().err


def test_the_limit_is_what_the_help_says() -> None:
    assert parser().parse_args(["verify"]).max_states == search.STATES_MAX
