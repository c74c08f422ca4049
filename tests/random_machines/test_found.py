"""Faults that random machines have found, each as the smallest edit of a machine that shows it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from opslifecycle import MemoryStore

from tests.support.random_machines.building import Tree
from tests.support.random_machines.compiling import Generated, Refused, compiled
from tests.support.random_machines.examining import Examination
from tests.support.random_machines.linting import lint
from tests.support.random_machines.parcels import PARCEL, parcel
from tests.support.random_machines.stores import contents_of
from tests.support.random_machines.verdicts import Tally
from tests.support.random_machines.walking import Walk

FEED = {
    "summary": "Every end.", "method": "feed", "epoch": "FeedId", "batch": "Batch",
    "entry": {
        "name": "Entry", "summary": "One end.",
        "fields": {
            "seq": "parcel.sequence", "note": "parcel.note", "parcel_id": "parcel.id"
        },
    },
}  # fmt: skip


def rules_of(tree: Tree) -> set[str]:
    """Return the rules by which a machine is refused; none if it is accepted."""
    with compiled(tree) as found:
        return {each.rule for each in found.findings} if isinstance(found, Refused) else set()


def test_a_long_test_loses_none_of_its_parts() -> None:
    tree, classifiers = parcel("classifiers")
    classifiers["is_somewhere_else"] = {
        "summary": "Whether it is there.",
        "returns": "parcel is not None and (parcel.status is travelling"
        " or (parcel.stops > 1_000_000 or parcel.status not in [accepted, travelling]))",
    }
    assert Examination().of(tree)


def test_an_outcome_sees_what_its_action_has_changed() -> None:
    tree, actions = parcel("actions")
    tree["values"] = {
        "End": {
            "summary": "How it ended.", "tag": "kind",
            "variants": {"After": {"summary": "After stops.", "fields": {"stops": "int"}}},
        }
    }  # fmt: skip
    tree["fields"]["terminal_outcome"] = {"type": "End | None"}
    tree["snapshot"]["fields"]["outcome"] = "parcel.terminal_outcome"
    for name in ("deliver", "lose"):
        actions[name] |= {
            "outcome": "After(parcel.stops)", "update": {"parcel.stops": "parcel.stops + 1"}
        }  # fmt: skip
    tree["recovery"].pop("do")
    assert Examination().of(tree)


def test_an_outcome_has_what_its_constructor_sets() -> None:
    tree, actions = parcel("actions")
    variant = {
        "summary": "After stops.",
        "fields": {"stops": "int", "seen": {"type": "int | None", "always": "stops"}},
    }
    tree["values"] = {
        "End": {"summary": "How it ended.", "tag": "kind", "variants": {"After": variant}}
    }
    tree["fields"]["terminal_outcome"] = {"type": "End | None"}
    tree["snapshot"]["fields"]["outcome"] = "parcel.terminal_outcome"
    for name in ("deliver", "lose"):
        actions[name]["outcome"] = "After(parcel.stops, None)"
    tree["recovery"].pop("do")
    assert Examination().of(tree)


def test_a_field_begins_as_a_field_of_the_registry() -> None:
    tree, fields = parcel("fields")
    tree["registry"] = {"made": {"type": "int", "initial": 3, "summary": "How many."}}
    fields["number"] = {"type": "int", "initial": "registry.made"}
    tree["create"]["update"] = {"registry.made": "registry.made + 1"}
    tree["snapshot"]["fields"]["number"] = "parcel.number"
    assert Examination().of(tree)


def test_common_guards_may_refuse_a_record_of_samples() -> None:
    tree, guards = parcel("guards")
    tree["registry"] = {"limit": {"type": "int", "initial": 0, "summary": "The highest number."}}
    tree["errors"]["full"] = {"class": "FullError", "message": "there is no room"}
    guards["room"] = {"when": "registry.limit > 0", "error": "full"}
    tree["global_guards"] = ["room"]
    assert Examination().of(tree)


def test_a_listing_needs_no_filters() -> None:
    tree, listing = parcel("listing")
    listing |= {"summary": "All of them.", "method": "parcels", "order": ["parcel.id"]}
    assert Examination().of(tree)


def test_an_outcome_has_no_value_to_start_with() -> None:
    tree, fields = parcel("fields")
    fields["terminal_outcome"] = {"type": "str", "initial": "address"}
    assert not Examination().of(tree)


def test_the_feed_entry_of_a_record_that_is_not_kept_is_stored() -> None:
    tree, _ = fed()
    tree["recovery"] = {"persist_if": "parcel.address == ''"}
    assert Examination().of(tree)


def test_the_messages_of_a_bulk_command_name_its_arguments() -> None:
    tree: Tree = yaml.safe_load(PARCEL.read_text(encoding="utf-8"))
    tree["actions"]["lose"] |= {"params": {"why": "str"}, "effects": ["tell_receiver"]}
    tree["bulk"] = {"lose_all": {"summary": "Give all of them up.", "do": "lose"}}
    tree["recovery"].pop("do")
    assert Examination().of(tree)


@pytest.mark.parametrize("optional", [True, False])
def test_a_feed_entry_has_fields_that_may_be_none_anywhere(optional: bool) -> None:
    tree, _ = fed(optional=optional)
    assert Examination().of(tree)


def fed(*, optional: bool = False) -> tuple[Tree, Any]:
    """Return a small machine with a feed, and its fields."""
    tree, fields = parcel("fields")
    fields["note"] = {"type": "str | None"} if optional else {"type": "str", "initial": "address"}
    tree["settings"] = {
        "kept": {"summary": "How many.", "type": "int", "default": 2, "at_least": 1}
    }
    tree["ids"]["FeedId"] = {"summary": "Names the feed."}
    tree["feed"] = dict(FEED)
    tree["retention"] = {"evict": "records", "max_entries": "registry.kept"}
    return tree, fields


def test_a_constant_that_recovery_hands_over_is_not_tested_for_none() -> None:
    tree, _ = parcel()
    tree.setdefault("values", {})["End"] = {
        "summary": "How it ended.", "tag": "kind",
        "variants": {
            "Lost": {"summary": "It is lost.", "fields": {"unexplained": "bool"}},
            "Delivered": {"summary": "It has arrived."},
        },
    }  # fmt: skip
    tree["fields"]["terminal_outcome"] = {"type": "End | None"}
    tree["actions"]["lose"] |= {"params": {"why": "str | None"}, "outcome": "Lost(why is None)"}
    tree["actions"]["deliver"]["outcome"] = "Delivered()"
    tree["recovery"] = {"persist_if": "true", "do": "lose", "with": {"why": "'gone'"}}
    assert Examination().of(tree)


def test_a_command_that_creates_never_replaces_a_record() -> None:
    tree, create = parcel("create")
    create["guards"].remove("new")
    tree["guards"].pop("new")
    tree["errors"].pop("accepted_already")
    assert not Examination().of(tree)
    assert rules_of(tree) == {"replaced-record"}


def test_a_record_can_be_created() -> None:
    tree, create = parcel("create")
    create["methods"] = {}
    assert not Examination().of(tree)
    assert rules_of(tree) == {"missing-key"}


def test_a_step_of_an_end_sees_what_the_steps_before_it_have_changed() -> None:
    tree, fields = fed()
    fields["gone"] = {"type": "str | None"}
    tree["on_terminal"] = [{"if": "parcel.gone is None", "update": {"parcel.gone": "'yes'"}}]
    tree["feed"]["when"] = "parcel.gone is None"
    tree["classifiers"] = {"fed": {"summary": "The last.", "returns": "registry.watermark"}}
    assert Examination().of(tree)


@pytest.mark.parametrize("order", ["parcel", "parcel.note", "parcel.status"])
def test_a_listing_is_sorted_by_what_can_be_sorted(order: str) -> None:
    tree, fields = parcel("fields")
    fields["note"] = {"type": "str | None"}
    tree["listing"] = {"summary": "All.", "method": "parcels", "order": [order, "parcel.id"]}
    assert not Examination().of(tree)
    assert rules_of(tree) == {"wrong-type"}


def test_an_end_of_many_steps_has_no_branch_for_each_combination() -> None:
    tree, fields = fed()
    # A linter sorts the tenth behind the second.
    for number in (0, 1, 2, 10):
        fields[f"seen_{number}"] = {"type": "bool", "initial": "false"}
        step = {"if": f"parcel.stops == {number}", "update": {f"parcel.seen_{number}": "true"}}
        tree.setdefault("on_terminal", []).append(step)
    tree["on_terminal"].append({"if": "parcel.seen_1", "update": {"parcel.stops": "3"}})
    tree["feed"]["when"] = "parcel.stops == 3"
    tree["snapshot"]["fields"]["seen"] = "parcel.seen_1"
    assert Examination().of(tree)
    with compiled(tree) as found:
        assert not isinstance(found, Refused)
        lint(found)
        code = (found.folder / "src" / found.package.__name__ / "authority.py").read_text("utf-8")
    assert code.count("if parcel.stops == ") == 6


def test_what_finished_before_a_restart_is_collected_without_a_feed() -> None:
    tree, collect = parcel("collect")
    collect |= {"summary": "Take what has ended.", "method": "take"}
    tree["fields"]["sequence"] = {"type": "int | None"}
    tree["registry"] = {"ends": {"type": "int", "initial": 0, "summary": "How many."}}
    number = {"registry.ends": "registry.ends + 1", "parcel.sequence": "registry.ends"}
    tree["on_terminal"] = [{"if": "parcel.stops < 2", "update": number}]
    with compiled(tree) as found:
        assert isinstance(found, Generated)
        package: Any = found.package
        ids = first, second, third, far = [package.ParcelId.new() for _ in range(4)]
        store = MemoryStore()
        with package.ParcelRegistry(store=store) as registry:
            for id in ids:
                registry.accept(id, "here")
            registry.move(far)
            registry.move(far)
            for id in (far, second, first):
                registry.lose(id)
        with package.ParcelRegistry(store=contents_of(store)) as registry:
            # One without a number comes behind the others, and last what recovery has ended.
            assert [id for id, _ in registry.take()] == [second, first, far, third]
            assert registry.take() == []


def test_a_timer_whose_action_leaves_its_time_is_asked_for_once() -> None:
    tree, actions = parcel("actions")
    tree["fields"]["due"] = {"type": "int | None", "initial": "None"}
    actions["wait"] = {
        "summary": "Have it wait.", "methods": ["wait"], "from": "live",
        "update": {"parcel.due": "3"},
    }  # fmt: skip
    actions["remind"] = {
        "summary": "Say that it waits.", "from": "live",
        "update": {"parcel.due": "3", "parcel.stops": "parcel.stops + 1"},
    }  # fmt: skip
    tree["after"] = {"live": {"at": "parcel.due", "do": "remind"}}
    assert Examination().of(tree)


def test_a_machine_without_an_end_has_a_diagram() -> None:
    tree, members = parcel("statuses", "members")
    for name in ("delivered", "lost"):
        members[name]["terminal"] = False
    tree["recovery"].pop("do")
    # Its watch never ends, which the compiler reports and a machine may waive.
    assert Examination().of(tree)


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("optional", [True, False])
def test_keys_of_long_names_are_printed_as_a_formatter_does(count: int, optional: bool) -> None:
    tree, fields = parcel("fields")
    names = [f"{letter}_number_that_the_customer_has_given" for letter in "abcd"[:count]]
    create, type = tree["create"], "int | None" if optional else "int"
    for name in names:
        fields[name] = {"type": type, "initial": name}
        create["params"][name] = type
    for method in create["methods"].values():
        method.extend(names)
    tree["errors"]["held"] = {
        "class": "HeldError", "fields": {"holder": "ParcelId"}, "message": "{holder} has it",
    }  # fmt: skip
    tree["unique"] = {
        "by_what_the_customer_has_given": {
            "summary": "By numbers.", "fields": names, "among": "live",
            "error": {"held": {"holder": "existing"}},
        }
    }  # fmt: skip
    with compiled(tree) as found:
        assert not isinstance(found, Refused)
        lint(found)


@pytest.mark.parametrize("optional", [True, False])
def test_a_timer_passes_constants_of_every_type(optional: bool) -> None:
    tree, actions = parcel("actions")
    tree["types"] = {"Money": {"summary": "m.", "type": "Decimal", "digits": 6, "places": 2}}
    constants = {
        "price": ("Money", "2.5"), "debt": ("Money", "Decimal('1.50') * 2 - 1"),
        "due": ("datetime", "datetime(2026, 1, 31)"), "pause": ("timedelta", "timedelta(days=2)"),
        "size": ("float", "1.5"), "name": ("str", "'it'"), "count": ("int", "3"),
    }  # fmt: skip
    params = {name: f"{type} | None" if optional else type for name, (type, _) in constants.items()}
    for name, (type, _) in constants.items():
        tree["fields"][name] = {"type": f"{type} | None"}
        tree["snapshot"]["fields"][name] = f"parcel.{name}"
    actions["stall"] = {
        "summary": "Have it wait.", "from": ["accepted"], "to": "travelling", "params": params,
        "update": {f"parcel.{name}": name for name in constants},
    }  # fmt: skip
    given = {name: value for name, (_, value) in constants.items()}
    tree["after"] = {"accepted": {"milliseconds": 5, "do": "stall", "with": given}}
    assert Examination().of(tree)


@pytest.mark.parametrize("type", ["Money", "Money | None"])
def test_recovery_ends_with_a_decimal_number(type: str) -> None:
    tree, actions = parcel("actions")
    tree["types"] = {"Money": {"summary": "m.", "type": "Decimal", "digits": 6, "places": 2}}
    tree["fields"]["terminal_outcome"] = {"type": "Money | None"}
    tree["snapshot"]["fields"]["outcome"] = "parcel.terminal_outcome"
    actions["deliver"]["outcome"] = "1.5"
    paid = "paid if paid is not None else 2.5" if type == "Money | None" else "paid"
    actions["lose"] |= {"params": {"paid": type}, "outcome": paid}
    tree["recovery"] |= {"do": "lose", "with": {"paid": "3.5"}}
    assert Examination().of(tree)


def test_records_that_are_equal_in_an_order_are_listed_by_their_ids() -> None:
    tree, listing = parcel("listing")
    listing |= {"summary": "All of them.", "method": "parcels", "order": ["parcel.stops"]}
    with compiled(tree) as found:
        assert isinstance(found, Generated)
        package: Any = found.package
        ids = [package.ParcelId.new() for _ in range(4)]
        with package.ParcelRegistry() as registry:
            for id in reversed(ids):
                registry.accept(id, "here")
            assert [each.id for each in registry.parcels()] == ids


def test_the_greatest_floats_are_printed_as_a_formatter_does() -> None:
    tree, fields = parcel("fields")
    fields["weight"] = {"type": "float", "initial": "1e308"}
    tree["actions"]["lose"]["update"] = {"parcel.weight": "parcel.weight + 1e-7"}
    tree["recovery"].pop("do")
    with compiled(tree) as found:
        assert not isinstance(found, Refused)
        lint(found)


def test_another_region_does_not_begin_a_timer_anew() -> None:
    tree, regions = parcel("statuses", "regions")
    members = tree["statuses"]["members"]
    regions |= {
        "place": {
            "summary": "Where it is.", "initial": "accepted",
            "members": {name: members.pop(name) for name in ("accepted", "travelling")},
        },
        "lid": {
            "summary": "Whether it is open.", "initial": "closed",
            "members": {"closed": {"summary": "It is."}, "opened": {"summary": "It is not."}},
        },
    }  # fmt: skip
    for name, before, after in (("open", "closed", "opened"), ("shut", "opened", "closed")):
        tree["actions"][name] = {
            "summary": "Change the lid.", "methods": [name], "from": before, "to": after
        }  # fmt: skip
    tree["after"] = {
        "accepted": {"seconds": 3, "do": "lose"},
        "closed": {"seconds": 1, "do": "open"},
        "opened": {"seconds": 1, "do": "shut"},
    }
    assert rules_of(tree) == set()
    tally = Tally()
    with compiled(tree) as found:
        assert isinstance(found, Generated)
        Walk(found, tally).run(60)
    assert not tally.missing({"timer: fired"})


@pytest.mark.parametrize("type", ["float | None", "Few | None"])
def test_none_is_in_the_range_of_an_optional_number(type: str) -> None:
    tree, fields = parcel("fields")
    tree["types"] = {"Few": {"summary": "Some.", "type": "int", "maximum": 9}}
    fields["few"] = {"type": "Few | None"}
    fields["weight"] = {"type": type}
    tree["actions"]["lose"] |= {
        "params": {"grams": "int | None"},
        "update": {"parcel.weight": "grams"},
    }
    tree["errors"]["heavy"] = {"class": "HeavyError", "message": "it has a weight"}
    tree["guards"]["light"] = {"when": "parcel.weight is None", "error": "heavy"}
    unchanged = {"guards": ["known", "light"], "update": {"parcel.weight": "parcel.weight"}}
    tree["actions"]["deliver"] |= unchanged
    tree["recovery"].pop("do")
    assert Examination().of(tree)
