"""The example of a task store: a client, a crash, and how much of it is glue."""

from __future__ import annotations

import ast
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).parents[2] / "examples/work/task_store.py"
GLUE_LINES_MAX = 35


class Client:
    """Sends requests to the example, and reads the answers."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(EXAMPLE), str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._number = 0

    def ask(self, method: str, **params: Any) -> Any:
        self._number += 1
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"id": self._number, "method": method, "params": params}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert answer["id"] == self._number
        return answer.get("result", answer.get("error"))

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()
        assert self._process.returncode == -signal.SIGKILL

    def end(self) -> None:
        self._process.communicate()
        assert self._process.returncode == 0


def test_a_client_creates_follows_and_cancels_tasks(tmp_path: Path) -> None:
    client = Client(tmp_path / "tasks.db")
    created = client.ask("create", tool="shout", arguments={"text": "hi"})
    assert created["tool"] == "shout"
    ended = client.ask("result", task=created["task"])
    assert (ended["status"], ended["content"]) == ("completed", "HI")
    long = client.ask("create", tool="count", arguments={"to": 1_000_000})
    cancelled = client.ask("cancel", task=long["task"])
    assert cancelled["status"] == "cancelled"
    assert cancelled["outcome"]["reason"] == "the client asked for it"
    assert {each["task"] for each in client.ask("list")} == {created["task"], long["task"]}
    wrong = client.ask("result", task="00000000-0000-7000-8000-000000000001")
    assert wrong.startswith("OperationNotFoundError")
    assert "TypeError" in client.ask("create", tool="shout", argument={})
    assert "no method" in client.ask("close")
    client.end()


def test_a_key_goes_on_after_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "tasks.db"
    client = Client(path)
    done = client.ask("create", tool="shout", arguments={"text": "hi"}, key="done")
    client.ask("result", task=done["task"])
    cut = client.ask("create", tool="count", arguments={"to": 1_000_000}, key="cut")
    client.kill()
    client = Client(path)
    assert client.ask("get", task=cut["task"])["outcome"]["outcome_type"] == "terminated"
    again = client.ask("create", tool="count", arguments={"to": 2}, key="cut")
    assert again["task"] != cut["task"]
    assert client.ask("result", task=again["task"])["content"] == "2"
    same = client.ask("create", tool="shout", arguments={"text": "hi"}, key="done")
    assert (same["task"], same["content"]) == (done["task"], "HI")
    client.end()


def test_its_glue_is_short() -> None:
    tree = ast.parse(EXAMPLE.read_text(encoding="utf-8"))
    (store,) = (each for each in tree.body if isinstance(each, ast.ClassDef))
    code = ast.unparse(store).splitlines()
    assert 10 <= sum(bool(line.strip()) for line in code) <= GLUE_LINES_MAX
