"""Stores of other machines than the shipped one, over HTTP and on the page."""

from __future__ import annotations

import datetime as dt
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sse_starlette", reason="SKIPPED: the extra `serve` is not installed")
pytest.importorskip("httpx", reason="SKIPPED: httpx is not installed")

from opslifecycle import InvalidValueError, Registry, SqliteStore
from opslifecycle.serve import create_app

from tests.serve.test_metrics import families_of, values_of
from tests.serve.test_operations import detail_of
from tests.serve.test_page import count_in, names_in, opened, page_of, soon
from tests.support.builders import completed
from tests.support.codegen.projects import imported, package
from tests.support.command_line import command_line
from tests.support.scale import WHOLE, whole_or
from tests.support.serve.browsing import DESKTOP, PHONE
from tests.support.serve.serving import TOKEN, Program, served, streamed

__all__ = ["opened"]

ROOT = Path(__file__).parents[2]
NOW = dt.datetime.now(dt.UTC)


def example(name: str, package: str) -> Any:
    return imported(ROOT / "examples" / name, package)


@pytest.fixture(scope="module")
def payment() -> Any:
    """Payments have no feed, ids with a prefix, times, a milestone and a filter of their own."""
    return example("payment", "payment")


@pytest.fixture(scope="module")
def loan(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Loans have numbers as ids, a feed of transitions, messages, a history, and no first time."""
    numbers = (
        "LoanId: {summary: Names one loan.}",
        "LoanId: {summary: Names one loan., type: int}",
    )
    source = ROOT / "tests/codegen/loan.yaml"
    return package(tmp_path_factory.mktemp("loans"), source, "served_loan", numbers)


@pytest.fixture
def till(store: Path, payment: Any) -> Iterator[Any]:
    with payment.PaymentRegistry(store=SqliteStore(store)) as registry:
        yield registry


def requested(till: Any, payment: Any, *, amount: int = 100, currency: str = "eur") -> str:
    id = payment.PaymentId.new()
    till.request(id, amount, currency, NOW + dt.timedelta(days=1))
    return str(id)


def test_records_are_listed_by_status_time_and_the_machines_own_filters(
    store: Path, till: Any, payment: Any
) -> None:
    ids = [requested(till, payment, amount=100 + number) for number in range(5)]
    other = requested(till, payment, currency="usd")
    till.confirm(payment.PaymentId(ids[0]), NOW)
    till.capture(payment.PaymentId(ids[0]), 100, NOW, True)
    till.cancel(payment.PaymentId(ids[1]))
    with served(store, machine=payment.PaymentRegistry) as client:

        def ids_of(query: str) -> list[str]:
            answer = client.get(f"/v1/payments?{query}")
            assert answer.status_code == 200, answer.text
            return [each["id"] for each in answer.json()["payments"]]

        assert ids_of("") == sorted([*ids, other])
        assert ids_of("currency=usd") == [other]
        assert ids_of("status=succeeded&status=canceled&order=created") == ids[:2]
        assert ids_of("until=1") == []
        assert ids_of("registry=none") == []
        seen: list[str] = []
        after = ""
        while True:
            page = client.get(f"/v1/payments?order=created&descending=true&limit=4{after}").json()
            seen += [each["id"] for each in page["payments"]]
            if page["next"] is None:
                break
            after = f"&after={page['next']}"
        assert seen == [other, *reversed(ids)]
        assert "another order" in detail_of(client.get(f"/v1/payments?limit=4{after}"), 400)
        assert "expected one of requires_" in detail_of(client.get("/v1/payments?status=x"), 400)
        assert "there are: registry" in detail_of(client.get("/v1/payments?kind=x"), 400)


def test_a_record_has_its_snapshot(store: Path, till: Any, payment: Any) -> None:
    id = requested(till, payment)
    with served(store, machine=payment.PaymentRegistry) as client:
        found = client.get(f"/v1/payments/{id}").json()
        assert (found["id"], found["status"], found["ended"]) == (
            id,
            "requires_confirmation",
            False,
        )
        assert found["snapshot"]["expires"] == (NOW + dt.timedelta(days=1)).strftime(
            "%Y-%m-%dT%H:%M:%S.%fZ"
        )
        assert (found["ended_at_ms"], found["history"]) == (None, [])
        assert "there is no payment 'pi_'" in detail_of(client.get("/v1/payments/pi_"), 404)
        with payment.PaymentRegistry(store=SqliteStore(store, registry="two")) as two:
            two.request(payment.PaymentId(id), 70, "usd", NOW + dt.timedelta(days=1))
            detail = detail_of(client.get(f"/v1/payments/{id}"), 409)
            assert detail.startswith("2 registries have")
            found = client.get(f"/v1/payments/{id}?registry=two").json()
            assert found["snapshot"]["amount"] == 70
        till.close()
        # The next owner goes on with it: nothing was interrupted.
        found = client.get(f"/v1/payments/{id}?registry=default").json()
        assert (found["status"], found["holder"]) == ("requires_confirmation", None)
        for path in ("/v1/feed", "/v1/operations", f"/v1/payments/{id}/log"):
            assert client.get(path).status_code == 404


def test_live_records_that_the_next_owner_ends_are_interrupted(store: Path) -> None:
    download = example("download", "download")
    with download.DownloadRegistry(store=SqliteStore(store)) as registry:
        registry.add(download.DownloadId.new(), "https://example.org/a", "a")
    with served(store, machine=download.DownloadRegistry) as client:
        (found,) = client.get("/v1/downloads?status=interrupted").json()["downloads"]
        assert (found["status"], found["ended"]) == ("interrupted", False)


def test_a_feed_of_transitions_is_followed_and_resumed(store: Path, loan: Any) -> None:
    with loan.LoanRegistry(store=SqliteStore(store), on_effect=lambda call: None) as registry:
        for number in (9, 10):
            registry.request(loan.LoanId(number), 100)
            registry.grant(loan.LoanId(number))
        with served(store, machine=loan.LoanRegistry) as client:
            found = client.get("/v1/loans").json()["loans"]
            assert [each["id"] for each in found] == ["9", "10"]
            assert [each["action"] for each in found[0]["history"]] == ["create", "grant"]
            registry.repay(loan.LoanId(10), 10)
            (first,) = client.get("/v1/feed").json()["entries"]
            assert first["seq"] == 1
            with streamed(client, "/v1/feed?after=now") as events:
                next(events)
                registry.repay(loan.LoanId(9), 40)
                entry = next(each for each in events if each.kind == "entry")
            registry.repay(loan.LoanId(9), 60)
            with streamed(client, "/v1/feed", entry.id) as events:
                after = next(each for each in events if each.kind == "entry")
            numbers = [int(str(each.id).partition(":")[2]) for each in (entry, after)]
            assert numbers == [2, 3]
            cloud = client.get("/v1/feed?format=cloudevents").json()
            last = cloud[-1]
            assert (last["type"], last["subject"]) == ("opslifecycle.loan.repaid", "9")
            assert last["time"].endswith("Z")
            assert cloud[0]["type"] != last["type"]
            assert "time" not in cloud[0]
            (registered,) = client.get("/v1/registries").json()["registries"]
            # A store holds the messages of effects among its records.
            assert (registered["loans"], registered["watermark"]) == (2, 3)
            document = client.get("/openapi.json").json()
            assert {"/v1/loans", "/v1/loans/{id}", "/v1/feed"} <= set(document["paths"])


def test_records_are_counted(store: Path, till: Any, payment: Any) -> None:
    id = requested(till, payment)
    requested(till, payment)
    with served(store, machine=payment.PaymentRegistry) as client:
        till.cancel(payment.PaymentId(id))
        for _ in range(2):
            assert values_of(client, "opslifecycle_records") == {
                ("default", "requires_confirmation"): 1,
                ("default", "canceled"): 1,
            }
            counted = values_of(client, "opslifecycle_record_seconds", "_count")
            assert counted == {("canceled",): 1}
        assert set(values_of(client, "opslifecycle_oldest_live_record_seconds")) == {("default",)}
        assert values_of(client, "opslifecycle_registries") == {("default", "live"): 1}
        assert "opslifecycle_feed_watermark" not in families_of(client)
        assert "opslifecycle_operations" not in families_of(client)


def test_registries_of_other_machines_are_not_shown(store: Path, till: Any, payment: Any) -> None:
    id = requested(till, payment)
    with Registry(store=SqliteStore(store, registry="work")) as registry:
        completed(registry)
        for machine, path, expected in (
            (payment.AsyncPaymentRegistry, "payments", id),
            (Registry, "operations", None),
        ):
            with served(store, machine=machine) as client:
                (found,) = client.get(f"/v1/{path}").json()[path]
                assert expected in (None, found["id"])
                assert len(client.get("/v1/registries").json()["registries"]) == 1


@pytest.mark.parametrize("machine", [dict, Registry.__init__, None, "payment"])
def test_only_a_class_of_registries_is_a_machine(machine: Any, store: Path) -> None:
    with pytest.raises(InvalidValueError, match="machine: expected the class of a registry"):
        create_app(store, machine=machine)


def test_a_package_of_an_older_version_has_to_be_generated_again(store: Path, payment: Any) -> None:
    class Older(payment.PaymentRegistry):  # type: ignore[misc, name-defined, unused-ignore]
        _inspection = None

    with pytest.raises(InvalidValueError, match="generate it again"):
        create_app(store, machine=Older)


def test_no_record_of_ones_own_is_cancelled(store: Path, payment: Any) -> None:
    with pytest.raises(InvalidValueError, match="no payment takes requests to cancel"):
        create_app(store, machine=payment.PaymentRegistry, allow_cancel=True)


def test_the_program_names_the_package(
    store: Path, till: Any, payment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = requested(till, payment)
    # From src, too.
    monkeypatch.chdir(ROOT / "examples/payment")
    program = Program(store, "--package", "payment")
    try:
        done = subprocess.run(
            ["curl", "-sS", f"{program.url}v1/payments/{id}"], capture_output=True, check=True
        )
        assert json.loads(done.stdout)["id"] == id
    finally:
        program.kill()


def test_another_package_is_refused(
    store: Path, till: Any, payment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in ("no_such", "json"):
        done = command_line("serve", "--store", str(store), "--package", other)
        assert done.returncode == 2
        assert f"--package: {other} cannot be imported" in done.stderr
    done = command_line("serve", "--store", str(store), "--package", "payment", "--allow-cancel")
    assert done.returncode == 2
    assert "no payment takes requests to cancel" in done.stderr
    monkeypatch.setattr(payment.base.PaymentRegistryBase, "_inspection", None)
    done = command_line("serve", "--store", str(store), "--package", "payment")
    assert done.returncode == 2
    assert "generate it again" in done.stderr


def test_it_asks_for_the_package_of_a_store_without_operations(store: Path, till: Any) -> None:
    done = command_line("serve", "--store", str(store))
    assert done.returncode == 2
    assert "the store was written by payment version 2" in done.stderr
    assert "pass --package" in done.stderr


@pytest.mark.skipif(
    importlib.util.find_spec("schemathesis") is None, reason="SKIPPED: no schemathesis"
)
def test_no_request_of_the_document_has_an_unexpected_answer(
    store: Path, tmp_path: Path, loan: Any
) -> None:
    with loan.LoanRegistry(store=SqliteStore(store), on_effect=lambda call: None) as registry:
        registry.request(loan.LoanId(1), 100)
        with served(store, machine=loan.LoanRegistry, token=TOKEN) as client:
            done = subprocess.run(
                [
                    sys.executable, "-m", "schemathesis.cli", "run",
                    f"{client.base_url}/openapi.json", "--header", f"Authorization: Bearer {TOKEN}",
                    "--checks", "all", "--exclude-checks", "positive_data_acceptance",
                    "--exclude-path", "/v1/changes", "--phases", "coverage,fuzzing",
                    "--max-examples", str(whole_or(300, 8)), "--no-color",
                    *([] if WHOLE else ["--seed", "1"]),
                ],
                capture_output=True, text=True, cwd=tmp_path, check=False, timeout=1200,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_shows_the_records_of_the_machine(
    opened: Any, store: Path, till: Any, payment: Any, scheme: str
) -> None:
    first = requested(till, payment)
    contrast = (ROOT / "tests/support/serve/contrast.js").read_text(encoding="utf-8")
    with served(store, machine=payment.PaymentRegistry) as client:
        for size in (PHONE, (390, 844), DESKTOP):
            with page_of(opened, client.base_url, size, scheme) as page:
                soon(page, lambda: first in names_in(page))
                wide = "document.documentElement.scrollWidth - innerWidth"
                assert page.evaluate(wide) <= 0
                assert page.evaluate(contrast, [".row *", "#statuses .some", "#summary"]) == []
        with page_of(opened, client.base_url, DESKTOP, scheme) as page:
            soon(page, lambda: names_in(page) == [first])
            assert page.text_content("#summary") == "1 payment"
            assert "Machine: payment" in page.inner_text("#machine")
            assert "amount: 100" in page.inner_text(".row")
            till.confirm(payment.PaymentId(first), NOW)
            soon(page, lambda: count_in(page, "requires_capture") == "1")
            page.click(".row:not([hidden])")
            soon(page, lambda: "currency\neur" in page.inner_text("#details .facts"))
            assert "of=default" in page.url
            assert page.locator("#details .log").count() == 0
            till.capture(payment.PaymentId(first), 100, NOW, True)
            soon(page, lambda: "captured\n100" in page.inner_text("#details .facts"))
            page.keyboard.press("Escape")
            page.focus("#diagram [data-status=succeeded]")
            page.keyboard.press("Enter")
            assert names_in(page) == [first]
            page.click("#statuses [data-status=canceled]")
            page.click("#statuses [data-status=succeeded]")
            assert page.inner_text("#empty") == "No payment passes the filters."


def test_the_page_of_a_machine_without_times_has_its_history(
    opened: Any, store: Path, loan: Any
) -> None:
    with loan.LoanRegistry(store=SqliteStore(store), on_effect=lambda call: None) as registry:
        for number in (9, 10):
            registry.request(loan.LoanId(number), 100)
            registry.grant(loan.LoanId(number))
        with (
            served(store, machine=loan.LoanRegistry) as client,
            page_of(opened, client.base_url) as page,
        ):
            soon(page, lambda: names_in(page) == ["10", "9"])
            assert page.is_hidden("#columns [data-order=created]")
            page.click(".row:not([hidden])")
            soon(page, lambda: "action: grant" in page.inner_text("#details .history"))
