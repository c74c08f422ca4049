"""Pages of a listing: orders, cursors, bounds, and walks while records come and go."""

from __future__ import annotations

import asyncio
import copy
import pickle
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opslifecycle import (
    AsyncRegistry,
    InvalidValueError,
    MemoryStore,
    OperationId,
    OperationLifecycleSnapshot,
    OperationOrder,
    OperationStatus,
    Page,
    PageCursor,
    Registry,
    SessionId,
    Store,
    unstructure,
)
from opslifecycle.shell import columns
from opslifecycle.shell.columns import Column

from tests.support.builders import TOOL, completed, registered, running, spec

BY_ID, CREATED, NAME = OperationOrder.ID, OperationOrder.CREATED, OperationOrder.NAME
ORDERS = [None, BY_ID, CREATED, NAME]
KEYS: dict[OperationOrder | None, Callable[[OperationLifecycleSnapshot], Any]] = {
    None: lambda each: (each.display_name, each.id),
    BY_ID: lambda each: each.id,
    CREATED: lambda each: (each.created_at_ms, each.id),
    NAME: lambda each: (each.display_name, each.id),
}


def walk(registry: Registry, limit: int, **asked: Any) -> Iterator[Page[Any]]:
    page = registry.list_operations(limit=limit, **asked)
    yield page
    while page.has_more:
        page = registry.list_operations(limit=limit, after=page.cursor, **asked)
        yield page


def ids(pages: Iterator[Page[Any]]) -> list[OperationId]:
    return [each.id for page in pages for each in page]


@pytest.fixture(params=["no store", "a store"])
def registry(request: pytest.FixtureRequest) -> Iterator[Registry]:
    store: Store | None = MemoryStore() if request.param == "a store" else None
    with Registry(max_completed=1000, store=store) as made:
        yield made


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("order", ORDERS)
def test_the_pages_of_a_walk_are_the_listing(
    registry: Registry, order: OperationOrder | None, descending: bool
) -> None:
    for number in range(40):
        (completed if number % 3 else running)(registry, name=f"n{number * 7 % 5}")
    wanted = sorted(registry.list_operations(), key=KEYS[order], reverse=descending)
    asked: dict[str, Any] = {"order_by": order, "descending": descending}
    assert registry.list_operations(**asked) == wanted
    for limit in (1, 3, 20, 39, 40, 41):
        pages = list(walk(registry, limit, **asked))
        assert [each for page in pages for each in page] == wanted
        assert all(len(page) == limit for page in pages[:-1])
        filtered = ids(walk(registry, limit, status=OperationStatus.RUNNING, **asked))
        assert filtered == [s.id for s in wanted if s.status is OperationStatus.RUNNING]


def test_an_empty_page_has_the_cursor_where_it_began(registry: Registry) -> None:
    empty = registry.list_operations(limit=5)
    assert (empty, empty.cursor, empty.has_more) == ([], None, False)
    first = registered(registry)
    page = registry.list_operations(limit=5, order_by=BY_ID)
    end = registry.list_operations(limit=5, order_by=BY_ID, after=page.cursor)
    assert (end, end.cursor, end.has_more) == ([], page.cursor, False)
    later = registered(registry)
    assert first < later
    assert ids(iter([registry.list_operations(order_by=BY_ID, after=end.cursor)])) == [later]
    none = registry.list_operations(limit=0)
    assert (none, none.cursor, none.has_more) == ([], None, True)


def test_a_cursor_survives_its_record(registry: Registry) -> None:
    made = [registered(registry, name="same") for _ in range(4)]
    page = registry.list_operations(limit=2)
    assert [each.id for each in page] == made[:2]
    registry.rollback_unreturned_operation(made[1])
    registry.rollback_unreturned_operation(made[2])
    assert page.cursor is not None
    text = str(page.cursor)
    assert text.isascii()
    assert not {"/", "+", "=", " "} & set(text)
    read = PageCursor.parse(text)
    assert read == page.cursor == pickle.loads(pickle.dumps(read)) == copy.deepcopy(read)
    assert ids(iter([registry.list_operations(after=read)])) == [made[3]]


def test_a_page_becomes_json_as_a_list_does(registry: Registry) -> None:
    for _ in range(2):
        registered(registry)
    page = registry.list_operations()
    assert type(page) is Page
    assert unstructure(page) == unstructure(list(page)) == [unstructure(each) for each in page]
    assert type(unstructure(page)) is list
    again = pickle.loads(pickle.dumps(page))
    assert (again, again.cursor, again.has_more) == (page, page.cursor, page.has_more)


def test_bounds_exclude_their_ends() -> None:
    registry = Registry()
    for name in "abc":
        registered(registry, name=name)
    times = [each.created_at_ms for each in registry.list_operations()]
    low, high = min(times), max(times)
    assert registry.list_operations(created_after=high) == []
    assert registry.list_operations(created_before=low) == []
    everything = registry.list_operations()
    within = registry.list_operations(created_after=low - 1, created_before=high + 1)
    assert within == everything


def test_a_cursor_of_another_order_is_refused(registry: Registry) -> None:
    for _ in range(2):
        registered(registry)
    by_name = registry.list_operations(limit=1, order_by=NAME).cursor
    with pytest.raises(InvalidValueError, match="after: is a cursor of name, ascending"):
        registry.list_operations(after=by_name)
    with pytest.raises(InvalidValueError, match="pass it with the order that it was made in"):
        registry.list_operations(after=by_name, order_by=NAME, descending=True)
    for wrong in (
        PageCursor("name", False, ("work", 7)),
        PageCursor("name", False, ("work",)),
        PageCursor("name", False, (1, str(OperationId.new()))),
        PageCursor("created", False, ("1", str(OperationId.new()))),
    ):
        with pytest.raises(InvalidValueError, match="after: is a cursor of another listing"):
            registry.list_operations(after=wrong, order_by=OperationOrder(wrong.order))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"limit": -1}, "limit: expected an integer of at least 0, got -1"),
        ({"limit": True}, "limit: expected an integer, got True"),
        ({"after": "text"}, "after: expected PageCursor, got 'text'"),
        ({"order_by": "name"}, "order_by: expected OperationOrder, got 'name'"),
        ({"descending": 1}, "descending: expected True or False, got 1"),
        ({"created_after": "now"}, "created_after: expected an integer, got 'now'"),
    ],
)
def test_wrong_arguments_name_themselves(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        Registry().list_operations(**asked)


@pytest.mark.parametrize(
    "text",
    ["", "?", "WyIi", "e30", "WyIiLGZhbHNlXQ", "WzEsZmFsc2UsMV0", "WyIiLDAsMV0", "é", 5, None],
)
def test_a_text_of_no_cursor_is_refused(text: Any) -> None:
    with pytest.raises(InvalidValueError, match=r"pass str\(page\.cursor\)"):
        PageCursor.parse(text)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("descending", [False, True])
def test_a_record_that_exists_all_the_while_is_listed_once(
    order: OperationOrder | None, descending: bool
) -> None:
    number = random.Random(1)
    with Registry(max_completed=10_000) as registry:
        stay = [registered(registry, name=f"{number.randrange(9)}") for _ in range(60)]
        go = [registered(registry, name=f"{number.randrange(9)}") for _ in range(60)]
        seen: list[OperationId] = []
        for page in walk(registry, 7, order_by=order, descending=descending):
            seen += [each.id for each in page]
            for _ in range(5):
                registered(registry, name=f"{number.randrange(9)}")
            for id in go[:4]:
                registry.rollback_unreturned_operation(id)
            # Every status of a record that stays changes during the walk.
            for id in number.sample(stay, 3):
                if registry.snapshot(id).status is OperationStatus.PROVISIONING:  # type: ignore[union-attr]
                    registry.provisioning_succeeded(id)
            del go[:4]
        assert len(seen) == len(set(seen))
        assert set(stay) <= set(seen)


def test_walks_of_threads_during_commits() -> None:
    with Registry(max_completed=50, store=MemoryStore()) as registry:
        stay = {running(registry, name=f"{n % 3}") for n in range(50)}
        stop = threading.Event()

        def change() -> None:
            while not stop.is_set():
                completed(registry, name="1")

        thread = threading.Thread(target=change)
        thread.start()
        try:
            for _ in range(5):
                seen = ids(walk(registry, 9, terminal=False))
                assert len(seen) == len(set(seen))
                assert stay <= set(seen)
        finally:
            stop.set()
            thread.join()


def test_an_async_registry_has_the_same_pages() -> None:
    async def pages() -> list[OperationId]:
        async with AsyncRegistry() as registry:
            made = []
            for _ in range(5):
                new = spec()
                await registry.register_operation(new)
                made.append(new.id)
            page = registry.list_operations(order_by=BY_ID, limit=3)
            rest = registry.list_operations(order_by=BY_ID, after=page.cursor)
            assert [each.id for each in (*page, *rest)] == made
            return made

    assert len(asyncio.run(pages())) == 5


def test_a_selective_filter_is_not_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    registry, owner = Registry(), SessionId.new()
    for number in range(300):
        registry.register_operation(spec(TOOL, owner=owner if number % 100 == 0 else None))
    built: list[int] = []
    real = Column.__init__

    def counting(self: Column[Any], keys: Any) -> None:
        built.append(1)
        real(self, keys)

    monkeypatch.setattr(Column, "__init__", counting)
    assert len(list(walk(registry, 1, owner_session_id=owner))) == 3
    assert not built
    assert len(ids(walk(registry, 100))) == 300
    # One column for the whole walk, which later changes only bring up to date.
    registered(registry)
    assert len(ids(walk(registry, 100))) == 301
    assert len(built) == 1


def test_a_column_is_a_sorted_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_CHUNK_KEYS", 2)
    number = random.Random(3)
    model: dict[int, tuple[int, int]] = {}
    column: Column[int] = Column([])
    for _ in range(600):
        id = number.randrange(30)
        key = (number.randrange(5), id) if number.random() < 0.6 else None
        column.replace(id, key)
        if key is None:
            model.pop(id, None)
        else:
            model[id] = key
        ordered = sorted(model.values())
        place = (number.randrange(-1, 6), number.randrange(-1, 31))
        assert list(column.ascending(None)) == ordered
        assert list(column.descending(None)) == ordered[::-1]
        assert list(column.ascending(place)) == [each for each in ordered if each > place]
        assert list(column.descending(place)) == [each for each in ordered if each < place][::-1]
        assert list(Column(model.items()).ascending(None)) == ordered
