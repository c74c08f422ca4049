"""`opslifecycle serve`: what it refuses to do, and requests made from its own OpenAPI document."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sse_starlette", reason="SKIPPED: the extra `serve` is not installed")
pytest.importorskip("httpx", reason="SKIPPED: httpx is not installed")

from opslifecycle import Registry, SqliteStore

from tests.support.builders import completed, running
from tests.support.command_line import command_line
from tests.support.scale import WHOLE, whole_or
from tests.support.serve.serving import TOKEN, Program, client_of, served


@pytest.fixture
def store(tmp_path: Path) -> Path:
    with Registry(store=SqliteStore(tmp_path / "a.db")) as registry:
        completed(registry)
    return tmp_path / "a.db"


def refused(*words: str) -> str:
    done = command_line("serve", *words)
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr


@pytest.mark.nightly
def test_it_listens_for_other_computers_with_a_token_alone(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPSLIFECYCLE_TOKEN", raising=False)
    for host in ("0.0.0.0", "::", "10.0.0.1", "example.com"):
        message = refused("--store", str(store), "--host", host)
        assert message.startswith(f"error: --host: '{host}' can be reached from other computers")
        assert "--token-file or OPSLIFECYCLE_TOKEN" in message
    file = tmp_path / "token"
    assert "No such file" in refused("--store", str(store), "--token-file", str(file))
    file.write_bytes(b"\xff")
    assert "no text in UTF-8" in refused("--store", str(store), "--token-file", str(file))
    file.write_text("short\n")
    assert "at least 16 characters" in refused("--store", str(store), "--token-file", str(file))
    file.write_text(f"{TOKEN}\n")
    for options, variable in ((("--token-file", str(file)), None), ((), TOKEN)):
        program = Program(store, "--host", "0.0.0.0", *options, token=variable)
        with client_of(f"http://127.0.0.1:{program.port}") as client:
            assert client.get("/v1/operations").status_code == 401
            headers = {"Authorization": f"Bearer {TOKEN}"}
            assert len(client.get("/v1/operations", headers=headers).json()["operations"]) == 1
        program.kill()


def test_a_port_that_is_taken_is_an_error(store: Path) -> None:
    with served(store) as client:
        message = refused("--store", str(store), "--port", str(client.base_url.port))
    assert message.startswith("error: --host and --port: 127.0.0.1, port")
    assert message.endswith("choose another\n")


def test_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in sys.modules if each.startswith("opslifecycle.serve")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    done = command_line("serve")
    assert done.returncode == 1
    assert "serving needs uvicorn; pip install 'opslifecycle[serve]'" in done.stderr


@pytest.mark.skipif(
    importlib.util.find_spec("schemathesis") is None, reason="SKIPPED: no schemathesis"
)
def test_no_request_of_the_document_has_an_unexpected_answer(store: Path, tmp_path: Path) -> None:
    phases = ["--phases", "coverage,fuzzing,stateful" if WHOLE else "fuzzing"]
    # Another seed each night, which a failure prints; the same one before each change.
    seed = [] if WHOLE else ["--seed", "1"]
    with Registry(store=SqliteStore(store)) as registry:
        running(registry)
        completed(registry)
        with served(store, token=TOKEN, allow_cancel=True) as client:
            done = subprocess.run(
                [
                    sys.executable, "-m", "schemathesis.cli", "run",
                    f"{client.base_url}/openapi.json", "--header", f"Authorization: Bearer {TOKEN}",
                    # No schema says which cursors a server has given.
                    "--checks", "all", "--exclude-checks", "positive_data_acceptance",
                    # It never ends.
                    "--exclude-path", "/v1/changes",
                    "--max-examples", str(whole_or(300, 8)), "--no-color", *phases, *seed,
                ],
                capture_output=True, text=True, cwd=tmp_path, check=False, timeout=1200,
            )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "9 passed" in done.stdout
