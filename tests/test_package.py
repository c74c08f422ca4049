"""What the package offers: its names, its interface, and what importing it costs."""

from __future__ import annotations

import ast
import inspect
import pickle
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import opslifecycle
import pytest
from opslifecycle import (
    AsyncRegistry,
    CompletionCursorConsumer,
    InvalidSpecError,
    InvalidTransitionError,
    MaxConcurrentExceededError,
    OperationId,
    OperationNotFoundError,
    OperationStatus,
    OpsLifecycleRegistry,
    OwnerRetiredError,
    Registry,
    RunId,
    UnsupportedError,
)

from tests.support.builders import (
    CHILD,
    HANDLE,
    TOOL,
    running,
)

_CONSUMER = CompletionCursorConsumer.AGENT_APPLIED


class Interface(OpsLifecycleRegistry):
    """An implementation that offers nothing beyond what it must."""

    def register_operation(self, spec: Any) -> None: ...
    def provisioning_succeeded(self, id: Any) -> None: ...
    def provisioning_failed(self, id: Any, error: Any) -> None: ...
    def peer_ready(self, id: Any, handle: Any) -> None: ...
    def register_watcher(self, id: Any) -> Any: ...
    def report_progress(self, id: Any, update: Any) -> None: ...
    def complete_operation(self, id: Any, result: Any) -> None: ...
    def fail_operation(self, id: Any, error: Any) -> None: ...
    def abort_provisioning(self, id: Any, reason: Any = None) -> None: ...
    def cancel_operation(self, id: Any, reason: Any = None) -> None: ...
    def request_retire(self, id: Any) -> None: ...
    def mark_retired(self, id: Any) -> None: ...
    def snapshot(self, id: Any) -> Any: ...
    def list_operations(self, **filters: Any) -> Any: ...
    def terminate_owner(self, reason: Any) -> None: ...


def test_the_interface_refuses_what_is_not_offered() -> None:
    interface = Interface()
    id = OperationId.new()
    assert interface.completion_feed() is None
    assert interface.completion_cursor(_CONSUMER) is None
    calls: dict[str, Any] = {
        "classify_operation_terminality": (id, OperationStatus.RUNNING),
        "classify_operation_public_result": (id,),
        "classify_operation_completion_wake": (id, TOOL),
        "classify_operation_transition_idempotence": (id, None),
        "register_operation_with_admission_limit": (None, 1),
        "collect_completed": (),
        "advance_completion_cursor": (_CONSUMER, 1),
        "wait_all": (RunId.new(), []),
        "retire_owner": ("x",),
        "seal_owner": (),
        "owner_admission": (),
        "rollback_unreturned_operation": (id,),
    }
    for name, arguments in calls.items():
        with pytest.raises(UnsupportedError) as caught:
            getattr(interface, name)(*arguments)
        assert str(caught.value) == f"operation not supported: {name}"


def test_methods_inherit_the_docstrings_of_the_interface() -> None:
    for name in dir(OpsLifecycleRegistry):
        if name.startswith("_"):
            continue
        doc = inspect.getdoc(getattr(OpsLifecycleRegistry, name))
        assert doc, name
        for kind in (Registry, AsyncRegistry):
            assert inspect.getdoc(getattr(kind, name)) == doc, (kind, name)


def test_everything_public_is_there_and_errors_pickle() -> None:
    for name in opslifecycle.__all__:
        assert getattr(opslifecycle, name) is not None
    id = OperationId.new()
    for error in (
        OperationNotFoundError(id),
        InvalidTransitionError(id, OperationStatus.RUNNING, "x"),
        MaxConcurrentExceededError(1, 2),
        InvalidSpecError("field", "reason"),
        OwnerRetiredError(),
    ):
        copy = pickle.loads(pickle.dumps(error))
        assert (copy, str(copy)) == (error, str(error))


def _loaded_by(statement: str) -> set[str]:
    """Which modules a new interpreter has after a statement."""
    script = f"import sys\n{statement}\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


def test_a_registry_loads_neither_asyncio_nor_cattrs() -> None:
    loaded = _loaded_by("from opslifecycle import Registry")
    assert "opslifecycle.operations" in loaded
    assert not {"asyncio", "cattrs", "sqlite3"} & loaded


#: Modules that a registry imports when it needs them.
_FEATURES = {
    "opslifecycle.shell.alarm": "a machine with timers",
    "opslifecycle.shell.archive": "a machine that archives",
    "opslifecycle.shell.commits": "a store",
    "opslifecycle.shell.consuming": "a consumer",
    "opslifecycle.shell.messages": "a machine with effects of its own, or a store",
    "opslifecycle.shell.outbox": "a machine with effects of its own",
    "opslifecycle.shell.transactions": "a transaction",
    "opslifecycle.shell.timers": "a machine with timers",
    "logging": "what logs",
}


def test_a_registry_in_memory_loads_no_feature_that_it_lacks() -> None:
    loaded = _loaded_by("from opslifecycle import Registry; Registry().list_operations()")
    assert not _FEATURES.keys() & loaded
    with_store = _loaded_by("import opslifecycle as o; o.Registry(store=o.MemoryStore()).close()")
    assert _FEATURES.keys() & with_store == {
        "logging", "opslifecycle.shell.commits", "opslifecycle.shell.messages",
    }  # fmt: skip


def test_importing_the_package_loads_no_registry() -> None:
    loaded = _loaded_by("import opslifecycle; opslifecycle.OpsLifecycleError")
    assert {each for each in loaded if each.startswith("opslifecycle")} == {
        "opslifecycle", "opslifecycle.errors", "opslifecycle.lazy",
    }  # fmt: skip
    assert "attr" not in loaded


def test_type_checkers_see_the_names_that_are_imported_later() -> None:
    assert opslifecycle.__file__ is not None
    tree = ast.parse(Path(opslifecycle.__file__).read_text(encoding="utf-8"))
    (guarded,) = [
        each for each in tree.body
        if isinstance(each, ast.If) and ast.unparse(each.test) == "TYPE_CHECKING"
    ]  # fmt: skip
    for statement in guarded.body:
        assert isinstance(statement, ast.ImportFrom)
        assert statement.module
        for alias in statement.names:
            there = getattr(import_module(statement.module), alias.name)
            assert getattr(opslifecycle, alias.name) is there
            assert alias.name in dir(opslifecycle) or alias.name == "PostgresStore"
    with pytest.raises(AttributeError, match="'opslifecycle' has no attribute 'other'"):
        getattr(opslifecycle, "other")  # noqa: B009


def test_handles_are_kept_once_accepted() -> None:
    registry = Registry()
    id = running(registry, CHILD)
    registry.peer_ready(id, HANDLE)
    found = registry.snapshot(id)
    assert found is not None
    assert (found.peer_ready, found.peer_handle) == (True, HANDLE)


def test_code_generated_for_another_runtime_is_told_to_be_generated_again() -> None:
    from opslifecycle import runtime

    newer = f"v{runtime.RUNTIME_VERSION + 1}"
    with pytest.raises(ImportError, match="run `opslifecycle-codegen generate`") as caught:
        exec(f"from opslifecycle.runtime import {newer}")
    assert isinstance(caught.value, runtime.RuntimeVersionError)
    assert newer in str(caught.value)
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        runtime.other  # noqa: B018


def test_a_star_import_needs_no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in sys.modules if each.startswith("opslifecycle.stores.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(vars(opslifecycle), "PostgresStore", raising=False)
    for name in opslifecycle.__all__:
        assert getattr(opslifecycle, name) is not None
    with pytest.raises(ImportError, match=r"opslifecycle\[postgres\]"):
        _ = opslifecycle.PostgresStore
