"""A real browser without a window, where one is installed, and stores for it to show.

`python -m tests.support.serve.browsing FOLDER` takes the pictures of the documentation.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from opslifecycle import OperationProgressUpdate, Registry, SqliteStore

from tests.support.builders import registered, result, running
from tests.support.codegen.projects import imported
from tests.support.command_line import command_line
from tests.support.serve.serving import served

ROOT = Path(__file__).parents[3]
_NAMES = ("chromium", "chromium-browser", "google-chrome")
DESKTOP, PHONE = (1280, 800), (375, 740)


def browser_path() -> str | None:
    """Return where a browser is; None if there is none."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


@contextmanager
def browser() -> Iterator[Any]:
    """A browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        # A sandbox needs rights that containers do not give.
        opened = driver.chromium.launch(executable_path=browser_path(), args=["--no-sandbox"])
        yield opened
        opened.close()


def fill_shown_store(store: Path) -> Registry:
    """Fill a store with two runs that have ended, and return the registry of one in progress."""
    for command, values in (
        ("echo resizing {}; sleep 0.{}", "1 2 3 1 2"),
        ("echo checking {}; sleep 0.{}; [ {} != 3 ] || exit 1", "2 3 1"),
    ):
        command_line("map", "--store", str(store), "-n", "3", command, *values.split())
    registry = Registry(store=SqliteStore(store, registry="import"))
    for number in range(1, 15):
        time.sleep(0.05)
        id = running(registry, name=f"import part {number:02}")
        registry.report_progress(id, OperationProgressUpdate(f"row {number * 731}", number * 7.0))
        if number % 3 == 0:
            registry.complete_operation(id, result())
        elif number == 8:
            registry.fail_operation(id, "line 5904: expected 7 columns, got 6")
    for number in range(15, 19):
        registered(registry, name=f"import part {number:02}")
    return registry


def fill_shown_till(store: Path) -> Any:
    """Fill a store with payments, and return their registry, which is open."""
    payment = imported(ROOT / "examples/payment", "payment")
    till = payment.PaymentRegistry(store=SqliteStore(store))
    now = datetime.now(UTC)
    for number in range(12):
        time.sleep(0.05)
        id = payment.PaymentId.new()
        text = f"{number % 3 + 1} tickets"
        till.describe(id, 1000 + 250 * number, "eur", now + timedelta(minutes=15), text)
        if number % 4 == 1:
            till.cancel(id)
        elif number % 3 != 1:
            till.confirm(id, now)
            if number % 3 == 2:
                till.capture(id, 1000, now, True)
    return till


def take_pictures(folder: Path) -> None:
    """Take the pictures of the documentation."""
    os.environ["TZ"] = "UTC"
    with tempfile.TemporaryDirectory() as made:
        store = Path(made) / "jobs.db"
        with fill_shown_store(store), served(store) as client, browser() as opened:
            for name, (width, height), scheme, shown in (
                ("page", DESKTOP, "light", ""),
                ("page-dark", DESKTOP, "dark", "checking 3"),
                ("page-phone", PHONE, "light", ""),
            ):
                size = {"width": width, "height": height}
                page = opened.new_page(viewport=size, color_scheme=scheme, locale="en-GB")
                page.goto(str(client.base_url))
                page.wait_for_selector(".row:not([hidden])")
                if shown:
                    page.click(f".row:has-text('{shown}')")
                    page.wait_for_selector("#details .history li")
                time.sleep(0.5)
                page.screenshot(path=str(folder / f"serve-{name}.png"))
                page.close()
        till = fill_shown_till(Path(made) / "till.db")
        with (
            till,
            served(Path(made) / "till.db", machine=type(till)) as client,
            browser() as opened,
        ):
            page = opened.new_page(viewport={"width": 1280, "height": 560}, locale="en-GB")
            page.goto(str(client.base_url))
            page.wait_for_selector(".row:not([hidden])")
            time.sleep(0.5)
            page.screenshot(path=str(folder / "serve-page-payments.png"))
            page.close()


if __name__ == "__main__":
    take_pictures(Path(sys.argv[1]))
