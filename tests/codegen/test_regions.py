"""Orthogonal regions: what they are flattened to, and that none is changed by another one."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from opslifecycle import ManualClock, MemoryStore, SqliteStore, Store
from opslifecycle_codegen.base.diagnostics import InvalidMachineError
from opslifecycle_codegen.cli.explain import explained, explained_status
from opslifecycle_codegen.cli.main import main
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.compat.compare import changes
from opslifecycle_codegen.compat.lock import lock_of
from opslifecycle_codegen.emit.diagram import _graph, mermaid
from opslifecycle_codegen.ir.program import Program
from opslifecycle_codegen.modelcheck.scenarios import scenarios
from opslifecycle_codegen.modelcheck.search import Search
from opslifecycle_codegen.modelcheck.symbolic.induction import induction

from tests.support.codegen.projects import assert_clean, edit, imported, package, project
from tests.support.edits import replaced
from tests.support.warm import python

ROOT = Path(__file__).parents[2]
OVEN = ROOT / "examples/microwave/machine/oven.yaml"
PURCHASE = Path(__file__).with_name("purchase.yaml")
TURNSTILE = Path(__file__).with_name("turnstile.yaml")
Edit = tuple[str, str]
#: The target with two regions.
CASH = "to: {status: handed, also: paid}"


def compiled(*edits: Edit, source: Path = PURCHASE) -> Program:
    text = replaced(source.read_text(encoding="utf-8"), edits)
    return program_of(text.encode(), "m.yaml")


def found(*edits: Edit, source: Path = PURCHASE) -> set[tuple[str, str]]:
    """The rule and the message of each mistake."""
    with pytest.raises(InvalidMachineError) as caught:
        compiled(*edits, source=source)
    return {(each.rule, each.message) for each in caught.value.findings}


def ways(program: Program, name: str) -> dict[str, str]:
    """Where an action without conditions leads from each status."""
    (action,) = (each for each in program.actions if each.name == name)
    return {source: way.to for way in action.ways for source in way.from_statuses}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return package(tmp_path_factory.mktemp("regions"), PURCHASE, "shop_of_regions")


@pytest.fixture(params=["none", "memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store | None:
    stores = {"none": None, "memory": MemoryStore(), "sqlite": SqliteStore(tmp_path / "r.db")}
    return stores[request.param]


def ordered(shop: ModuleType, registry: Any) -> Any:
    id = shop.PurchaseId.new()
    registry.begin(id, 1)
    registry.order(id)
    return id


def status(registry: Any, id: Any) -> str:
    return str(registry.snapshot(id).status.value)


class TestStatuses:
    def test_they_are_what_actions_reach_in_the_order_of_the_file(self) -> None:
        groups = compiled(source=OVEN).symbols.status_groups
        assert groups["live"] == (
            "closed_resting", "closed_cooking", "closed_ready", "opened_resting", "opened_waiting"
        )  # fmt: skip
        assert groups["terminal"] == ("scrapped",)

    def test_actions_lead_where_a_simulation_of_both_regions_leads(self) -> None:
        """The oven as a pair of door and engine, which knows nothing of the compiler."""

        def after(door: str, engine: str, action: str) -> tuple[str, str] | None:
            match action, door, engine:
                case "cook", _, "resting":
                    return door, "cooking" if door == "closed" else "waiting"
                case "cancel", _, ("waiting" | "cooking"):
                    return door, "resting"
                case "open_door", "closed", _:
                    moved = {"cooking": "waiting", "ready": "resting"}
                    return "opened", moved.get(engine, engine)
                case "close_door", "opened", _:
                    return "closed", "cooking" if engine == "waiting" else engine
                case "finish", _, "cooking":
                    return door, "ready"
                case "remind", "opened", _:
                    return door, engine
            return None

        program = compiled(source=OVEN)
        names = ["cook", "cancel", "open_door", "close_door", "finish", "remind"]
        seen, waiting = set(), [("closed", "resting")]
        expected: dict[str, dict[str, str]] = {name: {} for name in names}
        while waiting:
            pair = waiting.pop()
            if pair in seen:
                continue
            seen.add(pair)
            for name in names:
                led = after(*pair, name)
                if led is not None:
                    expected[name]["_".join(pair)] = "_".join(led)
                    waiting.append(led)
        assert len(seen) == 5
        assert {name: ways(program, name) for name in names} == expected

    def test_a_status_of_a_region_is_a_group_and_a_member(self, shop: ModuleType) -> None:
        program = compiled()
        groups = program.symbols.status_groups
        assert groups["late"] == ("late_packed", "late_sent", "late_handed")
        assert groups["unpaid"] == ("due_packed", "due_sent", "due_handed", *groups["late"])
        assert shop.PurchaseStatus.LATE_SENT.payment is shop.PurchasePayment.LATE
        assert shop.PurchaseStatus.LATE_SENT.delivery is shop.PurchaseDelivery.SENT
        assert shop.PurchaseStatus.LATE_SENT.owed is True
        assert shop.PurchaseStatus.BASKET.payment is shop.PurchasePayment.OUTSIDE
        assert not hasattr(imported_oven_door(), "ANYWHERE")

    def test_listings_and_guards_read_regions(self, shop: ModuleType, store: Any) -> None:
        with shop.PurchaseRegistry(store=store) as registry:
            first, second = ordered(shop, registry), ordered(shop, registry)
            dear = shop.PurchaseId.new()
            registry.begin(dear, 5)
            registry.order(dear)
            with pytest.raises(shop.PurchaseCheapError):
                registry.send(dear)
            registry.pay(dear)
            registry.send(dear)
            registry.send(first)
            listed = registry.purchases
            assert {each.id for each in listed(on_its_way=True)} == {first, dear}
            assert [each.id for each in listed(payment=shop.PurchasePayment.PAID)] == [dear]
            assert [each.id for each in listed(on_its_way=False)] == [second]

    def test_their_number_and_the_length_of_their_names_have_limits(self) -> None:
        def sized(left: int, right: int) -> tuple[Edit, ...]:
            """Add statuses to both regions, and actions through all of them."""
            payments = [f"p{n}" for n in range(left - 3)]
            goods = [f"d{n}" for n in range(right - 3)]
            first = "".join(f"        {each}: {{summary: One., owed: true}}\n" for each in payments)
            second = "".join(f"        {each}: {{summary: One.}}\n" for each in goods)
            lines = ""
            for start, names in (("due", payments), ("packed", goods)):
                for source, to in itertools.pairwise([start, *names]):
                    lines += f"  to_{to}: {{summary: Go on., methods: [m_{to}], from: {source}, "
                    lines += f"to: {to}}}\n"
                    lines += f"  of_{to}: {{summary: Go back., methods: [b_{to}], from: {to}, "
                    lines += f"to: {start}}}\n"
            return (
                ("        late: {summary", f"{first}        late: {{summary"),
                ("        sent: {summary", f"{second}        sent: {{summary"),
                ("  pay:\n", f"{lines}  pay:\n"),
            )

        program = compiled(*sized(8, 8))
        assert sum("_" in each for each in program.symbols.status_groups["live"]) == 63
        message = "the regions reach more than 64 statuses together: 9 of payment, 8 of delivery"
        assert found(*sized(9, 8)) == {("too-many-statuses", message)}
        long = "x" * 40
        edits: list[Edit] = [
            ("        late:", f"        {long}:"),
            ("[due, late]\n  members", f"[due, {long}]\n  members"),
            ("to: late", f"to: {long}"),
            ("while: late", f"while: {long}"),
            ("[due, late])", f"[due, {long}])"),
        ]
        program = compiled(*edits)
        assert f"{long}_packed" in program.symbols.status_groups["live"]
        edits = [(old, new.replace(long, f"{long}xx")) for old, new in edits]
        assert {rule for rule, _ in found(*edits)} == {"long-name"}

    @pytest.mark.parametrize(
        ("edits", "rule"),
        [
            ((("initial: due", "initial: dew"),), "unknown-status"),
            ((("        late: {", "        sent: {"),), "name-collision"),
            ((("        late: {", "        basket: {"),), "name-collision"),
            ((("        late: {", "        unpaid: {"),), "name-collision"),
            ((("        late: {", "        outside: {"),), "name-collision"),
            ((("    payment:\n", "    owed:\n"),), "name-collision"),
            ((("owed: true, entry: [warn]", "owed: true, pseudo: true"),), "pseudo-status"),
            ((("terminal: true, entry: [thank]", "terminal: true, milestone: true"),),
             "wrong-shape"),
            ((("packed: {summary: They are in the shop.", "packed: {owed: true, summary: Here."),),
             "name-collision"),
            ((("from: due\n    to: late", "from: due\n    to: paid"), ("while: late", "while: due"),
              ("[due, late])", "[due])")), "unreachable-status"),
            ((("to: basket\n\nactions", "to: baskets\n\nactions"),), "unknown-status"),
        ],
    )  # fmt: skip
    def test_a_mistake_is_reported_by_its_rule(self, edits: tuple[Edit, ...], rule: str) -> None:
        assert rule in {each for each, _ in found(*edits)}

    def test_one_region_and_names_that_meet_are_refused(self) -> None:
        text = OVEN.read_text(encoding="utf-8")
        start, end = text.index("    door:\n"), text.index("    engine:\n")
        message = "engine is the only region: its statuses are those of the record"
        assert ("wrong-shape", message) in found((text[start:end], ""), source=OVEN)
        meeting = [
            ("        late: {", "        due_packed: {"),
            ("while: late", "while: due_packed"),
            ("    to: late", "    to: due_packed"),
            ("unpaid: [due, late]", "unpaid: [due, due_packed]"),
            ("[due, late])", "[due, due_packed])"),
        ]
        message = (
            "due and packed have the name 'due_packed' together, which is a status of a region"
        )
        assert ("name-collision", message) in found(*meeting)


def imported_oven_door() -> Any:
    return imported(ROOT / "examples/microwave", "oven").OvenDoor


class TestActions:
    def test_an_action_keeps_what_it_does_not_name(self) -> None:
        program = compiled()
        assert ways(program, "pay") == {
            f"{payment}_{goods}": f"paid_{goods}"
            for payment in ("due", "late")
            for goods in ("packed", "sent", "handed")
        }
        assert ways(program, "hand_for_cash") == {
            "due_sent": "paid_handed", "late_sent": "paid_handed"
        }  # fmt: skip

    def test_while_asks_for_another_region(self) -> None:
        assert ways(compiled(), "take_back") == {"late_packed": "basket"}
        edit = ("while: late", "while: [late, due]")
        assert set(ways(compiled(edit), "take_back")) == {"late_packed", "due_packed"}
        joined = ("from: packed\n    while: late", "from: [late_packed, due_packed]")
        assert compiled(joined).actions == compiled(edit).actions

    def test_from_outside_the_regions_begin(self, shop: ModuleType, store: Any) -> None:
        with shop.PurchaseRegistry(store=store) as registry:
            id = shop.PurchaseId.new()
            registry.begin(id, 1)
            assert status(registry, id) == "basket"
            registry.order(id)
            assert status(registry, id) == "due_packed"
        begun = compiled(("to: due\n", "to: sent\n"))
        assert ways(begun, "order") == {"basket": "due_sent"}

    def test_a_record_begins_in_the_initial_statuses_or_where_create_says(self) -> None:
        def begun(to: str) -> str:
            return compiled(("  to: basket\n\nactions", f"{to}\n\nactions")).create.to

        assert begun("") == "due_packed"
        assert begun("  to: late") == "late_packed"
        assert begun("  to: basket") == "basket"

    def test_no_action_is_legal_at_the_end(self, shop: ModuleType, store: Any) -> None:
        with shop.PurchaseRegistry(store=store) as registry:
            id = ordered(shop, registry)
            registry.send(id)
            registry.hand_for_cash(id)
            assert registry.snapshot(id).status.terminal
            with pytest.raises(shop.PurchaseStateError, match="paid_handed: it cannot pay"):
                registry.pay(id)

    def test_removals_are_of_the_live_or_of_the_ended(self) -> None:
        program = compiled()
        assert program.rollback is not None
        assert program.rollback.from_statuses == ("due_packed", "late_packed", "paid_packed")
        assert program.erase is not None
        assert program.erase.from_statuses == ("paid_handed",)

    @pytest.mark.parametrize(
        ("edits", "rule"),
        [
            ((("from: unpaid\n    to: paid", "from: [due, sent]\n    to: paid"),), "wrong-shape"),
            ((("from: unpaid\n    to: paid", "from: dew\n    to: paid"),), "unknown-status"),
            ((("from: unpaid\n    to: paid", "from: late_handled\n    to: paid"),),
             "unknown-status"),
            ((("while: late", "while: lates"),), "unknown-status"),
            (((CASH, "to: {status: handed, also: packed}"),),
             "wrong-shape"),
            (((CASH, "to: {status: handed, also: basket}"),),
             "wrong-shape"),
            (((CASH, "to: {status: handed, also: paying}"),),
             "unknown-status"),
            (((CASH, "to: [{from: packed, status: handed}, packed]"),), "dead-target"),
            (((CASH, "to: [handed, {status: packed}]"),), "dead-target"),
            ((("from: due\n    to: late", "from: [due, paid]\n    to: late"),), "terminal-exit"),
        ],
    )  # fmt: skip
    def test_a_mistake_is_reported_by_its_rule(self, edits: tuple[Edit, ...], rule: str) -> None:
        assert rule in {each for each, _ in found(*edits)}

    def test_words_of_regions_need_regions(self) -> None:
        kettle = Path(__file__).with_name("kettle.yaml")
        text = ("from: [cold, warm], to: heating}", "from: [cold, warm], while: warm, to: heating}")
        message = "`while` is about regions, and this machine has none"
        assert ("wrong-shape", message) in found(text, source=kettle)
        text = (text[0], "from: [cold, warm], to: {status: heating, also: warm}}")
        message = "`also` is about regions, and this machine has none"
        assert ("wrong-shape", message) in found(text, source=kettle)
        text = ("guards: [new]\n  to: cold", "guards: [new]")
        mistakes = list(found(text, source=kettle))
        assert mistakes == [("missing-key", "create lacks the key 'to'")]


class TestEnds:
    def test_it_announces_itself_when_its_region_is_led_to_the_milestone(
        self, shop: ModuleType, store: Any
    ) -> None:
        with shop.PurchaseRegistry(store=store) as registry:
            id = ordered(shop, registry)
            watch = registry.watch(id)
            registry.send(id)
            assert not watch.done()
            registry.pay(id)
            assert watch.result(timeout=5) is shop.PurchaseStatus.PAID_SENT
            registry.lose(id)
            registry.send(id)
            snapshot = registry.snapshot(id)
            assert snapshot.status is shop.PurchaseStatus.PAID_SENT
            assert snapshot.outcome is shop.PurchaseStatus.PAID_SENT
            registry.hand(id)
            entries = registry.outcomes().list_since(0).entries
            assert [(e.seq, e.status.value) for e in entries] == [
                (1, "paid_sent"), (2, "paid_handed")
            ]  # fmt: skip

    def test_the_outcome_stays_while_the_milestone_does(self, shop: ModuleType) -> None:
        with shop.PurchaseRegistry() as registry:
            id = ordered(shop, registry)
            registry.pay(id)
            registry.send(id)
            # The other region has changed since, and the news was the payment.
            assert registry.snapshot(id).outcome is shop.PurchaseStatus.PAID_PACKED
            assert registry.watch(id).result(timeout=0) is shop.PurchaseStatus.PAID_PACKED

    def test_an_outcome_counts_where_the_record_ends(self) -> None:
        edits = (
            ("  price: {type: int, initial: price}\n",
             "  price: {type: int, initial: price}\n  terminal_outcome: bool | None\n"),
            ("to: handed\n    idem", "to: {status: handed, outcome: 'true'}\n    idem"),
            ("also: paid}", "also: paid, outcome: 'true'}"),
            ("to: cancelled\n", "to: {status: cancelled, outcome: 'false'}\n"),
            ("from: unpaid\n    to: paid", "from: unpaid\n    to: {status: paid, outcome: 'true'}"),
        )  # fmt: skip
        program = compiled(*edits)
        (hand,) = (each for each in program.actions if each.name == "hand")
        assert [way.outcome is not None for way in hand.ways] == [False, False, True]


class TestTimersAndEffects:
    def test_a_timer_of_a_region_is_not_set_anew_by_another(
        self, shop: ModuleType, store: Any
    ) -> None:
        clock = ManualClock()
        with shop.PurchaseRegistry(store=store, clock=clock) as registry:
            id = ordered(shop, registry)
            clock.advance(hours=1)
            registry.send(id)
            clock.advance(hours=1)
            # Two hours after the order, one hour after the goods were sent.
            assert status(registry, id) == "late_sent"
            clock.advance(hours=1, minutes=30)
            registry.resend(id)
            clock.advance(hours=2, minutes=59)
            assert status(registry, id) == "late_sent"
            clock.advance(minutes=1)
            assert status(registry, id) == "late_packed"

    def test_late_timers_of_both_regions_fire_in_order_at_the_start(self, shop: ModuleType) -> None:
        clock, store = ManualClock(), MemoryStore()
        with shop.PurchaseRegistry(store=store, clock=clock) as registry:
            id = ordered(shop, registry)
            registry.send(id)
        clock.advance(hours=9)
        with shop.PurchaseRegistry(store=store, clock=clock) as registry:
            assert status(registry, id) == "late_packed"
            effects = [each.effect.value for each in registry.pending_effects()]
            assert effects[-2:] == ["warn", "untrack"]

    def test_entering_and_leaving_follow_the_regions_that_an_action_names(
        self, shop: ModuleType
    ) -> None:
        def caused(*names: str) -> list[str]:
            with shop.PurchaseRegistry() as registry:
                id = ordered(shop, registry)
                for name in names[:-1]:
                    getattr(registry, name)(id)
                before = len(registry.pending_effects())
                getattr(registry, names[-1])(id)
                return [each.effect.value for each in registry.pending_effects()][before:]

        assert caused("send") == ["load", "log", "track"]
        assert caused("send", "pay") == ["log"]
        assert caused("send", "resend") == ["untrack", "track"]
        assert caused("send", "hand_for_cash") == ["untrack", "thank"]
        assert caused("look") == ["log"]
        # Out of the regions: what leaving each of them causes, then what the end does.
        assert caused("cancel") == ["load", "count"]
        assert caused("send", "cancel") == ["untrack", "count"]

    def test_a_timer_that_would_stay_due_is_refused(self) -> None:
        edits = (("sent: {hours: 3, do: lose}", "sent: {hours: 3, do: pay}"),)
        assert "dead-timer" in {rule for rule, _ in found(*edits)}
        # It leads another region on, and its own clock goes on.
        moving = (
            ("{minutes: 2, do: remind}", "[{minutes: 2, do: remind}, {minutes: 9, do: nag}]"),
            ("  remind:\n", "  nag: {summary: Stop., from: opened, to: resting}\n  remind:\n"),
        )
        rules = {rule for rule, _ in found(*moving, source=OVEN)}
        assert rules == {"endless-timer"}

    def test_the_time_of_a_region_belongs_to_the_timers(self) -> None:
        declared = ("fields:\n  price", "fields:\n  payment_since_ms: {type: int | None}\n  price")
        message = "payment_since_ms belongs to the timers of `after`"
        assert ("owned-field", message) in found(declared)
        updated = ("to: sent\n    effects: [log]\n",
                   "to: sent\n    update: {purchase.delivery_since_ms: 1}\n")  # fmt: skip
        message = "purchase.delivery_since_ms belongs to the timers: the compiler updates it"
        assert ("owned-field", message) in found(updated)
        mixed = (("    unpaid: [due, late]\n", "    unpaid: [due, late]\n    open: [due, sent]\n"),
                 ("  due: {hours: 2", "  due_sent: {hours: 2"))  # fmt: skip
        fields = compiled(*mixed).symbols.entity_fields
        # A joined status has the time of the record, which any action begins anew.
        assert {"status_since_ms", "delivery_since_ms"} <= set(fields)
        assert "payment_since_ms" not in fields


#: What is written by a gate that is locked or not, and read by one that has a lamp, too.
WRITE = """
from turnstile import *
from opslifecycle import SqliteStore
with GateRegistry(store=SqliteStore("gates.db")) as gates:
    for number in (1, 2, 3):
        id = GateId(f"0197c0de-0000-7000-8000-00000000000{number}")
        gates.install(id, "hall")
        if number > 1:
            gates.coin(id)
    gates.scrap(id)
"""
READ = """
from turnstile import *
from opslifecycle import SqliteStore
with GateRegistry(store=SqliteStore("gates.db")) as gates:
    ids = [GateId(f"0197c0de-0000-7000-8000-00000000000{number}") for number in (1, 2, 3)]
    print([gates.snapshot(id).status.value for id in ids])
    gates.shine(ids[1])
    gates.push(ids[1])
    print(gates.snapshot(ids[1]).status.value, gates.snapshot(ids[1]).status.lamp.value)
"""
LOCK = """  regions:
    lock:
      summary: The lock of a gate.
      initial: locked
      members:
        locked: {summary: It lets no one through.}
        unlocked: {summary: It lets one through.}
    lamp:
      summary: The lamp of a gate.
      initial: dark
      members:
        dark: {summary: It is off.}
        lit: {summary: It is on.}
  members:
    scrapped"""
SHINE = "actions:\n  shine: {summary: Light it., methods: [shine], from: dark, to: lit}\n"
RENAMES = """version: 2
migrations:
  2:
    reason: Gates have a lamp.
    renames:
      GateStatus: {locked: locked_dark, unlocked: unlocked_dark}
"""


class TestChanges:
    def test_a_machine_gets_a_second_region(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stored = tmp_path / "turnstile.yaml"
        text = TURNSTILE.read_text(encoding="utf-8")
        stored.write_text(f"{text}recovery: {{persist_if: 'true'}}\n", encoding="utf-8")
        folder = project(tmp_path / "project", stored)

        def run(program: str) -> str:
            environment = {**os.environ, "PYTHONPATH": "src"}
            done = python("-c", program, cwd=folder, env=environment)
            assert done.returncode == 0, done.stdout
            return done.stdout

        run(WRITE)
        machine = folder / "machine/turnstile.yaml"
        text = machine.read_text(encoding="utf-8")
        start, end = text.index("  members:\n"), text.index("    scrapped:")
        assert text.count("    locked: {") == text.count("    unlocked: {") == 1
        text = text[:start] + LOCK + text[end + len("    scrapped") :]
        machine.write_text(text, encoding="utf-8")
        edit(machine, "actions:\n", SHINE)
        assert main(["--project", str(folder), "generate"]) == 2
        assert "GateStatus loses locked" in capsys.readouterr().err
        edit(machine, "version: 1\n", RENAMES)
        assert main(["--project", str(folder), "generate"]) == 0
        assert run(READ).splitlines() == [
            "['locked_dark', 'unlocked_dark', 'scrapped']", "locked_lit lit"
        ]  # fmt: skip

    def test_a_further_status_of_a_region_breaks_nothing_that_is_stored(self) -> None:
        before, after = compiled(), compiled(("        sent: {", HELD), ("  lose:\n", HOLD))
        rules = {
            each.rule for each in changes(lock_of(before, ""), lock_of(after, "")) if each.breaking
        }
        assert rules == set()
        assert "paid_held" in after.symbols.status_groups["live"]


HELD = "        held: {summary: The carrier keeps them.}\n        sent: {"
HOLD = (
    "  hold: {summary: Keep them., methods: [hold], from: sent, to: held}\n"
    "  release: {summary: Go on., methods: [release], from: held, to: sent}\n  lose:\n"
)
#: That goods are never on their way unpaid, which is false for cheap ones.
WRONG = (
    "expr: all(p.status.owed ==",
    "expr: all(p.status.delivery is not sent or p.status.payment is paid for p in purchases)\n"
    "  again:\n    summary: A customer who owes money has not paid.\n"
    "    expr: all(p.status.owed ==",
)


class TestVerification:
    def test_the_search_finds_a_combination_that_should_not_be(self) -> None:
        result = Search(scenarios(compiled())[0]).run()
        assert result.closed
        assert result.violation is None
        wrong = Search(scenarios(compiled(WRONG))[0]).run()
        assert wrong.violation is not None

    def test_induction_proves_it_for_any_number_of_records(self) -> None:
        pytest.importorskip("z3")
        assert induction(compiled(source=OVEN)).failed == []
        assert any("owed_is_unpaid" in each for each in induction(compiled(WRONG)).failed)


class TestPictures:
    def test_diagrams_show_regions_beside_each_other(self) -> None:
        lines = [line.strip() for line in mermaid(compiled())]
        assert lines[3] == 'state "purchase" as r_regions {'
        assert lines.count("--") == 1
        assert "s_due --> s_paid: pay / log<br>hand_for_cash [sent] / untrack, thank" in lines
        assert "s_packed --> s_sent: send [safe] / load, log, track" in lines
        assert "s_basket --> r_regions: order / count" in lines
        assert "r_regions --> [*]" in lines
        assert "class s_paid milestone" in lines
        assert "class s_cancelled terminal" in lines

    def test_a_drawing_has_a_cluster_for_each_region(self) -> None:
        graph = [line.strip() for line in _graph(compiled())]
        assert 'subgraph "cluster_payment" {' in graph
        assert '"paid" [label="paid", peripheries=2, penwidth=3];' in graph
        assert '"r_regions" -> "basket" [label="take_back / load"];' in graph

    def test_explain_says_what_a_status_consists_of(self) -> None:
        program = compiled()
        assert (
            "    of payment late, delivery sent"
            in explained_status(program, "late_sent").splitlines()
        )
        text = explained(program)
        assert "  delivery: Where the goods of a purchase are.\n    begins packed\n" in text
        assert "    sent → handed: hand, hand_for_cash [due or late]\n" in text

    def test_what_is_generated_is_clean(self, tmp_path: Path) -> None:
        assert_clean(project(tmp_path, PURCHASE))
