"""Log records: each has an event, which the documentation lists."""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from opslifecycle.logs import EventLog

from tests.support.logs import COMPONENTS

ROOT = Path(__file__).parents[1]
LEVELS = {"info", "warning", "error"}
LISTED = r"^\| `opslifecycle\.(\w+)` \| `(\w+)` \| (\w+) \| "


def sources(word: str) -> Iterator[tuple[Path, ast.Module]]:
    """The modules that have a word in them."""
    for path in sorted((ROOT / "src/opslifecycle").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if word in text:
            yield path, ast.parse(text)


def logged() -> Iterator[tuple[str, str, str]]:
    """Each record that the code logs: its component, its event, and its level."""
    for _, tree in sources("_log"):
        logs = [
            ast.literal_eval(node.args[0])
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "EventLog"
        ]
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in LEVELS
                and ast.unparse(node.func.value) == "_log"
            ):
                (component,) = logs
                yield component, ast.literal_eval(node.args[0]), node.func.attr


def test_each_record_has_an_event_that_is_documented() -> None:
    found = list(logged())
    page = (ROOT / "docs/howto/telemetry.md").read_text(encoding="utf-8")
    listed = re.findall(LISTED, page, re.MULTILINE)
    assert len(found) >= 20
    assert sorted(found) == listed
    assert {component for component, _, _ in found} == set(COMPONENTS)
    assert len({(component, event) for component, event, _ in found}) == len(found)


def test_nothing_is_logged_otherwise() -> None:
    importing = {
        path.name
        for path, tree in sources("logging")
        for node in ast.walk(tree)
        if isinstance(node, ast.Import) and "logging" in [each.name for each in node.names]
    }
    assert importing == {"logs.py"}


def test_a_record_names_its_event_its_cause_and_its_place(caplog: pytest.LogCaptureFixture) -> None:
    log, cause = EventLog("tests"), ValueError("why")
    with caplog.at_level(logging.INFO, "opslifecycle"):
        log.info("first", "%d of %d", 1, 2)
        log.warning("second", "text")
        log.error("third", "text", cause=cause)
    assert [(each.name, each.levelname, each.__dict__["event"]) for each in caplog.records] == [
        ("opslifecycle.tests", "INFO", "first"),
        ("opslifecycle.tests", "WARNING", "second"),
        ("opslifecycle.tests", "ERROR", "third"),
    ]
    assert caplog.messages[0] == "1 of 2"
    assert {each.filename for each in caplog.records} == {"test_logs.py"}
    assert caplog.records[-1].exc_info is not None
    assert caplog.records[-1].exc_info[1] is cause
