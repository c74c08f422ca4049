"""Operations over HTTP: the same as the command line shows, and clear refusals."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("sse_starlette", reason="SKIPPED: the extra `serve` is not installed")
pytest.importorskip("httpx", reason="SKIPPED: httpx is not installed")

import httpx
from opslifecycle import Registry, SqliteStore
from opslifecycle.errors import InvalidValueError
from opslifecycle.inspection.locations import ServerLocation
from opslifecycle.serve import create_app
from opslifecycle.serve.operations import BODY_BYTES_MAX
from opslifecycle.stores.sqlite.inbox import Inbox
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.support.builders import UPDATE, completed, registered, running
from tests.support.command_line import command_line
from tests.support.serve.serving import TOKEN, app_served, client_of, served

if TYPE_CHECKING:
    from tests.support.postgres.databases import Database


def names_of(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [each["display_name"] for each in answer.json()["operations"]]


def detail_of(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    return str(problem["detail"])


def test_operations_are_listed_by_status_name_and_time_and_in_pages(
    store: Path, registry: Registry
) -> None:
    # A start is written with the next commit.
    running(registry, name="live")
    for number in range(5):
        completed(registry, name=f"done {number}")
    with served(store) as client:
        assert len(names_of(client.get("/v1/operations"))) == 6
        assert names_of(client.get("/v1/operations?status=running")) == ["live"]
        both = client.get("/v1/operations?status=running&status=completed&name=*1")
        assert names_of(both) == ["done 1"]
        assert names_of(client.get("/v1/operations?until=1")) == []
        assert names_of(client.get("/v1/operations?kind=mob_member_child")) == []
        seen: list[str] = []
        after = ""
        while True:
            page = client.get(f"/v1/operations?order=name&descending=true&limit=2{after}")
            seen += names_of(page)
            if page.json()["next"] is None:
                break
            after = f"&after={page.json()['next']}"
        assert seen == ["live", *(f"done {number}" for number in (4, 3, 2, 1, 0))]
        wrong = client.get(f"/v1/operations?order=created{after}")
        assert "another order" in detail_of(wrong, 400)


def test_an_operation_is_shown_as_the_command_line_shows_it(
    store: Path, registry: Registry
) -> None:
    other = str(running(registry))
    id = str(completed(registry))
    with served(store) as client:
        answer = client.get(f"/v1/operations/{id}")
        assert answer.json()["terminal_outcome"]["outcome_type"] == "completed"
        assert answer.json()["registry"] == "default"
        assert client.get(f"/v1/operations/{id[-8:]}").json() == answer.json()
        assert "2 operations have such an id" in detail_of(
            client.get(f"/v1/operations/{id[:6]}"), 404
        )
        assert "no operation has" in detail_of(client.get("/v1/operations/x"), 404)
        (found,) = client.get("/v1/registries").json()["registries"]
        assert (found["name"], found["operations"], found["watermark"]) == ("default", 2, 1)
        assert found["holder"] is not None
        live = client.get(f"/v1/operations/{other}").json()
        assert live["status"] == "running"
    registry.close()
    with served(store) as client:
        assert client.get(f"/v1/operations/{other}").json()["status"] == "interrupted"


def test_the_end_of_a_log_is_text(tmp_path: Path) -> None:
    store = tmp_path / "b.db"
    script = "print('<b>one</b>'); print('two'); import sys; sys.stderr.write('wrong')"
    done = command_line("run", "--store", str(store), "--", "python3", "-c", script)
    assert done.returncode == 0
    with served(store) as client:
        (found,) = client.get("/v1/operations").json()["operations"]
        log = f"/v1/operations/{found['id']}/log"
        answer = client.get(log)
        assert answer.text == "<b>one</b>\ntwo\n"
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert client.get(f"{log}?bytes=4").text == "two\n"
        assert client.get(f"{log}?stream=stderr").text == "wrong"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("x=1", "no such parameter"),
        ("limit=0", "from 1 to 1000, got '0'"),
        ("limit=1001", "from 1 to 1000"),
        ("limit=²", "expected an integer"),
        ("limit=1&limit=2", "it is given twice"),
        ("since=-1", "expected an integer"),
        ("status=gone", "expected one of provisioning"),
        ("order=age", "expected one of id"),
        ("descending=yes", "expected one of true, false"),
        ("after=x", "page cursor"),
        (f"name={'x' * 201}", "it has 201 characters"),
    ],
)
def test_a_wrong_parameter_is_named(query: str, words: str, store: Path) -> None:
    with Registry(store=SqliteStore(store)):
        pass
    with served(store) as client:
        detail = detail_of(client.get(f"/v1/operations?{query}"), 400)
    assert detail.startswith(f"parameter '{query.partition('=')[0]}': ")
    assert words in detail


def test_only_requests_for_this_computer_are_answered_without_a_token(
    store: Path, registry: Registry
) -> None:
    with served(store) as client:
        for host in ("localhost", "localhost:80", "127.0.0.1", "[::1]:8080", "127.9.9.9"):
            assert client.get("/v1/registries", headers={"Host": host}).status_code == 200
        for host in ("rebound.example", "localhost.example:80", "10.0.0.1", "[::1", ""):
            answer = client.get("/v1/registries", headers={"Host": host})
            assert "another name" in detail_of(answer, 421)
        answer = client.get("/v1/registries", headers={"Origin": "http://else.example"})
        assert "another site" in detail_of(answer, 403)
        own = str(client.base_url).rstrip("/")
        assert client.get("/v1/registries", headers={"Origin": own}).status_code == 200
    with served(store, allowed_hosts=["ops.example"]) as client:
        assert client.get("/v1/registries", headers={"Host": "OPS.example:1"}).status_code == 200
        assert client.get("/v1/registries", headers={"Host": "x.example"}).status_code == 421


def test_with_a_token_nothing_of_the_store_is_shown_without_it(
    store: Path, registry: Registry
) -> None:
    with served(store, token=TOKEN) as client:
        for path in (
            "/v1/registries",
            "/v1/operations",
            "/v1/feed",
            "/v1/changes",
            "/openapi.json",
        ):
            for given in ({}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": TOKEN}):
                answer = client.get(path, headers=given)
                assert "Authorization: Bearer" in detail_of(answer, 401)
                assert answer.headers["www-authenticate"].startswith("Bearer")
        for path in ("/", "/healthz", "/readyz"):
            answer = client.get(path)
            assert answer.status_code == 200
            assert "script-src 'self'" in answer.headers["content-security-policy"]
        headers = {"Authorization": f"bearer {TOKEN}", "Host": "ops.example"}
        assert client.get("/v1/registries", headers=headers).status_code == 200
        assert client.get("/openapi.json", headers=headers).json()["security"] == [{"token": []}]
    for token in ("short", "with a space in the token", "tökentökentökentöken"):
        with pytest.raises(InvalidValueError, match="at least 16 characters of ASCII"):
            create_app(store, token=token)
    with pytest.raises(InvalidValueError, match="heartbeat_seconds: expected a positive number"):
        create_app(store, heartbeat_seconds=0)


def test_cancelling_is_passed_to_the_owner_where_it_is_allowed(
    store: Path, registry: Registry
) -> None:
    live, ended = str(running(registry)), str(completed(registry))
    with served(store) as client:
        refused = client.post(f"/v1/operations/{live}/cancel", json={})
        assert "--allow-cancel" in detail_of(refused, 403)
    with served(store, allow_cancel=True) as client:
        path = f"/v1/operations/{live}/cancel"
        answer = client.post(path, json={"reason": "too late"})
        assert answer.status_code == 202
        assert answer.json()["asked"].startswith("process")
        assert Inbox(store).take("default") == [(live, "too late")]
        assert "completed" in detail_of(client.post(f"/v1/operations/{ended}/cancel", json={}), 409)
        assert "application/json" in detail_of(client.post(path, data={"reason": "x"}), 415)
        for body in ("[]", "{", '{"x": 1}', '{"reason": 1}', '{"reason": "\\u0000"}'):
            answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
            detail_of(answer, 400)
        large = client.post(path, json={"reason": "x" * BODY_BYTES_MAX})
        assert "at most" in detail_of(large, 413)
        assert Inbox(store).take("default") == []
        assert "not possible" in detail_of(client.get(path), 405)
    registry.close()
    with served(store, allow_cancel=True) as client:
        assert "its process is gone" in detail_of(client.post(path, json={}), 409)


def test_a_store_that_cannot_be_read_is_unavailable_until_it_can(store: Path) -> None:
    with served(store) as client:
        assert "no such store" in detail_of(client.get("/v1/operations"), 503)
        assert detail_of(client.get("/readyz"), 503)
        assert client.get("/healthz").json() == {"status": "alive"}
        with Registry(store=SqliteStore(store)) as registry:
            completed(registry)
        assert client.get("/readyz").status_code == 200
        assert names_of(client.get("/v1/operations")) == ["work"]
        with closing(sqlite3.connect(store)) as database, database:
            database.execute("UPDATE log SET body = '{}'")
        database.close()
    with served(store) as client:
        assert "is damaged" in detail_of(client.get("/v1/operations"), 503)


def test_the_application_can_be_mounted(store: Path, registry: Registry) -> None:
    completed(registry)
    app = Starlette(routes=[Mount("/ops", create_app(store, token=TOKEN))])
    with app_served(app) as url, client_of(url, Authorization=f"Bearer {TOKEN}") as client:
        assert names_of(client.get("/ops/v1/operations")) == ["work"]
        assert client.get("/ops/openapi.json").json()["servers"] == [{"url": "/ops"}]
        client.headers.clear()
        assert client.get("/ops/v1/operations").status_code == 401
        assert client.get("/ops/healthz").status_code == 200
        assert client.get("/ops/").status_code == 200


def test_a_path_that_does_not_exist_is_a_problem(store: Path, registry: Registry) -> None:
    with served(store) as client:
        assert "openapi.json" in detail_of(client.get("/v2"), 404)


def test_a_schema_on_a_server_is_served_like_a_file(postgres: Database) -> None:
    with Registry(store=postgres.store()) as registry:
        id = str(completed(registry, name="there"))
        registered(registry)
        registry.report_progress(running(registry), UPDATE)
        with served(ServerLocation(postgres.dsn, postgres.schema)) as client:
            assert "there" in names_of(client.get("/v1/operations"))
            assert client.get(f"/v1/operations/{id}").json()["status"] == "completed"
            assert len(client.get("/v1/feed").json()["entries"]) == 1
