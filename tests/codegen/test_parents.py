"""Parents of the same registry: live when a child is created, and children that are all of them."""

from __future__ import annotations

from pathlib import Path
from queue import SimpleQueue
from types import ModuleType
from typing import Any

import pytest
from opslifecycle import MemoryStore
from opslifecycle_codegen.base.diagnostics import InvalidMachineError
from opslifecycle_codegen.cli.project import program_of

from tests.support.codegen.projects import assert_clean, imported, package, project

JOB = Path(__file__).with_name("job.yaml")


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    folder = project(tmp_path_factory.mktemp("jobs"), JOB)
    assert_clean(folder)
    return imported(folder, "job")


def started(jobs: Any, registry: Any, parent: Any = None) -> Any:
    id = jobs.JobId.new()
    registry.start(id, parent)
    return id


@pytest.mark.parametrize("stored", [False, True])
def test_a_child_needs_a_live_parent(jobs: Any, stored: bool) -> None:
    with jobs.JobRegistry(store=MemoryStore() if stored else None) as registry:
        parent, own = started(jobs, registry), jobs.JobId.new()
        child = started(jobs, registry, parent)
        started(jobs, registry, child)
        registry.finish(parent)
        for refused in (parent, own, jobs.JobId.new()):
            with pytest.raises(jobs.ParentEndedError) as caught:
                registry.start(own, refused)
            assert (caught.value.id, caught.value.guard) == (refused, "live_parent")
        assert registry.snapshot(child).parent == parent


def test_a_parent_and_its_child_begin_in_one_transaction(jobs: Any) -> None:
    one, two = jobs.JobId.new(), jobs.JobId.new()
    with jobs.JobRegistry(store=MemoryStore()) as registry:
        with registry.transaction() as transaction:
            transaction.start(one)
            transaction.start(two, one)
        assert [each.id for each in registry.jobs(parent=one)] == [two]


def test_children_of_an_ended_parent_are_listed_cancelled_and_awaited(jobs: Any) -> None:
    """No child joins a parent that has ended, so those that are listed then are all of them."""
    with jobs.JobRegistry(store=MemoryStore()) as registry:
        parent, other = started(jobs, registry), started(jobs, registry)
        children = [started(jobs, registry, parent) for _ in range(3)]
        started(jobs, registry, other)
        registry.finish(children[0])
        registry.cancel(parent)
        found = registry.jobs(parent=parent)
        assert sorted(each.id for each in found) == sorted(children)
        wait = registry.wait_all(jobs.BatchId.new(), [each.id for each in found])
        with registry.transaction() as transaction:
            for each in found:
                if not each.status.terminal:
                    transaction.cancel(each.id)
        assert len(wait.result(0).outcomes) == 3
        assert registry.snapshot(children[0]).status is jobs.JobStatus.DONE
        assert len(registry.jobs(parent=other, status=jobs.JobStatus.RUNNING)) == 1


def refused(*edits: tuple[str, str]) -> list[tuple[str, str]]:
    text = JOB.read_text(encoding="utf-8")
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    with pytest.raises(InvalidMachineError) as caught:
        program_of(text.encode(), "job.yaml")
    return [(each.rule, each.message) for each in caught.value.findings]


def test_a_parent_is_a_field_with_an_id_of_the_machine_that_never_changes() -> None:
    assert refused(("  field: parent", "  field: parents")) == [
        ("unknown-name", "there is no field 'parents'")
    ]
    assert refused(
        ("parent: {type: JobId | None", "parent: {type: BatchId | None"),
        ("parent: JobId | None}\n  id: id", "parent: BatchId | None}\n  id: id"),
        ("fields: {id: JobId | None}", "fields: {id: BatchId | None}"),
    ) == [
        (
            "wrong-type",
            "a parent is a record of this machine: parent is of type BatchId | None",
        )
    ]
    assert refused(("to: done}", "to: done, update: {job.parent: None}}")) == [
        ("changing-key", "parent is the parent, and is updated")
    ]
    assert refused(("  known: {when: job is not None", "  live_parent: {when: job is not None"),
                   ("default_guards: [known]", "default_guards: [live_parent]"),
                   ("guards: [known]}", "guards: [live_parent]}")) == [
        ("name-collision", "live_parent is the guard that asks for a live parent")
    ]  # fmt: skip


#: A job whose cancellation has an effect, and jobs in another registry whose parents it has.
TELLING = (
    ("\nerrors:\n", "\neffects:\n  tell: {summary: Cancel the children.}\n\nerrors:\n"),
    ("methods: [cancel], from", "methods: [cancel], effects: [tell], from"),
)
ELSEWHERE = (
    ("  parent: {type: JobId | None, initial: parent}", "  parent: {type: str, initial: parent}"),
    ("\nparent:\n  field: parent\n  error: {no_parent: {id: parent}}\n", "\n"),
    ("  no_parent: {class: ParentEndedError, ", "  twice: {class: AskedTwiceError, "),
    (
        "fields: {id: JobId | None}, message: 'no job {id} runs'}",
        "fields: {id: JobId}, message: twice}",
    ),
    (
        "  twice: {class: AskedTwiceError, fields: {id: JobId},"
        " message: 'job {id} is asked for twice'}\n",
        "",
    ),
    ("parent: JobId | None}", "parent: str}"),
    (
        "from: [running], to: cancelled}",
        "from: [running], to: cancelled, idempotent_in: [done, cancelled]}",
    ),
)


def test_children_in_another_registry_follow_by_an_effect(tmp_path: Path) -> None:
    """The effect comes at least once, and children that have ended already are no error."""
    for folder in ("parents", "others"):
        (tmp_path / folder).mkdir()
    parents = package(tmp_path / "parents", JOB, "parent_jobs", *TELLING)
    others = package(tmp_path / "others", JOB, "child_jobs", *ELSEWHERE)
    delivered: SimpleQueue[int] = SimpleQueue()
    children = others.JobRegistry(store=MemoryStore())

    def handle(message: Any) -> None:
        for child in children.jobs(parent=str(message.snapshot.id)):
            try:
                children.cancel(child.id)
            except others.NotNowError as refused:
                if not refused.already_done:
                    raise
        delivered.put(message.attempt)
        if message.attempt == 1:
            # A crash after the work, in effect: the message comes again.
            raise OSError

    store, id = MemoryStore(), parents.JobId.new()
    with children, parents.JobRegistry(store=store, on_effect=handle) as registry:
        registry.start(id, None)
        ids = [others.JobId.new() for _ in range(3)]
        for child in ids:
            children.start(child, str(id))
        children.finish(ids[0])
        registry.cancel(id)
        assert [delivered.get(timeout=10) for _ in range(2)] == [1, 2]
        ends = [children.snapshot(child).status.value for child in ids]
    assert ends == ["done", "cancelled", "cancelled"]
