"""Values and identifiers: checked when made, immutable, to JSON and back."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any, Optional

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opslifecycle import (
    Aborted,
    BackendPeer,
    Cancelled,
    Completed,
    CompletionBatch,
    CompletionEntry,
    CompletionFeedGap,
    Failed,
    InvalidSpecError,
    InvalidValueError,
    OperationId,
    OperationLifecycleSnapshot,
    OperationProgressUpdate,
    OperationResult,
    OperationSource,
    OperationSpec,
    OperationTerminalOutcome,
    OperationTerminalOutcomeKind,
    Registry,
    Retired,
    SessionChild,
    SessionId,
    Terminated,
    structure,
    unstructure,
)
from opslifecycle.values.plain import text_of

from tests.support.builders import CHILD, HANDLE, TOOL, UPDATE, completed, result, running, spec

UUID = "0190b5a0-0000-7000-8000-000000000001"


class TestIdentifiers:
    def test_new_ones_are_uuid7_and_rise(self) -> None:
        ids = [OperationId.new() for _ in range(10_000)]
        assert ids == sorted(ids)
        assert len(set(ids)) == len(ids)
        assert {(str(id)[14], str(id)[19]) for id in ids} <= {("7", c) for c in "89ab"}

    @pytest.mark.parametrize("text", ["", "x", UUID.upper(), UUID[:-1], f" {UUID}", f"{UUID}\n", 3])
    def test_anything_else_is_refused(self, text: Any) -> None:
        with pytest.raises(InvalidValueError):
            OperationId(text)

    def test_types_never_mix(self) -> None:
        operation, session = OperationId(UUID), SessionId(UUID)
        assert operation != session
        assert len({operation, session, UUID}) == 3
        assert operation != UUID
        assert operation != UUID
        with pytest.raises(TypeError):
            operation < session  # noqa: B015

    def test_they_survive_copies_and_cannot_change(self) -> None:
        id = OperationId(UUID)
        for again in (copy.copy(id), copy.deepcopy(id), pickle.loads(pickle.dumps(id))):
            assert (again, hash(again), str(again)) == (id, hash(id), UUID)
        with pytest.raises(AttributeError):
            id.text = "x"  # type: ignore[attr-defined]


class TestChecks:
    @pytest.mark.parametrize(
        ("field", "make"),
        [
            ("content", lambda: OperationResult(OperationId.new(), b"x", False, 1, 1)),  # type: ignore[arg-type]
            ("is_error", lambda: OperationResult(OperationId.new(), "x", 1, 1, 1)),  # type: ignore[arg-type]
            ("duration_ms", lambda: OperationResult(OperationId.new(), "x", False, -1, 1)),
            ("tokens_used", lambda: OperationResult(OperationId.new(), "x", False, 1, 1.5)),  # type: ignore[arg-type]
            ("id", lambda: OperationResult(SessionId.new(), "x", False, 1, 1)),  # type: ignore[arg-type]
            ("display_name", lambda: spec(name=3)),  # type: ignore[arg-type]
            ("display_name", lambda: spec(name="\ud800")),
            ("kind", lambda: spec("mob_member_child")),  # type: ignore[arg-type]
            ("percent", lambda: OperationProgressUpdate("x", "50")),  # type: ignore[arg-type]
            ("reason", lambda: Aborted(3)),  # type: ignore[arg-type]
        ],
    )
    def test_name_the_field(self, field: str, make: Any) -> None:
        with pytest.raises(InvalidValueError) as caught:
            make()
        assert caught.value.field == field

    @pytest.mark.parametrize("percent", [float("nan"), float("inf"), float("-inf")])
    def test_a_percent_that_has_no_json_is_an_invalid_spec(self, percent: float) -> None:
        with pytest.raises(InvalidSpecError) as caught:
            OperationProgressUpdate("x", percent)
        assert caught.value.field == "percent"

    def test_values_are_frozen_and_slotted(self) -> None:
        for value in (UPDATE, HANDLE, result(), spec(), Retired(), SessionChild(SessionId.new())):
            with pytest.raises(attrs.exceptions.FrozenInstanceError):
                setattr(
                    value,
                    attrs.fields(type(value))[0].name if attrs.fields(type(value)) else "x",
                    1,
                )
            assert not hasattr(value, "__dict__")

    def test_outcomes_tell_their_kind(self) -> None:
        assert Failed("x").outcome_type is OperationTerminalOutcomeKind.FAILED
        assert SessionChild(SessionId.new()).kind == "session_child"


ids = st.builds(lambda n: OperationId(f"{UUID[:-3]}{n:03d}"), st.integers(0, 999))
sessions = st.builds(lambda n: SessionId(f"{UUID[:-3]}{n:03d}"), st.integers(0, 999))
texts = st.text(max_size=20)
reasons = st.none() | texts
results = st.builds(
    OperationResult, ids, texts, st.booleans(), st.integers(0, 2**60), st.integers(0, 9)
)
outcomes = (
    st.builds(Completed, results)
    | st.builds(Failed, texts)
    | st.builds(Aborted, reasons)
    | st.builds(Cancelled, reasons)
    | st.just(Retired())
    | st.builds(Terminated, texts)
)
sources = st.builds(SessionChild, sessions) | st.builds(BackendPeer, texts, texts)
specs = st.builds(
    OperationSpec,
    ids,
    st.sampled_from([CHILD, TOOL]),
    sessions,
    texts,
    texts,
    st.none() | sources,
    st.none() | sessions,
    st.booleans(),
)
updates = st.builds(
    OperationProgressUpdate, texts, st.none() | st.floats(allow_nan=False, allow_infinity=False)
)


class TestJson:
    @given(value=outcomes)
    def test_outcomes_round_trip(self, value: Any) -> None:
        data = json.loads(json.dumps(unstructure(value)))
        assert structure(data, OperationTerminalOutcome) == value
        assert structure(data, type(value)) == value

    @given(value=specs | updates | results)
    def test_records_round_trip(self, value: Any) -> None:
        data = json.loads(json.dumps(unstructure(value)))
        assert structure(data, type(value)) == value

    def test_the_shapes_of_the_seed(self) -> None:
        given = OperationResult(OperationId(UUID), "x", False, 1, 2)
        assert unstructure(Completed(given)) == {
            "outcome_type": "completed",
            "id": UUID,
            "content": "x",
            "is_error": False,
            "duration_ms": 1,
            "tokens_used": 2,
        }
        assert unstructure(Cancelled(None)) == {"outcome_type": "cancelled", "reason": None}
        assert unstructure(Retired()) == {"outcome_type": "retired"}
        peer = BackendPeer("id", "address")
        assert unstructure(peer) == {"kind": "backend_peer", "peer_id": "id", "address": "address"}
        made = OperationSpec(OperationId(UUID), TOOL, SessionId(UUID), "n", "l")
        assert unstructure(made) == {
            "id": UUID,
            "kind": "background_tool_op",
            "owner_session_id": UUID,
            "display_name": "n",
            "source_label": "l",
            "child_session_id": None,
            "expect_peer_channel": False,
        }

    def test_snapshots_leave_out_what_is_absent(self) -> None:
        registry = Registry()
        live = registry.snapshot(running(registry))
        assert live is not None
        data = unstructure(live)
        absent = {
            "operation_source",
            "latest_progress",
            "peer_handle",
            "completed_at_ms",
            "elapsed_ms",
        }
        fields = {field.name for field in attrs.fields(OperationLifecycleSnapshot)}
        assert set(data) == fields - absent
        assert data["terminal_outcome"] is None
        assert data["child_session_id"] is None
        assert structure(json.loads(json.dumps(data)), OperationLifecycleSnapshot) == live

    def test_batches_and_gaps_round_trip(self) -> None:
        registry = Registry()
        completed(registry)
        batch = registry.completion_feed().list_since(0)
        data = json.loads(json.dumps(unstructure(batch)))
        assert structure(data, CompletionBatch) == batch
        assert structure(data["entries"][0], CompletionEntry) == batch.entries[0]
        gap = CompletionFeedGap(1, 2, 3)
        assert structure(unstructure(gap), CompletionFeedGap) == gap

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"id": "x"}, "id"),
            ({"id": 3}, "id"),
            ({"kind": "cron"}, "kind"),
            ({"display_name": 3}, "display_name"),
            ({"expect_peer_channel": 1}, "expect_peer_channel"),
            ({"surplus": 1}, "surplus"),
            ({"operation_source": {"kind": "session_child"}}, "operation_source.session_id"),
            ({"operation_source": {"kind": "x"}}, "operation_source.kind"),
            ({"operation_source": {}}, "operation_source.kind"),
            ({"operation_source": 3}, "operation_source"),
            (
                {"operation_source": {"kind": "session_child", "session_id": "x"}},
                "operation_source.session_id",
            ),
        ],
    )
    def test_mistakes_are_named_by_path(self, change: dict[str, Any], field: str) -> None:
        data = {**unstructure(spec()), **change}
        with pytest.raises(InvalidValueError) as caught:
            structure(data, OperationSpec)
        assert caught.value.field == field

    @pytest.mark.parametrize(
        ("data", "kind", "field"),
        [
            ({"outcome_type": "completed", "id": UUID}, OperationTerminalOutcome, "content"),
            ({"outcome_type": "failed", "error": None}, OperationTerminalOutcome, "error"),
            ({"outcome_type": "retired", "x": 1}, OperationTerminalOutcome, "x"),
            ({"message": "x", "percent": float("nan")}, OperationProgressUpdate, "percent"),
            ([], OperationTerminalOutcome, "value"),
            ([], OperationSpec, "value"),
            ({"kind": "backend_peer", "peer_id": 1, "address": ""}, OperationSource, "peer_id"),
            (
                {"entries": [{}], "watermark": 0, "dropped_through": 0},
                CompletionBatch,
                "entries[0].seq",
            ),
        ],
    )
    def test_mistakes_in_unions_and_lists(self, data: Any, kind: Any, field: str) -> None:
        with pytest.raises(InvalidValueError) as caught:
            structure(data, kind)
        assert caught.value.field == field


def test_nothing_is_taken_for_what_it_is_not() -> None:
    with pytest.raises(InvalidValueError, match="expected an integer"):
        structure("1", int)
    with pytest.raises(InvalidValueError):
        structure(spec(), OperationSpec)
    assert structure(1, int) == 1


def test_texts_are_written_as_they_are() -> None:
    # A person who looks into the database can read them.
    assert text_of({"name": "Zoë"}) == '{"name":"Zoë"}'


def test_a_union_may_be_written_in_either_way() -> None:
    source = SessionChild(SessionId.new())
    for kind in (OperationSource | None, Optional[OperationSource]):  # noqa: UP045
        assert structure(unstructure(source), kind) == source
        assert structure(None, kind) is None
