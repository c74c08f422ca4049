"""The model behind the page on sizing: what grows with what, and what the page says comes first."""

from __future__ import annotations

from attrs import evolve

from benchmarks.sizing import SCALES, Costs, Scale, needs, page, takeover_seconds

COSTS = Costs(
    lifecycle_server_seconds=1e-3, lifecycle_host_seconds=2e-3, lifecycle_log_bytes=2e3,
    shared_server_seconds=5e-5, shared_host_seconds=8e-5, shared_log_bytes=1e3,
    record_bytes=700, registry_bytes=300, renewal_seconds=4e-4, look_seconds=1e-3,
    look_seconds_per_host=1e-5, connection_bytes=2e6, open_bytes=3e4, open_seconds=0.01,
)  # fmt: skip


def amounts(costs: Costs, scale: Scale) -> dict[str, float]:
    return {need.part: need.amount for need in needs(costs, scale)}


def test_the_work_of_the_server_follows_the_lifecycles_and_not_the_hosts() -> None:
    small = amounts(COSTS, Scale(10, 36_000, per_hour=10.0))
    assert small["server: commits"] == 100 * 1e-3
    assert small["server: log"] == 100 * 2e3 / 1e6
    more_hosts = amounts(COSTS, Scale(50, 36_000, per_hour=10.0))
    for part in ("server: commits", "server: log", "server: disk"):
        assert more_hosts[part] == small[part]
    assert more_hosts["each host: threads"] == small["each host: threads"] / 5
    assert more_hosts["server: connections"] == 5 * small["server: connections"]


def test_looks_of_more_than_a_hundred_hosts_are_no_more_in_all() -> None:
    free = evolve(COSTS, look_seconds_per_host=0.0)
    looks = [amounts(free, Scale(hosts, 1_000))["server: looks"] for hosts in (50, 100, 1_000)]
    assert looks == [50 * 1e-3, 100 * 1e-3, 100 * 1e-3]


def test_a_takeover_is_shared_by_the_other_hosts_as_far_as_the_server_has_cores() -> None:
    assert takeover_seconds(COSTS, Scale(3, 3_000)) == 1_000 * 0.01 / 2
    assert takeover_seconds(COSTS, Scale(1_000, 1_000_000)) == 1_000 * 0.01 / 32


def test_the_page_names_what_is_nearest_to_its_limit() -> None:
    *_, largest = SCALES
    first = max(needs(COSTS, largest), key=lambda need: need.share)
    assert f"next to their limits: {first.part} ({first.share:.0%})" in page(COSTS)
    many = page(evolve(COSTS, connection_bytes=1e9))
    assert "next to their limits: server: connections" in many
