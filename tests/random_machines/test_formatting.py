"""Generated code of random machines: a formatter changes nothing, a linter finds nothing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, product
from pathlib import Path

import pytest

from tests.support.random_machines.building import Tree
from tests.support.random_machines.compiling import Refused, compiled
from tests.support.random_machines.features import build
from tests.support.random_machines.linting import Linted, lint
from tests.support.random_machines.parcels import parcel
from tests.support.scale import share, whole_or

#: Other machines than those of `test_random`, which lints none.
FIRST = 1_000
#: How many have names of the greatest length, and how many have none.
ACCEPTED = {True: whole_or(4, 1), False: whole_or(3, 1)}
#: Of names: from short ones to the greatest.
LENGTHS = range(20, 49, whole_or(4, 14))


@pytest.fixture
def linted(tmp_path: Path) -> Iterator[Linted]:
    """What a test adds to it is linted when the test has ended."""
    linted = Linted(tmp_path)
    yield linted
    linted.lint()


def test_generated_code_is_final() -> None:
    linted = {True: 0, False: 0}
    for number in count(FIRST):
        tree, features = build(number)
        long_names = "long names" in features
        if linted[long_names] == ACCEPTED[long_names]:
            continue
        with compiled(tree) as found:
            if not isinstance(found, Refused):
                print(f"machine {number}")
                lint(found)
                linted[long_names] += 1
        if linted == ACCEPTED:
            return


@pytest.mark.parametrize(
    "type", share(["Amount | None", "Amount", "timedelta | None", "Size | None"], 1)
)
def test_a_default_behind_a_long_name_is_printed_as_a_formatter_does(
    type: str, linted: Linted
) -> None:
    defaults = {"Amount": "-9.99", "timedelta": "timedelta(hours=1)", "Size": "large"}
    default = defaults[type.partition(" ")[0]]
    for length in (32, 40, 46, 48):
        tree, actions = parcel("actions")
        tree["types"] = {
            "Amount": {
                "summary": "Paid.", "type": "Decimal", "digits": 9, "places": 2, "minimum": -99,
            }
        }  # fmt: skip
        tree["enums"] = {"Size": {"summary": "It.", "members": {"large": {"summary": "So."}}}}
        actions["lose"]["params"] = {"n" * length: {"type": type, "default": default}}
        tree["recovery"].pop("do")
        linted.add(tree)


@pytest.mark.parametrize("element", share(["Size", "Set", "Weight", "Word", "Dict", "Words"], 2))
def test_collections_of_long_names_are_printed_as_a_formatter_does(
    element: str, linted: Linted
) -> None:
    for length in (20, 34, 48):
        linted.add(of_many(element, length))


def of_many(element: str, length: int) -> Tree:
    """A machine with collections whose names have a length."""
    tree, actions = parcel("actions")
    name, many = element + "q" * (length - len(element)), "Many" + "q" * (length - 4)
    declared: Tree = {
        "Weight": {"type": "int", "minimum": -9, "maximum": 9_999_999},
        "Word": {"type": "str", "pattern": "[a-z]{1,40}", "example": "it"},
    }
    tree["types"] = {many: {"summary": "M.", "type": f"list[{name}]", "max_length": 1000}}
    if element == "Set":
        tree["types"][many] = {"summary": "M.", "type": f"frozenset[{name}]"}
    if element in ("Dict", "Words"):
        tree["types"]["Key" + name[3:]] = {"summary": "K.", **declared["Word"]}
        tree["types"][many]["type"] = f"dict[Key{name[3:]}, {name}]"
        declared["Words"] = declared["Word"]
    if element in declared:
        tree["types"][name] = {"summary": "O.", **declared[element]}
    else:
        tree["enums"] = {name: {"summary": "It.", "members": {"l" * length: {"summary": "So."}}}}
    field = "f" * length
    tree["fields"][field] = {"type": f"{many} | None"}
    tree["fields"]["given"] = {"type": many, "initial": "given"}
    tree["create"]["params"]["given"] = many
    for method in tree["create"]["methods"].values():
        method.append("given")
    actions["lose"]["params"] = {"p" * length: f"{many} | None"}
    actions["lose"]["update"] = {f"parcel.{field}": "p" * length}
    tree["recovery"].pop("do")
    return tree


@pytest.mark.nightly
def test_a_key_of_any_length_is_printed_as_a_formatter_does(linted: Linted) -> None:
    for length, type in product(LENGTHS, ("int", "int | None")):
        linted.add(of_key(length, type))


def of_key(length: int, type: str) -> Tree:
    """A machine with a unique key whose name has a length."""
    tree, fields = parcel("fields")
    fields["customer"] = {"type": type, "initial": "customer"}
    tree["create"]["params"]["customer"] = type
    for method in tree["create"]["methods"].values():
        method.append("customer")
    tree["errors"]["held"] = {
        "class": "HeldError", "fields": {"holder": "ParcelId"}, "message": "{holder} has it",
    }  # fmt: skip
    key = {"summary": "K.", "fields": ["customer"], "error": {"held": {"holder": "existing"}}}
    tree["unique"] = {"k" * length: key}
    return tree


@pytest.mark.nightly
def test_a_value_without_fields_is_printed_as_a_formatter_does(linted: Linted) -> None:
    for length in LENGTHS:
        tree, fields = parcel("fields")
        variant = "V" + "q" * (length - 1)
        variants = {variant: {"summary": "V."}, "Other": {"summary": "O."}}
        tree["values"] = {"Union": {"summary": "U.", "tag": "kind", "variants": variants}}
        fields["a_field_of_this_length"] = {"type": "Union", "initial": f"{variant}()"}
        linted.add(tree)


@pytest.mark.parametrize(
    "many", share(["list[{}]", "list[{}] | None", "dict[str, {}]", "dict[str, {}] | None"], 1)
)
def test_a_field_that_begins_empty_is_printed_as_a_formatter_does(
    linted: Linted, many: str
) -> None:
    for length in LENGTHS:
        tree, actions = parcel("actions")
        name, (held, optional, _) = "L" * length, many.partition(" | None")
        tree["values"] = {name: {"summary": "L.", "fields": {"count": "int"}}}
        held = held.format(name)
        tree["types"] = {"Several": {"summary": "S.", "type": held, "max_length": 2}}
        empty = "{}" if held.startswith("dict") else "[]"
        tree["fields"]["f" * length] = {"type": f"Several{optional}", "initial": empty}
        actions["lose"]["params"] = {"p" * length: f"Several{optional}"}
        actions["lose"]["update"] = {f"parcel.{'f' * length}": "p" * length}
        tree["recovery"].pop("do")
        linted.add(tree)
