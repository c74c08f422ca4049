"""Records that store the value which their id was taken from: both say the same."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest
from opslifecycle import InvalidValueError
from opslifecycle_codegen.cli.project import program_of
from opslifecycle_codegen.compat.versions import compared

from tests.support.codegen.projects import package

APPROVAL = Path(__file__).parents[2] / "examples/approval/machine/approval.yaml"
BY_ITSELF = (("draft: [ask]", "draft: [id, ask]"), ("id: ask.id\n", "id: id\n"))
PARAM = ("params: {ask: Ask}", "params: {id: RequestId, ask: Ask}")


def body_of(approval: ModuleType, *ids: object) -> tuple[str, str]:
    """Return the stored id and body of a request, whose ask has the last of the ids."""
    kind, person = approval.RequestKind.EXPENSE, approval.PersonId.new()
    with approval.ApprovalRegistry() as registry:
        ask = approval.Ask(ids[-1], kind, person, "lunch", 1, 10**15)
        registry.draft(*ids[:-1], ask)
        (record,) = registry.capture()["records"]
    return record.pop("id"), json.dumps(record)


def test_a_record_is_that_of_the_value_in_it(tmp_path: Path) -> None:
    approval = package(tmp_path, APPROVAL, "own_approval")
    deserialize = approval.storage.CODEC.deserialize
    id, body = body_of(approval, approval.RequestId.new())
    assert str(deserialize(id, body).ask.id) == id
    other = str(approval.RequestId.new())
    for wrong in ((other, body), (id, body.replace(id, other))):
        with pytest.raises(InvalidValueError, match=r"ask\.id: is not the id of the record"):
            deserialize(*wrong)


def test_an_id_of_its_own_is_compared_with_nothing(tmp_path: Path) -> None:
    approval = package(tmp_path, APPROVAL, "free_approval", *BY_ITSELF, PARAM)
    id, body = body_of(approval, approval.RequestId.new(), approval.RequestId.new())
    assert str(approval.storage.CODEC.deserialize(id, body).id) == id


def test_a_change_of_what_the_id_is_breaks_stored_data() -> None:
    text = APPROVAL.read_text(encoding="utf-8")
    after = text
    for old, new in (*BY_ITSELF, PARAM):
        assert old in after
        after = after.replace(old, new)
    found = compared(program_of(text.encode(), "m.yaml"), program_of(after.encode(), "m.yaml"))
    assert "id-changed" in [change.rule for change, _ in found.changes]
