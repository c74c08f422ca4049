"""The page, in a real browser: what it shows, how it is used, and what it says when cut off."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sse_starlette", reason="SKIPPED: the extra `serve` is not installed")
pytest.importorskip("httpx", reason="SKIPPED: httpx is not installed")

from opslifecycle import OperationProgressUpdate, Registry, SqliteStore
from opslifecycle.inspection.machines import NOT_RECORDED, OPERATIONS
from opslifecycle.serve.operations import STATUSES
from opslifecycle.serve.picture import picture_of

from tests.support.builders import completed, registered, running, spec
from tests.support.serve.browsing import DESKTOP, PHONE, browser, browser_path
from tests.support.serve.serving import TOKEN, Program, served
from tests.support.warm import python

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "src/opslifecycle/serve/page"
LINES_MAX = 400
HOSTILE = "<img src=x onerror='window.harmed=1'><script>window.harmed=1</script>"
#: Runs the other way round: what follows it would be shown in the reverse order.
REVERSED = "\u202egnp.tluser"
MANY = 10_000
WAITS, WAIT_MS = 600, 50
#: No task of the page may keep it from answering for longer.
TASK_MS_MAX = 500
#: What a browser says about a server that is gone, or wants a token; it is not the page's fault.
EXPECTED = ("Failed to load resource", "ERR_")


@pytest.fixture(scope="module")
def opened() -> Iterator[Any]:
    pytest.importorskip("playwright", reason="SKIPPED: playwright is not installed")
    if browser_path() is None:
        pytest.skip("SKIPPED: no Chromium is installed (Debian, Ubuntu: apt-get install chromium)")
    with browser() as found:
        yield found


@contextmanager
def page_of(
    opened: Any, url: object, size: tuple[int, int] = DESKTOP, scheme: str = "light"
) -> Iterator[Any]:
    """The page, which must raise no error and break no rule of its security policy."""
    wrong: list[str] = []
    page = opened.new_page(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, locale="en-GB"
    )
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console",
        lambda said: (
            wrong.append(said.text)
            if said.type in ("error", "warning") and not said.text.startswith(EXPECTED)
            else None
        ),
    )
    try:
        page.goto(str(url))
        yield page
        assert wrong == []
    finally:
        page.close()


def run_in(store: Path, *command: str) -> None:
    """Run a command as an operation, in a process of its own: the browser's driver has a loop."""
    words = ("-m", "opslifecycle.cli.main", "run", "--store", str(store), "--", *command)
    python(*words, cwd=store.parent)


def names_in(page: Any) -> list[str]:
    found: list[str] = page.eval_on_selector_all(
        ".row:not([hidden]) .name-cell", "cells => cells.map(cell => cell.textContent)"
    )
    return found


def count_in(page: Any, status: str) -> str:
    text: str = page.text_content(f"#diagram [data-status={status}] .count")
    return text


def soon(page: Any, condition: Callable[[], bool]) -> None:
    """Wait until something is true of the page."""
    for _ in range(WAITS):
        if condition():
            return
        page.wait_for_timeout(WAIT_MS)
    raise AssertionError(page.inner_text("body")[:3000])


def test_it_shows_operations_as_they_change(opened: Any, store: Path, registry: Registry) -> None:
    first = running(registry, name="first")
    with served(store) as client, page_of(opened, client.base_url) as page:
        soon(page, lambda: names_in(page) == ["first"])
        assert page.text_content("#connection") == "live"
        assert (count_in(page, "running"), count_in(page, "completed")) == ("1", "0")
        registry.report_progress(first, OperationProgressUpdate("half way", 50.0))
        second = registered(registry, name="second")
        soon(page, lambda: names_in(page) == ["second", "first"])
        soon(page, lambda: "half way" in page.inner_text(".row:has-text('first')"))
        assert page.eval_on_selector(".row:has-text('first') progress", "bar => bar.value") == 50
        registry.fail_operation(first, "the disk is full")
        soon(page, lambda: (count_in(page, "running"), count_in(page, "failed")) == ("0", "1"))
        assert "the disk is full" in page.inner_text(".row:has-text('first')")
        assert "1 of 2 operations ended" in page.inner_text("#run-list")
        registry.abort_provisioning(second, "enough")
        soon(page, lambda: count_in(page, "aborted") == "1")
        registry.collect_completed()
        soon(page, lambda: names_in(page) == [])
        registry.close()
        soon(page, lambda: "no owner" in page.inner_text("#run-list"))


def test_one_operation_has_its_history_and_its_output(opened: Any, tmp_path: Path) -> None:
    store = tmp_path / "b.db"
    command = "printf 'one\\033[31m two\\n'; echo three >&2; exit 3"
    run_in(store, "sh", "-c", command)
    with served(store) as client, page_of(opened, client.base_url) as page:
        page.click(".row:not([hidden])")
        soon(page, lambda: "one two" in page.inner_text("#details .log"))
        history = page.inner_text("#details .history")
        assert [each.split()[0] for each in history.splitlines()[:2]] == ["registered", "started"]
        assert "failed" in history
        assert '"outcome_type": "failed"' in page.inner_text("#details .outcome")
        page.click("#details [data-stream=stderr]")
        soon(page, lambda: page.inner_text("#details .log") == "three\n")
        assert "operation=" in page.url
        page.go_back()
        soon(page, lambda: bool(page.is_hidden("#details")))
        page.go_forward()
        soon(page, lambda: bool(page.is_visible("#details .history")))


def test_filters_are_in_the_address(opened: Any, store: Path, registry: Registry) -> None:
    for number in range(3):
        completed(registry, name=f"done {number}")
        running(registry, name=f"live {number}")
    with Registry(store=SqliteStore(store, registry="other")) as other:
        running(other, name="live elsewhere")
        with served(store) as client:
            url = f"{client.base_url}/?status=running&search=LIVE&order=name&descending=false"
            with page_of(opened, url) as page:
                expected = ["live 0", "live 1", "live 2", "live elsewhere"]
                soon(page, lambda: names_in(page) == expected)
                assert page.text_content("#summary") == "4 of 7 operations"
                page.click("#run-list [data-run=other]")
                assert names_in(page) == ["live elsewhere"]
                assert "run=other" in page.url
                page.click("#clear")
                assert len(names_in(page)) == 7
                page.click("#statuses [data-status=completed]")
                page.click("#columns [data-order=created]")
                assert names_in(page) == ["done 2", "done 1", "done 0"]
                page.click("#columns [data-order=created]")
                assert names_in(page) == ["done 0", "done 1", "done 2"]
                again = page.url
                page.fill("#search", "no such name")
                assert page.inner_text("#empty") == "No operation passes the filters."
            with page_of(opened, again) as page:
                soon(page, lambda: names_in(page) == ["done 0", "done 1", "done 2"])
            with page_of(opened, f"{client.base_url}/?order=constructor&status=none") as page:
                soon(page, lambda: bool(page.is_visible("#empty")))


def test_it_is_used_with_the_keyboard(opened: Any, store: Path, registry: Registry) -> None:
    for number in range(60):
        completed(registry, name=f"done {number:02}")
    with served(store) as client, page_of(opened, client.base_url) as page:
        soon(page, lambda: names_in(page)[:1] == ["done 59"])

        def selected() -> str:
            text: str = page.text_content(".row[aria-selected=true] .name-cell")
            return text

        for keys, expected in (
            (("l", "Home"), "done 59"),
            (("ArrowDown", "ArrowDown", "ArrowUp"), "done 58"),
            (("End",), "done 00"),
            (("ArrowDown", "Home"), "done 59"),
        ):
            for key in keys:
                page.keyboard.press(key)
            assert selected() == expected
            active = page.get_attribute("#list", "aria-activedescendant")
            assert expected in page.text_content(f"#{active}")
        page.keyboard.press("PageDown")
        assert selected() < "done 55"
        page.keyboard.press("Enter")
        soon(page, lambda: bool(page.is_visible("#details .history li")))
        page.keyboard.press("Escape")
        assert page.is_hidden("#details")
        page.keyboard.press("/")
        page.keyboard.type("07lc?")
        assert page.input_value("#search") == "07lc?"
        page.keyboard.press("Escape")
        page.keyboard.press("c")
        assert len(names_in(page)) > 10
        page.keyboard.press("?")
        assert page.is_visible("#keys")
        page.keyboard.press("Escape")
        assert page.is_hidden("#keys")
        page.focus("#diagram [data-status=failed]")
        page.keyboard.press("Enter")
        assert names_in(page) == []
        assert "status=failed" in page.url


def test_names_and_outputs_are_text(opened: Any, tmp_path: Path) -> None:
    store = tmp_path / "b.db"
    program = f"import sys; print({HOSTILE!r}); sys.exit({HOSTILE!r})"
    run_in(store, sys.executable, "-c", program)
    with Registry(store=SqliteStore(store, registry=HOSTILE[:60])) as registry:
        registry.fail_operation(running(registry, name=f"{HOSTILE}{REVERSED}"), HOSTILE)
        with served(store) as client, page_of(opened, client.base_url) as page:
            soon(page, lambda: len(names_in(page)) == 2)
            assert f"{HOSTILE}{REVERSED}" in names_in(page)
            for number in range(2):
                page.click(f".row[data-index='{number}']")
                soon(page, lambda: HOSTILE in page.inner_text("#details .outcome"))
                page.wait_for_timeout(100)
            assert HOSTILE in page.inner_text("#details .log")
            page.fill("#search", HOSTILE[:20])
            assert page.evaluate("window.harmed") is None
            assert page.locator("img, #details script, main script").count() == 0
            isolated = "cell => getComputedStyle(cell).unicodeBidi"
            assert page.eval_on_selector(".row .name-cell", isolated) == "isolate"


def test_no_file_of_the_page_makes_elements_of_text() -> None:
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(|srcdoc"
    files = sorted(FOLDER.iterdir())
    assert len(files) >= 10
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert text.count("\n") <= LINES_MAX, file.name
        assert not re.search(forbidden, text), file.name
        elsewhere = re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text)
        assert elsewhere == [], f"{file.name}: everything comes from the server itself"
        assert not re.search(r"<[^>]*\s(style|on\w+)=", text), file.name


def test_the_picture_is_of_the_machine() -> None:
    drawn: Any = picture_of(OPERATIONS)
    mermaid = (ROOT / "docs/generated/ops_lifecycle.md").read_text(encoding="utf-8")
    edges = {
        (source, to, re.sub(r" \[.*?\]| \(deferred\)", "", each))
        for source, to, labels in re.findall(r"^    s_(\w+) --> s_(\w+): (.*)$", mermaid, re.M)
        for each in labels.split("<br>")
    }
    assert edges == {
        (each["from"], each["to"], action) for each in drawn["edges"] for action in each["actions"]
    }
    ends = set(re.findall(r"^    s_(\w+) --> \[\*\]$", mermaid, re.M))
    assert ends == {name for name, each in drawn["statuses"].items() if each.get("terminal")}
    assert {*drawn["statuses"], *NOT_RECORDED} == set(STATUSES)
    start = re.search(r"^    \[\*\] --> s_(\w+): (\w+)", mermaid, re.M)
    assert start is not None
    assert start.groups() == (drawn["initial"]["to"], drawn["initial"]["action"])
    assert drawn["of_owners"] == list(NOT_RECORDED)
    places = [(each["x"], each["y"]) for each in drawn["statuses"].values()]
    assert len(set(places)) == len(places)
    assert all(
        0 <= x < drawn["size"]["width"] and 0 <= y < drawn["size"]["height"] for x, y in places
    )


def test_it_says_when_it_is_cut_off_and_what_it_missed(
    opened: Any, store: Path, registry: Registry
) -> None:
    completed(registry, name="before")
    program = Program(store)
    with page_of(opened, program.url) as page:
        soon(page, lambda: names_in(page) == ["before"])
        program.kill()
        soon(page, lambda: "disconnected" in page.text_content("#connection"))
        assert "stale" in page.get_attribute("body", "class")
        # What was known is still shown, but paler.
        assert names_in(page) == ["before"]
        completed(registry, name="meanwhile")
        program = Program(store, port=program.port)
        soon(page, lambda: page.text_content("#connection") == "live")
        soon(page, lambda: names_in(page) == ["meanwhile", "before"])
        assert "Missed updates" in page.inner_text("#notice")
        page.click("#notice button")
        assert page.is_hidden("#notice")
        store.rename(store.with_name("away.db"))
        soon(page, lambda: "no such store" in page.text_content("#connection"))
        store.with_name("away.db").rename(store)
        soon(page, lambda: page.text_content("#connection") == "live")
        assert page.get_attribute("body", "class") == ""
    program.kill()


def test_it_asks_for_the_token(opened: Any, store: Path, registry: Registry) -> None:
    completed(registry, name="secret")
    with served(store, token=TOKEN) as client, page_of(opened, client.base_url) as page:
        soon(page, lambda: bool(page.is_visible("#token-form")))
        assert names_in(page) == []
        page.fill("#token", "a-wrong-token-of-the-tests")
        page.press("#token", "Enter")
        soon(page, lambda: bool(page.is_visible("#token-form")))
        page.fill("#token", TOKEN)
        page.press("#token", "Enter")
        soon(page, lambda: names_in(page) == ["secret"])
        assert page.is_hidden("#token-form")
        assert TOKEN not in page.url
        page.click(".row")
        soon(page, lambda: bool(page.is_visible("#details .history li")))
        page.reload()
        soon(page, lambda: names_in(page) == ["secret"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_its_colours_can_be_read(
    opened: Any, store: Path, registry: Registry, scheme: str
) -> None:
    for number in range(40):
        completed(registry, name=f"a rather long name of an operation, number {number}")
    running(registry)
    contrast = (ROOT / "tests/support/serve/contrast.js").read_text(encoding="utf-8")
    with served(store) as client:
        for size in (PHONE, DESKTOP):
            with page_of(opened, client.base_url, size, scheme) as page:
                soon(page, lambda: len(names_in(page)) > 3)
                wide = "document.documentElement.scrollWidth - innerWidth"
                assert page.evaluate(wide) <= 0
                pale = page.evaluate(contrast, [".row *", "#statuses .some", "#summary", "h1"])
                assert pale == []
                page.click(".row:not([hidden])")
                soon(page, lambda: bool(page.is_visible("#details .history li")))
                assert page.evaluate(wide) <= 0
                assert page.eval_on_selector("#details", "it => it.clientWidth") <= size[0]


def test_ten_thousand_live_operations_stay_responsive(
    opened: Any, store: Path, registry: Registry
) -> None:
    with registry.transaction() as transaction:
        specs = [spec(name=f"live {number:05}") for number in range(MANY)]
        for each in specs:
            transaction.register_operation(each)
            transaction.provisioning_succeeded(each.id)
    # How long a timer that is due waits: as long as any task of the page takes.
    watch = """() => {
        let before = performance.now();
        window.longest = 0;
        setInterval(() => {
            window.longest = Math.max(window.longest, performance.now() - before);
            before = performance.now();
        }, 10);
    }"""
    with served(store, poll_seconds=0.25) as client, page_of(opened, client.base_url) as page:
        soon(page, lambda: page.text_content("#summary") == "10,000 operations")
        page.evaluate(watch)
        # A long task is noticed.
        page.evaluate(
            "setTimeout(() => { const end = Date.now() + 200; while (Date.now() < end); })"
        )
        soon(page, lambda: page.evaluate("window.longest") >= 200)
        page.evaluate("window.longest = 0")
        assert page.locator(".row").count() < 100
        for number, each in enumerate(specs[-200:]):
            registry.report_progress(each.id, OperationProgressUpdate(f"step {number}", 10.0))
        soon(page, lambda: "step 199" in page.inner_text(".row >> nth=0"))
        begun = time.monotonic()
        page.fill("#search", "live 00007")
        assert names_in(page) == ["live 00007"]
        page.fill("#search", "")
        page.focus("#list")
        page.keyboard.press("End")
        soon(page, lambda: "live 00000" in names_in(page))
        page.click("#columns [data-order=duration]")
        page.keyboard.press("c")
        seconds = time.monotonic() - begun
        assert page.locator(".row").count() < 100
        assert page.evaluate("window.longest") < TASK_MS_MAX
        assert seconds < 10
