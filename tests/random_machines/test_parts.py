"""Whatever part of a machine a version gains or loses: what is stored stays, or it is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from opslifecycle import ManualClock, MemoryStore, PostgresStore, SqliteStore, StoreVersionError
from opslifecycle import Reader as StoreReader
from opslifecycle.cli.doctor import examine
from opslifecycle.cli.packages import machine_of
from opslifecycle.inspection.locations import location_of
from opslifecycle.stores.base import Store

from tests.support.postgres.databases import Database
from tests.support.random_machines import jobs
from tests.support.random_machines.comparing import Comparison
from tests.support.random_machines.compiling import Generated, Refused, compiled
from tests.support.random_machines.edits import Edit
from tests.support.random_machines.jobs import Part, job
from tests.support.random_machines.seeing import Reader, Seen
from tests.support.random_machines.walking import clocks_of
from tests.support.scale import WHOLE
from tests.support.waiting import until

IDS = 9
NOTHING = ("NoneType", None)
POSITIONS = ["last_sequence", "watermark", "dropped_through"]
FEED = {"removes": {"fields": ["sequence"], "registry": POSITIONS}}
#: Each part, and the migration of a version that loses it.
PARTS: dict[Part, dict[str, Any]] = {
    jobs.feed: FEED, jobs.feed_of_transitions: FEED, jobs.cursors: FEED, jobs.retention: FEED,
    jobs.archive: FEED, jobs.history: {"removes": {"fields": ["history"]}},
    jobs.timers: {"removes": {"fields": ["status_since_ms"]}},
    jobs.effects: {"removes": {"effects": ["tell"]}},
    jobs.numbers: {"removes": {"fields": ["sequence"], "registry": ["ended"]}},
    jobs.field: {"removes": {"fields": ["note"]}},
    jobs.registry_field: {"removes": {"registry": ["seen"]}},
    jobs.counted: {"removes": {"registry": ["live_count"]}}, jobs.recounted: {},
    jobs.unique: {}, jobs.barrier: {}, jobs.watch: {}, jobs.deferral: {}, jobs.discard: {},
    jobs.listing: {},
    jobs.several: {"removes": {
        "fields": ["sequence", "history", "status_since_ms", "note"],
        "registry": [*POSITIONS, "seen"],
    }},
}  # fmt: skip
#: Those that no stored data may have, or that it must have.
REFUSED: dict[Part, str] = {
    jobs.counted: r"live_count counts live .* let live_count be `recovered_as: count\(…\)`",
    jobs.outcome: r"fields.terminal_outcome was the status and is Outcome \| None",
    jobs.unique: "stored records may have equal values of place, which become unique",
}
#: Those whose names the compiler chooses, so that a later version has the same ones again.
AGAIN: dict[Part, dict[str, Any]] = {
    jobs.cursors: FEED, jobs.archive: FEED, jobs.feed_of_transitions: FEED, jobs.all_placed: {
        "removes": {"fields": ["sequence", "history", "status_since_ms"], "registry": POSITIONS},
    },
}  # fmt: skip
#: By day, all parts are examined together; at night each alone as well.
BY_DAY = [jobs.several, jobs.all_placed]
Work = Callable[[Any, list[Any]], object]


def each_status(registry: Any, ids: list[Any]) -> None:
    """Leave a record in each status, two that have ended alike, and what commands leave."""
    for number, id in enumerate(ids[:IDS]):
        registry.add(id, f"place {number}")
    for id in ids[1:6]:
        registry.begin(id)
    registry.retry(ids[1])
    registry.finish(ids[2])
    registry.finish(ids[3])
    registry.lose(ids[6])


def go_on(registry: Any, ids: list[Any]) -> None:
    """Move records on that an older version has stored."""
    registry.begin(ids[0])
    registry.retry(ids[1])
    registry.finish(ids[1])
    registry.lose(ids[4])
    registry.lose(ids[7])


@contextmanager
def versions(*trees: Any) -> Iterator[list[Generated]]:
    """Compile versions, each with the lock of the one before."""
    with ExitStack() as stack:
        stack.enter_context(clocks_of(ManualClock(0)))
        found: list[Generated] = []
        for tree in trees:
            made = stack.enter_context(compiled(tree, found[-1] if found else None))
            assert isinstance(made, Generated), [str(each) for each in made.findings]
            found.append(made)
        yield found


class Kept:
    """A store that one version after another opens."""

    def __init__(self, store_of: Callable[[], Store]) -> None:
        self._store, self._clock = store_of, ManualClock(0)

    def registry(self, version: Generated) -> Any:
        """Open it."""
        return Reader(version, IDS).opened(self._store(), self._clock)

    def opened(self, version: Generated, work: Work = lambda registry, ids: None) -> Seen:
        """Open it, do some work, and return what is seen then, and once it is opened again."""
        reader, registry = Reader(version, IDS), self.registry(version)
        try:
            work(registry, reader.values.ids)
            seen = reader.seen(registry)
        finally:
            registry._close()
        registry = self.registry(version)
        again = reader.seen(registry)
        registry._close()
        assert again == seen
        return seen


def in_file(path: Path) -> Kept:
    return Kept(lambda: SqliteStore(path, durability="process"))


@pytest.fixture(params=["memory", "file", "server"] if WHOLE else ["file"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    if request.param == "memory":
        store = MemoryStore()
        return Kept(lambda: store)
    if request.param == "file":
        return in_file(tmp_path / "jobs.db")
    database: Database = request.getfixturevalue("postgres")
    return Kept(lambda: PostgresStore(database.dsn, schema=database.schema))


def compare(old: Generated, new: Generated, before: Seen, now: Seen) -> None:
    Comparison(Reader(old, IDS), Reader(new, IDS), before, now, Edit()).run()


def by_day(parts: list[Part]) -> pytest.MarkDecorator:
    """Parametrize a test by parts."""
    chosen = [each for each in parts if WHOLE or each in BY_DAY]
    return pytest.mark.parametrize("part", chosen, ids=lambda part: part.__name__)


def changed(old: Any, new: Any) -> list[str]:
    """Why the next version of a machine is refused."""
    with compiled(old) as before:
        assert isinstance(before, Generated)
        with compiled(new, before) as found:
            assert isinstance(found, Refused)
            return [each.message for each in found.findings]


@by_day([part for part in PARTS if part not in REFUSED])
def test_a_version_gains_a_part(part: Part, kept: Kept) -> None:
    with versions(job(), job(part)) as (old, new):
        before = kept.opened(old, each_status)
        now = kept.opened(new)
        compare(old, new, before, now)
        assert now.entries == []
        assert len(now.cursors) == (2 if new.program.cursors is not None else 0)
        assert not any(now.cursors.values())
        after = kept.opened(new, go_on)
        if new.program.machine.feed is not None:
            watermark = after.fields["watermark"][1]
            assert watermark == after.fields["last_sequence"][1] > 0


@by_day([*PARTS])
def test_a_version_loses_a_part(part: Part, kept: Kept) -> None:
    def work(registry: Any, ids: list[Any]) -> None:
        if part is jobs.effects:
            # A message that is pending would have to be sent: see below.
            registry.add(ids[0], "place 0")
        else:
            each_status(registry, ids)

    migrations = {2: PARTS[part]}
    with versions(job(part), job(version=2, migrations=migrations)) as (old, new):
        before = kept.opened(old, work)
        compare(old, new, before, kept.opened(new))
        if part is not jobs.effects:
            kept.opened(new, go_on)


@by_day([*AGAIN])
def test_a_version_has_a_part_again(part: Part, tmp_path: Path) -> None:
    migrations = {2: AGAIN[part]}
    first, second = job(part), job(version=2, migrations=migrations)
    third = job(part, version=3, migrations=migrations)
    with versions(first, second, third) as (one, two, three):
        for direct in (False, True):
            kept = in_file(tmp_path / f"{direct}.db")
            before = kept.opened(one, each_status)
            if not direct:
                kept.opened(two)
            now = kept.opened(three)
            assert now.entries == []
            assert not any(now.histories.values())
            assert now.records == before.records
            after = kept.opened(three, go_on)
            numbers = [each["sequence"][1] for each in after.entries]
            last = max([0, *(each["sequence"][1] for each in before.entries)])
            assert all(number > last for number in numbers)
            assert before.archive.items() <= after.archive.items()


@pytest.mark.parametrize("part", REFUSED, ids=lambda part: part.__name__)
def test_a_part_is_refused(part: Part) -> None:
    (found,) = changed(job(), job(part))
    assert re.search(REFUSED[part], found)


def test_records_that_a_counter_has_counted_as_ended_live_again() -> None:
    def again(tree: Any) -> None:
        tree["statuses"]["members"]["done"] = {"summary": "It was done.", "milestone": True}

    found = changed(job(jobs.counted), job(jobs.counted, again, version=2, migrations={2: {}}))
    assert found == [
        "registry.live_count counts live records, which those with the status done become again"
    ]


def test_an_end_loses_its_outcome() -> None:
    lost = job(version=2, migrations={2: {}})
    found = changed(job(jobs.outcome), lost)
    assert "fields.terminal_outcome was Outcome | None and is the status" in found


def test_no_migration_adds_an_outcome() -> None:
    added = {"adds": {"fields": {"terminal_outcome": "open"}}}
    assert changed(job(), job(version=2, migrations={2: added})) == [
        "records that have not ended have no outcome, so that none can be added"
    ]


@pytest.mark.parametrize("parts", [[], [jobs.milestone]], ids=["live", "milestone"])
def test_a_live_status_becomes_an_end(parts: list[Part]) -> None:
    """Records in it may have announced themselves, and may be older than that."""

    def ended(tree: Any) -> None:
        tree["statuses"]["members"]["busy"]["terminal"] = True
        for action in ("finish", "retry"):
            del tree["actions"][action]
        tree["actions"]["lose"]["from"] = ["open"]
        tree["actions"]["give_up"] = {
            "summary": "Finish at once.", "methods": ["give_up"], "from": ["open"], "to": "done"
        }  # fmt: skip

    found = changed(job(*parts), job(ended, version=2, migrations={2: {}}))
    assert found == ["the status busy is an end now, and records in it have not ended"]


def test_what_a_version_stores_no_more_is_not_stored_as_it_was(kept: Kept) -> None:
    """A record stays as it is until it changes, and is then stored no more."""

    def some(tree: Any) -> None:
        tree["recovery"]["persist_if"] = "job.place != 'place 0' and job.place != 'place 1'"

    with versions(job(), job(some), job()) as (first, second, third):
        before = kept.opened(first, each_status)
        changing, staying, *others = before.records
        registry = kept.registry(second)
        registry.begin(Reader(second, IDS).values.ids[0])
        registry._close()
        now = kept.opened(third)
        assert now.records[changing] is None
        assert [now.records[id] for id in (staying, *others)] == [
            before.records[id] for id in (staying, *others)
        ]


def test_a_feed_begins_behind_the_numbers_that_a_machine_has_given(kept: Kept) -> None:
    lost = {"removes": {"registry": ["ended"]}}
    fed = job(jobs.feed, version=2, migrations={2: lost})
    with versions(job(jobs.numbers), fed) as (old, new):
        kept.opened(old, each_status)
        registry = kept.registry(old)
        document = registry.capture()
        registry._close()
        seen = kept.opened(new)
        assert [seen.fields[each] for each in POSITIONS] == [("int", 3)] * 3
        restored = Reader(new, IDS).registry.restore(document)
        assert Reader(new, IDS).seen(restored) == seen
        restored._close()
        after = kept.opened(new, go_on)
        assert [each["sequence"] for each in after.entries] == [("int", n) for n in (4, 5, 6)]


def test_a_feed_of_transitions_becomes_one_of_ends(kept: Kept) -> None:
    """A live record is in the feed then, and keeps neither the number nor the entry."""

    def sequences(tree: Any) -> None:
        tree["snapshot"]["fields"]["sequence"] = "job.sequence"
        tree["settings"]["kept"]["default"] = 30

    old, new = job(jobs.feed_of_transitions, jobs.history), job(jobs.retention, jobs.history)
    for tree in (old, new):
        sequences(tree)
    new |= {"version": 2, "migrations": {2: {"reason": "Ends are enough."}}}
    new["settings"]["kept"]["default"] = 3
    with versions(old, new) as (before, after):
        first = kept.opened(before, each_status)
        now = kept.opened(after)
        assert now.entries == first.entries[-3:]
        found = [each for each in now.records.values() if each is not None]
        live = [each for each in found if each["job.status"] in ("open", "busy")]
        assert len(live) == 6
        assert {each["job.sequence"] for each in live} == {("NoneType", None)}
        done = kept.opened(after, go_on)
        assert sum(each is not None for each in done.records.values()) == 6


@pytest.mark.parametrize("milestone", [False, True])
def test_a_feed_of_ends_has_no_transitions_of_an_older_version(kept: Kept, milestone: bool) -> None:
    """An entry of a live record has no outcome, and who reads ends takes each entry for one."""

    def with_outcomes(tree: Any) -> None:
        tree["feed"]["entry"]["fields"]["outcome"] = "job.terminal_outcome"
        if milestone:
            jobs.milestone(tree)
            tree["actions"]["begin"]["outcome"] = "Well()"

    old = job(jobs.feed_of_transitions, jobs.outcome, with_outcomes)
    steps = {2: {"accepts": {"view-field-type": "Each entry is an end."}}}
    new = job(jobs.feed, jobs.outcome, with_outcomes, version=2, migrations=steps)
    with versions(old, new) as (before, after):
        first = kept.opened(before, each_status)
        found = [each["job.terminal_outcome"] for each in first.entries]
        ends = [
            each["sequence"] for each, of in zip(first.entries, found, strict=True) if of != NOTHING
        ]
        assert 0 < len(ends) < len(first.entries)
        assert [each["sequence"] for each in kept.opened(after).entries] == ends
        done = [each["sequence"] for each in kept.opened(after, go_on).entries]
        assert done[: len(ends)] == ends
        assert len(done) == len(ends) + 3 + milestone


def test_none_is_stored_where_a_field_of_a_value_has_another_default(kept: Kept) -> None:
    """What a store lacks has its default when it is read, so that None may not be absent."""

    def with_papers(tree: Any) -> None:
        fields = {"title": "str", "pages": {"type": "int | None", "default": 1}}
        tree["values"] = {"Paper": {"summary": "P.", "fields": fields}}
        tree["fields"]["paper"] = {"type": "Paper | None"}
        tree["snapshot"]["fields"]["paper"] = "job.paper"
        retry = tree["actions"]["retry"]
        retry |= {"params": {"paper": "Paper"}, "update": {"job.paper": "paper"}}

    with versions(job(with_papers)) as (found,):
        papers = [found.package.Paper("t", pages) for pages in (None, 1, 2)]

        def work(registry: Any, ids: list[Any]) -> None:
            for id, paper in zip(ids, papers, strict=False):
                registry.add(id, "here")
                registry.begin(id)
                registry.retry(id, paper)

        seen = kept.opened(found, work)
        pages = [each["job.paper"]["pages"] for each in seen.records.values() if each is not None]
        assert pages == [NOTHING, ("int", 1), ("int", 2)]


def test_what_an_opening_evicts_is_in_the_archive_at_once(kept: Kept) -> None:
    with versions(job(jobs.feed), job(jobs.archive)) as (old, new):
        kept.opened(old, each_status)
        registry = kept.registry(new)
        ids = Reader(new, IDS).values.ids
        assert [each.snapshot.id for each in registry.all_past()] == [ids[2]]
        assert registry.snapshot(ids[2]) is None
        registry._close()


def test_messages_of_a_lost_effect_are_refused(kept: Kept) -> None:
    lost = job(version=2, migrations={2: PARTS[jobs.effects]})
    with versions(job(jobs.effects), lost) as (old, new):
        kept.opened(old, each_status)
        with pytest.raises(StoreVersionError, match="still had 'tell'"):
            kept.opened(new)
        assert len(kept.opened(old).messages) == 5


@pytest.mark.parametrize("way", ["store", "file", "document"])
def test_messages_go_on_behind_the_numbers_of_a_lost_effect(way: str, tmp_path: Path) -> None:
    """A number is an idempotency key: who has seen it takes another message for the same one."""
    lost = job(version=2, migrations={2: PARTS[jobs.effects]})
    again = job(jobs.effects, version=3)
    memory, numbers = MemoryStore(), list[int]()

    def store() -> Store:
        return memory if way == "store" else SqliteStore(tmp_path / "store.db")

    def sent(message: Any) -> None:
        numbers.append(message.number)

    with versions(job(jobs.effects), lost, again) as (one, two, three):
        ids = Reader(one, IDS).values.ids
        registry = one.package.JobRegistry(store=store(), on_effect=sent)
        for id in ids[:4]:
            registry.add(id, "here")
            registry.begin(id)
        until(lambda: not registry.pending_effects())
        registry.close()
        assert sorted(numbers) == [1, 2, 3, 4]
        ids = Reader(two, IDS).values.ids
        for id in ids[:2]:
            registry = two.package.JobRegistry(store=store())
            registry.finish(id)
            document = registry.capture()
            registry.close()
        ids = Reader(three, IDS).values.ids
        if way == "document":
            registry = three.package.JobRegistry.restore(document)
        else:
            registry = three.package.JobRegistry(store=store())
        registry.add(ids[5], "there")
        registry.begin(ids[5])
        assert [each.number for each in registry.pending_effects()] == [5]
        registry.close()


def test_cursors_are_renamed_that_an_older_version_lacks(kept: Kept) -> None:
    def renamed(tree: Any) -> None:
        members = tree["enums"]["Consumer"]["members"]
        tree["enums"]["Consumer"]["members"] = {"main": members["first"]}

    step = {"renames": {"Consumer": {"first": "main"}}, "removes": {"Consumer": ["second"]}}
    third = job(jobs.cursors, renamed, version=3, migrations={3: step})
    with versions(job(), job(jobs.cursors, version=2), third) as (one, _, three):
        kept.opened(one, each_status)
        assert kept.opened(three).cursors == {"main": 0}


def test_cursors_are_renamed(kept: Kept) -> None:
    def renamed(tree: Any) -> None:
        members = tree["enums"]["Consumer"]["members"]
        tree["enums"]["Consumer"]["members"] = {"main": members["first"]}

    step = {"renames": {"Consumer": {"first": "main"}}, "removes": {"Consumer": ["second"]}}
    second = job(jobs.cursors, renamed, version=2, migrations={2: step})
    with versions(job(jobs.cursors), second) as (one, two):

        def read(registry: Any, ids: list[Any]) -> None:
            each_status(registry, ids)
            registry.mark_read(one.package.Consumer.FIRST, 2)

        kept.opened(one, read)
        assert kept.opened(two).cursors == {"main": 2}


def test_a_reader_follows_a_store_whose_owner_gains_a_feed(tmp_path: Path) -> None:
    with versions(job(), job(jobs.feed)) as (old, new):
        store = SqliteStore(tmp_path / "jobs.db", durability="process")
        before, after = Reader(old, IDS), Reader(new, IDS)
        ids, clock = after.values.ids, ManualClock(0)
        owner = before.opened(store, clock)
        each_status(owner, before.values.ids)
        registry_class = type(after.opened(MemoryStore(), clock))
        looking = SqliteStore(tmp_path / "jobs.db")
        with StoreReader(registry_class, looking, poll_seconds=1000) as reader:
            registry: Any = reader.records
            assert registry.ends().list_since(0).entries == ()
            go_on(owner, before.values.ids)
            owner._close()
            reader.refresh()
            assert registry.ends().list_since(0).entries == ()
            owner = after.opened(store, clock)
            owner.lose(ids[8])
            epoch = owner.ends().epoch_id
            owner._close()
            reader.refresh()
            (entry,) = registry.ends().list_since(0).entries
            assert (entry.seq, entry.job_id) == (1, ids[8])
            assert registry.ends().epoch_id == epoch


def test_doctor_looks_at_a_store_before_its_machine_gains_an_archive(tmp_path: Path) -> None:
    with versions(job(), job(jobs.archive)) as (old, new):
        in_file(tmp_path / "jobs.db").opened(old, each_status)
        machine = machine_of(new.package.__name__)
        location = location_of(str(tmp_path / "jobs.db"))
        assert examine(location, machine, lambda line: None) == (1, 0)
