"""The pages of several workers as one: sums that never fall, and the worst of the rest."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.registry import Collector

from outbounds.proxy.metrics import Metrics
from outbounds.proxy.workers.page import ADDED, LEAST, Family, Pages, exposed, families

# gauges of which the page shows the greatest: an alarm, an age, or the same in all workers
GREATEST = frozenset({
    "outbounds_policy_info", "outbounds_policy_reload_failed", "outbounds_policy_waiting",
    "outbounds_list_entries", "outbounds_list_age_seconds", "outbounds_list_error",
    "outbounds_list_stale", "outbounds_list_build_seconds",
    "outbounds_closed_targets", "outbounds_closed_targets_unreadable",
    "outbounds_owned_sites", "outbounds_owned_sites_unreadable",
    "outbounds_evidence_reserve_bytes", "outbounds_evidence_full", "outbounds_evidence_records",
    "outbounds_evidence_unsigned_records", "outbounds_evidence_task_failed",
    "outbounds_evidence_task",
})


def page(fill: Callable[[CollectorRegistry], None]) -> list[Family]:
    """What a worker sends, by way of the wire."""
    registry = CollectorRegistry()
    fill(registry)
    return msgspec.json.decode(msgspec.json.encode(families(registry)), type=list[Family])


def counted(number: float, rule: str = "a") -> list[Family]:
    return page(lambda registry: Counter("verdicts", "…", ("rule",), registry=registry)
                .labels(rule).inc(number))


def gauge(name: str, value: float) -> list[Family]:
    return page(lambda registry: Gauge(name, "…", registry=registry).set(value))


def samples(pages: Pages) -> dict[tuple[str, tuple[str, ...]], float]:
    return {(name, tuple(value for _, value in labels)): number
            for family in pages.merged() for name, labels, number in family.samples}


def test_counters_are_added_up_by_their_labels() -> None:
    pages = Pages()
    pages.update(1, counted(3))
    pages.update(2, counted(4))
    pages.update(3, counted(5, "b"))
    assert samples(pages) == {("verdicts_total", ("a",)): 7, ("verdicts_total", ("b",)): 5}


@pytest.mark.parametrize(("name", "shown"), [
    ("outbounds_tunnels", 5), ("outbounds_evidence_up", 2), ("outbounds_list_error", 3)])
def test_of_a_gauge_the_sum_or_the_worst(name: str, shown: float) -> None:
    pages = Pages()
    pages.update(1, gauge(name, 2))
    pages.update(2, gauge(name, 3))
    assert samples(pages) == {(name, ()): shown}


def test_every_gauge_was_thought_about() -> None:
    """A gauge that counts something must be added up; one that nobody thought of is not."""
    found = {each.name for each in families(Metrics().registry) if each.kind == "gauge"}
    assert found <= ADDED | LEAST | GREATEST
    assert not ADDED & LEAST and not (ADDED | LEAST) & GREATEST


def test_histograms_keep_the_order_of_their_buckets() -> None:
    def fill(registry: CollectorRegistry) -> None:
        Histogram("seconds", "…", buckets=(0.1, 1.0), registry=registry).observe(0.5)

    pages = Pages()
    pages.update(1, page(fill))
    pages.update(2, page(fill))
    family, = pages.merged()
    assert [(name, dict(labels).get("le"), value) for name, labels, value in family.samples] == [
        ("seconds_bucket", "0.1", 0), ("seconds_bucket", "1.0", 2), ("seconds_bucket", "+Inf", 2),
        ("seconds_count", None, 2), ("seconds_sum", None, 1.0)]


def test_the_gauges_of_a_worker_that_ended_go() -> None:
    pages = Pages()
    pages.update(1, gauge("outbounds_tunnels", 2))
    pages.update(2, gauge("outbounds_tunnels", 3))
    pages.end(1)
    assert samples(pages) == {("outbounds_tunnels", ()): 3}


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 5), st.booleans()), max_size=30))
def test_a_counter_never_falls(steps: list[tuple[int, int, bool]]) -> None:
    """Whatever ends when: Prometheus takes a counter that falls for one that began again."""
    pages, own, total, before = Pages(), dict.fromkeys((1, 2, 3), 0), 0, 0.0
    for worker, more, ends in steps:
        own[worker] += more
        total += more
        pages.update(worker, counted(own[worker]))
        if ends:
            pages.end(worker)
            own[worker] = 0
        now = samples(pages).get(("verdicts_total", ("a",)), 0.0)
        assert now == total and now >= before
        before = now


def test_it_reads_as_one_registry_would() -> None:
    """The page of one worker, merged, is the page that it would have served itself."""
    metrics = Metrics()
    metrics.count_verdict("refuse", "destination", "blocked:3")
    metrics.decision_seconds.observe(0.001)
    metrics.set_policy('quote " and \\ backslash')
    pages = Pages()
    pages.update(1, families(metrics.registry))

    class Merged(Collector):
        def collect(self) -> list[object]:
            return [exposed(family) for family in pages.merged()]

    registry = CollectorRegistry()
    registry.register(Merged())
    assert generate_latest(registry) == generate_latest(metrics.registry)
