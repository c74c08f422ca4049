"""Servers for tests, in a thread or in a process, and clients of their streams."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
import uvicorn
from opslifecycle.inspection.locations import Location
from opslifecycle.serve import create_app

from tests.support.waiting import until

TOKEN = "a-token-of-the-tests"
_TIMEOUT_SECONDS = 30.0


@attrs.frozen
class Event:
    """One server-sent event."""

    kind: str
    id: str | None
    data: Any


def events_of(lines: Iterator[str]) -> Iterator[Event]:
    """Yield the events of a stream; comments have the kind `comment`."""
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            yield Event("comment", None, line[1:].strip())
        elif line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            yield Event(fields["event"], fields.get("id"), json.loads(fields["data"]))
            fields = {}


@contextmanager
def client_of(url: str, **headers: str) -> Iterator[httpx.Client]:
    """A client whose every wait has a deadline."""
    with httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT_SECONDS) as client:
        yield client


@contextmanager
def streamed(
    client: httpx.Client, path: str, after: str | None = None
) -> Iterator[Iterator[Event]]:
    """The events of a stream."""
    headers = {"Accept": "text/event-stream"}
    if after is not None:
        headers["Last-Event-ID"] = after
    with client.stream("GET", path, headers=headers) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield events_of(response.iter_lines())


@contextmanager
def app_served(app: Any) -> Iterator[str]:
    """Serve an application in a thread."""
    config = uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            until(lambda: server.started, "the server")
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(_TIMEOUT_SECONDS)
            assert not thread.is_alive()


@contextmanager
def served(store: Path | str | Location, **options: Any) -> Iterator[httpx.Client]:
    """A client of a store that is served in a thread."""
    app = create_app(store, **{"poll_seconds": 0.02, **options})
    with app_served(app) as url, client_of(url) as client:
        yield client


class Program:
    """`opslifecycle serve` as a process."""

    def __init__(self, store: Path, *options: str, port: int = 0, token: str | None = None) -> None:
        words = [sys.executable, "-m", "opslifecycle.cli.main", "serve", "--store", str(store)]
        self.process = subprocess.Popen(
            [*words, "--port", str(port), *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **({} if token is None else {"OPSLIFECYCLE_TOKEN": token})},
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        match = re.search(r"http://\S+:(\d+)/", line)
        assert match is not None, (line, self.process.communicate())
        self.port = int(match[1])
        self.url = match[0]

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self.process.kill()
        self.process.communicate()
