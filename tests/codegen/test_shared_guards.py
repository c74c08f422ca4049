"""Guards with which several commands begin are printed once, others in their commands."""

from __future__ import annotations

from pathlib import Path

from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.emit.authority import AuthorityView, authority_view
from opslifecycle_codegen.emit.rejections import beginnings
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.ir.public_names import public_names

TURNSTILE = Path(__file__).with_name("turnstile.yaml").read_text(encoding="utf-8")
LOCKED = "[locked]"
PUSH = "from: [unlocked], to: locked}"


def program(*edits: tuple[str, str]) -> Program:
    """The machine of turnstiles with some of its text replaced."""
    text = TURNSTILE
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    return program_of(text.encode(), "turnstile.yaml")


def printed(program: Program) -> AuthorityView:
    return authority_view(program, public_names(program.machine), 88)


def shared(*edits: tuple[str, str]) -> dict[str, tuple[str, list[str]]]:
    """The method of each command that shares guards, and these."""
    made = program(*edits)
    return {
        command.name: (each.method, [check.guard for check in each.checks])
        for command in made.actions
        for each in beginnings(made)
        if each.begins(command)
    }


def test_commands_with_the_same_guards_share_them() -> None:
    same = ("_rejection", ["known", "legal_status"])
    assert shared() == {"coin": same, "push": same, "scrap": same}


def test_guards_behind_the_test_of_the_status_are_the_commands_own() -> None:
    guard = ("  new:", "  paid: {when: gate.coins > 1, error: {no_such_gate: {id: id}}}\n  new:")
    found = shared(guard, (PUSH, f"guards: [known, paid], {PUSH}"))
    assert found["push"] == ("_rejection", ["known", "legal_status"])


def test_an_argument_or_a_comparison_ends_the_shared_part() -> None:
    for test, params in (
        ("fast", "params: {fast: bool}, methods: [push]"),
        ("gate.coins > 1", "methods: [push]"),
    ):
        guard = f"  own: {{when: {test}, error: {{no_such_gate: {{id: id}}}}}}\n  new:"
        edits = [
            ("  new:", guard),
            ("methods: [push]", params),
            (PUSH, f"guards: [known, own, legal_status], {PUSH}"),
        ]
        assert set(shared(*edits)) == {"coin", "scrap"}


def test_guards_that_one_command_has_are_printed_in_it() -> None:
    own = "  own: {when: gate.coins > 1, error: {no_such_gate: {id: id}}}\n  new:"
    guards = "guards: [known, own, legal_status], from"
    assert shared(("  new:", own), (f"from: {LOCKED}", f"{guards}: {LOCKED}"), (
        "from: [unlocked]", f"{guards}: [unlocked]")
    ) == {}  # fmt: skip


def test_an_action_may_be_called_like_the_creation_of_a_record() -> None:
    view = printed(program(("  push: {", "  register: {")))
    create = next(each.body for each in view.methods if "def register(" in each.signature[0])
    assert not [line for line in create if "_rejection" in line]


def test_a_long_list_of_statuses_is_called_after_its_action() -> None:
    jammed = "jammed_by_something_that_is_no_coin"
    jam = (
        "  jam: {summary: Jam., methods: [jam], from: [locked], "
        f"to: {jammed}, idempotent_in: [unlocked, {jammed}]}}\n"
    )
    view = printed(
        program(
            ("    scrapped:", f"    {jammed}: {{summary: Stuck.}}\n    scrapped:"),
            (f"from: {LOCKED}", f"from: [locked, {jammed}]"),
            ("  push:", f"{jam}  push:"),
        )
    )
    assert "_COIN_FROM = (_LOCKED, _JAMMED_BY_SOMETHING_THAT_IS_NO_COIN)" in view.constants
    assert "_JAM_DONE_IN = (_UNLOCKED, _JAMMED_BY_SOMETHING_THAT_IS_NO_COIN)" in view.constants


def test_the_table_of_actions_has_a_column_for_what_differs() -> None:
    assert printed(program()).actions == [
        "    #: Each action: its name, where it is legal.",
        "    _ACTIONS = (",
        '        ("coin", (_LOCKED,)),',
        '        ("push", (_UNLOCKED,)),',
        '        ("scrap", _FROM_LIVE),',
        "    )",
    ]
    *_, push, _, _ = printed(program(("methods: [push]", "methods: [shove]"))).actions
    assert push == '        ("push", (_UNLOCKED,), "shove"),'
