"""Generated tests pass samples that guards accept, or are not generated: none is skipped."""

from __future__ import annotations

import re
from pathlib import Path

import opslifecycle_codegen
import pytest
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.modelcheck.sampling import sampled

from tests.support.codegen.projects import edit, project, ran_tests

TURNSTILE = Path(__file__).parent / "turnstile.yaml"
TEMPLATES = Path(opslifecycle_codegen.__file__).parent / "emit/templates"
STORED = ("watch:", "recovery: {persist_if: true}\n\nwatch:")
OPEN = "  push: {summary: Go through., methods: [push]"


def guarded(guard: str, *, of: str, stored: bool = False) -> bytes:
    """Return turnstiles with a guard of actions, or of `create`."""
    text = TURNSTILE.read_text(encoding="utf-8")
    text = text.replace("guards:\n", f"guards:\n  picky: {{when: {guard}, error: refused}}\n", 1)
    text = text.replace(
        "  not_now:\n", "  refused: {class: RefusedError, message: it is}\n  not_now:\n", 1
    )
    old = "default_guards: [known" if of == "actions" else "  guards: [new"
    text = text.replace(old, f"{old}, picky", 1)
    return (text.replace(*STORED, 1) if stored else text).encode()


def test_no_generated_test_can_be_skipped() -> None:
    found = {path.name for path in TEMPLATES.rglob("*.j2") if "skip" in path.read_text("utf-8")}
    assert found == set()


def test_samples_lead_to_the_statuses_that_the_machine_says() -> None:
    assert sampled(program_of(TURNSTILE.read_bytes(), "m.yaml")).targets == {
        ("locked", "coin"): "unlocked", ("unlocked", "push"): "locked",
        ("locked", "scrap"): "scrapped", ("unlocked", "scrap"): "scrapped",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("guard", "refused"),
    [("gate.coins == 0", {}), ("gate.coins > 0", {"coin", "push", "scrap"}),
     ("gate.place == 'text'", {}), ("gate.place.startswith('x')", {"coin", "push", "scrap"})],
)  # fmt: skip
def test_actions_whose_guards_reject_the_samples_are_named(guard: str, refused: set[str]) -> None:
    found = sampled(program_of(guarded(guard, of="actions"), "m.yaml"))
    assert found.refused == dict.fromkeys(refused, "picky")
    assert {action for _, action in found.targets} == {"coin", "push", "scrap"} - set(refused)


@pytest.mark.parametrize(("default", "stored"), [("front", True), ("back", False)])
def test_what_the_first_method_leaves_out_has_its_default(default: str, stored: bool) -> None:
    text = guarded("place == 'front'", of="create", stored=True).decode()
    text = text.replace("{install: [id, place]}", "{install: [id], install_at: [id, place]}", 1)
    text = text.replace("place: str}", f"place: {{type: str, default: {default}}}}}", 1)
    assert sampled(program_of(text.encode(), "m.yaml")).is_stored is stored


@pytest.mark.parametrize(("guard", "stored"), [("place == 'text'", True), ("place == 'x'", False)])
def test_a_store_is_tested_if_a_sample_is_stored(tmp_path: Path, guard: str, stored: bool) -> None:
    source = tmp_path / "turnstile.yaml"
    source.write_bytes(guarded(guard, of="create", stored=True))
    edit(source, "actions:\n", f"actions:\n{OPEN.replace('push', 'pull')}, from: live}}\n")
    folder = project(tmp_path / "project", source)
    tests = folder / "tests/test_turnstile_ratchet.py"
    assert ("survives_a_kill" in tests.read_text(encoding="utf-8")) is stored
    done = ran_tests(folder)
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout


PURCHASE = Path(__file__).parent / "purchase.yaml"
#: What a defect replaces in the generated authority, and the test that has to find it.
DEFECTS = [
    (r'if (purchase) is None or [^:]*:(\s+return self\._rejection\(id, purchase, "remove")',
     r"if \1 is None:\2", "illegal_actions_are_rejected"),
    (r'if (purchase) is None or [^:]*:(\s+return self\._rejection\(id, purchase, "forget")',
     r"if \1 is None:\2", "illegal_actions_are_rejected"),
    (r'(purchase, "\w+"), [^()\s][^()]*\)', r"\1)", "was_done_already"),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "replacement", "test"), DEFECTS)
def test_a_defect_of_generated_code_is_found_by_its_tests(
    pattern: str, replacement: str, test: str, tmp_path: Path
) -> None:
    """Of the removal of a record in another status, and of a repetition that nothing says."""
    folder = project(tmp_path, PURCHASE)
    assert ran_tests(folder, "tests", "-k", test).returncode == 0
    authority = folder / "src/purchase/authority.py"
    text, count = re.subn(pattern, replacement, authority.read_text("utf-8"))
    assert count == 1, text
    authority.write_text(text, "utf-8")
    done = ran_tests(folder, "tests", "-k", test)
    assert (done.returncode, test in done.stdout) == (1, True), done.stdout
