"""Lengths and parts of texts, in guards and updates."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from opslifecycle import InvalidValueError, SqliteStore
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.modelcheck import verification
from opslifecycle_codegen.modelcheck.counterexample import counterexample, source_of_test
from opslifecycle_codegen.modelcheck.scenarios import Scenario, scenarios
from opslifecycle_codegen.modelcheck.symbolic.induction import induction
from opslifecycle_codegen.modelcheck.symbolic.relation import NotCoveredError, relation

from tests.support.codegen.projects import assert_clean, imported, project

CASE = Path(__file__).parent / "cases" / "lengths" / "machine.yaml"
TEXT = CASE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """Return a package of notes with limited texts."""
    folder = tmp_path_factory.mktemp("lengths")
    source = folder / "notes_by_length.yaml"
    source.write_text(TEXT.replace("machine: mailbox", "machine: notes_by_length"), "utf-8")
    made = project(folder / "project", source)
    assert_clean(made)
    return imported(made, "notes_by_length")


def only(text: str = TEXT) -> Scenario:
    """Return the one scenario of a machine."""
    (scenario,) = scenarios(program_of(text.encode(), "m.yaml"))
    return scenario


def test_guards_and_updates_read_lengths_and_parts(notes: ModuleType, tmp_path: Path) -> None:
    one, other = notes.NoteId.new(), notes.NoteId.new()
    with notes.NoteRegistry(store=SqliteStore(tmp_path / "notes.db")) as registry:
        with pytest.raises(notes.EmptyNoteError):
            registry.write(one, "", "door", None)
        with pytest.raises(notes.NoteTooLongError, match="21 characters"):
            registry.write(one, "\U0001f600" * 21, "door", None)
        registry.write(one, "\U0001f600" * 20, "x-door", "o-17")
        registry.write(other, "Ring twice.", "door", "o-18")
        registry.attach(one, b"\x00" * 8)
        with pytest.raises(notes.EmptyNoteError):
            registry.attach(one, b"\x00" * 9)
        for id in (one, other):
            with pytest.raises(notes.PrivateNoteError):
                registry.take(id)
        assert (registry.snapshot(one).characters, registry.snapshot(other).characters) == (20, 11)
    with notes.NoteRegistry(store=SqliteStore(tmp_path / "notes.db")) as registry:
        for _ in range(8):
            registry.write(notes.NoteId.new(), "x" * 20, "door", None)
        with pytest.raises(notes.NoteTooLongError):
            # 9 of 200 characters are left.
            registry.write(notes.NoteId.new(), "x" * 10, "door", None)
        last = notes.NoteId.new()
        registry.write(last, "x" * 9, "a!", None)
        with pytest.raises(notes.PrivateNoteError):
            registry.take(last)
        with pytest.raises(InvalidValueError, match=r"^tag: expected at most 8"):
            registry.write(notes.NoteId.new(), "x", "x" * 9, None)


def test_a_search_tries_the_lengths_and_parts_that_rules_tell_apart() -> None:
    scenario = only()
    chosen = {name: [*values] for name, values in scenario.values.chosen.items()}
    assert {"''", "x", "x" * 19, "x" * 20, "x" * 21} <= {*chosen["text"]}
    assert {"x-", "!", "''"} <= {*chosen["tag"]}
    # Of a text with a pattern, only what matches it.
    assert chosen["order"] == ["o-17"]
    assert {len(each.strip("'")) for each in map(str, chosen["photo"])} == {0, 1, 8, 9, 10, 16}
    found, _ = verification.searched(scenario)
    assert found.violation is None
    assert found.refusals.keys() >= {"has_text", "fits", "small", "open"}


@pytest.mark.parametrize(
    ("old", "new", "broken"),
    [
        ("<= 20 and", "<= 21 and", "notes_are_short"),
        ("guards: [new, has_text, fits]", "guards: [new, fits]", "notes_have_a_text"),
    ],
)
def test_a_search_finds_what_a_length_breaks(old: str, new: str, broken: str) -> None:
    text = TEXT.replace(old, new)
    if "has_text" not in text.split("create:")[1]:
        text = text.replace("  has_text: {when: len(text) > 0, error: empty}\n", "")
    found, _ = verification.searched(only(text))
    assert found.violation is not None
    assert found.violation.property == broken
    assert f"{broken} does not hold after 1 calls" in counterexample(found.violation)


def test_a_counterexample_with_a_long_text_is_short() -> None:
    text = (
        TEXT.replace("<= 20", "<= 5000")
        .replace("'200'", "'9000'")
        .replace("len(text) <= 5000 and", "len(text) <= 5001 and")
    )
    found, _ = verification.searched(only(text))
    assert found.violation is not None
    assert "text: xxxxxxxxxxxx… (5001 characters)" in counterexample(found.violation)
    test = source_of_test(found.violation, "notes")
    assert test is not None
    assert "'x' * 5001" in test


def test_induction_proves_lengths_of_any_text() -> None:
    result = induction(program_of(TEXT.encode(), "m.yaml"))
    assert (result.failed, result.outside) == ([], {})
    assert {"notes_are_short", "notes_have_a_text"} <= {*result.properties}
    result = induction(program_of(TEXT.replace("<= 20 and", "<= 21 and").encode(), "m.yaml"))
    assert [each.split(" ")[0] for each in result.failed] == ["notes_are_short"]


@pytest.mark.parametrize(
    ("test", "proved"),
    [
        ("not n.tag.startswith('y')", False),
        ("n.tag != 'yes' or n.tag.startswith('ye')", True),
        ("n.tag != 'yes' or n.tag.endswith('ye')", False),
        ("n.tag != 'yes' or 'e' in n.tag", True),
        ("n.tag != 'yes' or len(n.tag) == 3", True),
        ("len(n.tag) <= 8", True),
        ("len(n.tag) <= 7", False),
    ],
)
def test_induction_knows_the_texts_that_rules_name(test: str, proved: bool) -> None:
    end = "watch: {summary"
    rule = f'  tags: {{summary: Tags., expr: "all({test} for n in notes)"}}\n\n{end}'
    result = induction(program_of(TEXT.replace(end, rule).encode(), "m.yaml"))
    assert (not [each for each in result.failed if each.startswith("tags")]) is proved


def test_other_checkers_do_not_cover_stored_texts() -> None:
    with pytest.raises(NotCoveredError, match="lengths or parts of stored texts"):
        relation(only())
    start = TEXT.index("invariants:")
    stored = TEXT[:start] + TEXT[TEXT.index("watch: {") :]
    stored = stored.replace("guards: [known, open, of_an_order]", "guards: [known]")
    for guard in ("open", "of_an_order"):
        stored = "\n".join(x for x in stored.split("\n") if not x.startswith(f"  {guard}:"))
    stored = stored.replace("  private: {", "  # private: {")
    # Arguments are known, so that what rules read of them is.
    assert relation(only(stored)).transitions
