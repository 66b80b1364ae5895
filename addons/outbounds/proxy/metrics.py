"""What the proxy counts, in Prometheus form.

One registry per process; `metrics_page` serves it, `workers.page` adds up those of several
workers. Label values come from configuration and from code, never from traffic, so that nobody
outside can make the number of series grow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

from ..core.site_claims import State
from ..resolver import Outcome
from .evidence_gauges import EvidenceGauges

MICRO = (5e-6, 1e-5, 2e-5, 4e-5, 8e-5, 1.6e-4, 3.2e-4, 1e-3, 5e-3, 2e-2, 0.1, 1.0, 10.0)
MILLI = (2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.5, 2.0)

# a second series for each counter, which nobody reads
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.verdicts = Counter(
            "outbounds_verdicts", "Decisions, by result, control and rule.",
            ("result", "control", "rule"), registry=registry)
        self.decision_seconds = Histogram(
            "outbounds_decision_seconds", "From request head to verdict, look-ups included.",
            buckets=MICRO, registry=registry)
        self.evidence_ack_seconds = Histogram(
            "outbounds_evidence_ack_seconds",
            "From handing an opening record over to its being safe on disk.",
            buckets=MILLI, registry=registry)
        self.evidence_failures = Counter(
            "outbounds_evidence_failures", "Opening records that were not acknowledged.",
            registry=registry)
        self.evidence = EvidenceGauges(registry)
        unrecorded = Counter(
            "outbounds_evidence_unrecorded",
            "Requests without a record: let through (fail: open), or refused. A record of the gap "
            "says how many, once there is room.", ("fate",), registry=registry)
        self.unrecorded = {True: unrecorded.labels("out"), False: unrecorded.labels("refused")}
        self.faults = Counter(
            "outbounds_faults", "Exceptions inside the proxy's own code, by place; all refused.",
            ("place",), registry=registry)
        self.malformed = Counter(
            "outbounds_malformed", "Requests that could not be read as one request.",
            registry=registry)
        self.tls_failures = Counter(
            "outbounds_tls_failures", "TLS handshakes that failed, by side.", ("side",),
            registry=registry)
        self.slow_clients = Counter(
            "outbounds_slow_clients", "Clients that were too slow or too many, by what was ended.",
            ("why",), registry=registry)
        self.upstream_errors = Counter(
            "outbounds_upstream_errors", "Failures between the proxy and targets, by kind.",
            ("kind",), registry=registry)
        self.dial_refusals = Counter(
            "outbounds_dial_refusals", "Connections refused at the dial itself, by rule.",
            ("rule",), registry=registry)
        self.route_fields_stripped = Counter(
            "outbounds_route_fields_stripped", "Requests that carried a forged route.",
            registry=registry)
        self.bytes = Counter(
            "outbounds_bytes", "Octets of bodies and tunnels, by direction.", ("direction",),
            registry=registry)
        self.bytes_up, self.bytes_down = self.bytes.labels("up"), self.bytes.labels("down")
        self.clients = Gauge(
            "outbounds_client_connections", "Client connections that are open.", registry=registry)
        self.tunnels = Gauge("outbounds_tunnels", "Tunnels that are open.", registry=registry)
        self.dns_lookups = Counter(
            "outbounds_dns_lookups", "Answers about names, by outcome; cached took no look-up.",
            ("outcome",), registry=registry)
        self._dns = {outcome: self.dns_lookups.labels(outcome) for outcome in Outcome}
        self.engine_failures = Counter(
            "outbounds_robots_engine_failures",
            "Judgements that reppy, as the engine of robots.txt, did not make, by why.",
            ("why",), registry=registry)
        self.store_up = Gauge(
            "outbounds_limit_store_up",
            "1 while the server that keeps the limits answers, 0 while each limit's when_away "
            "holds; 0 too where no server is configured.", registry=registry)
        self.store_decisions = Counter(
            "outbounds_limit_store_decisions",
            "Decisions on limits where a server keeps them: by it (server), or here because it was "
            "late, away or at fault.", ("way",), registry=registry)
        self.waiting = Gauge(
            "outbounds_waiting_requests", "Requests that are held until it is their turn.",
            registry=registry)
        self.paced_seconds = Histogram(
            "outbounds_paced_seconds", "How long requests were held that were let through then.",
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30), registry=registry)
        self.targets_spared = Counter(
            "outbounds_targets_spared", "What the state of targets has led to, by event.",
            ("event",), registry=registry)
        self.cache_entries = Gauge(
            "outbounds_cache_entries", "Entries held, by cache.", ("cache",), registry=registry)
        self.policy_info = Gauge(
            "outbounds_policy_info", "1 for the policy in force.", ("version",), registry=registry)
        self.reload_failed = Gauge(
            "outbounds_policy_reload_failed",
            "1 while the files under config/ are broken and the last good policy is in force.",
            registry=registry)
        self.reloads = Counter(
            "outbounds_policy_reloads", "Reloads of the policy, by result.", ("result",),
            registry=registry)
        self._closed = Gauge(
            "outbounds_closed_targets", "Targets that an operator has closed.", registry=registry)
        self._closed_unreadable = Gauge(
            "outbounds_closed_targets_unreadable",
            "1 while closed.json cannot be read and what was read before is in force.",
            registry=registry)
        self._owned = Gauge(
            "outbounds_owned_sites", "Sites that accounts claim to own, by state of the proof.",
            ("state",), registry=registry)
        self._owned_unreadable = Gauge(
            "outbounds_owned_sites_unreadable",
            "1 while sites.json cannot be read and what was read before is in force.",
            registry=registry)
        self.robots_fetches = Counter(
            "outbounds_robots_fetches", "Fetches of robots.txt files, by outcome.", ("outcome",),
            registry=registry)
        self.list_entries = Gauge(
            "outbounds_list_entries", "Entries of a compiled list.", ("list",), registry=registry)
        self.list_age = Gauge(
            "outbounds_list_age_seconds", "Since a compiled list was last known to be current.",
            ("list",), registry=registry)
        self.list_error = Gauge(
            "outbounds_list_error",
            "1 while the newest copy of a list cannot be used and an older one is in force.",
            ("list",), registry=registry)
        self.list_stale = Gauge(
            "outbounds_list_stale", "1 while a list is older than its max_age.", ("list",),
            registry=registry)
        self.policy_waiting = Gauge(
            "outbounds_policy_waiting",
            "1 while a changed configuration waits for one of its lists to be built.",
            registry=registry)
        self.list_swaps = Counter(
            "outbounds_list_swaps", "Changes of the compiled lists in force, by result.",
            ("result",), registry=registry)
        self.list_builds = Counter(
            "outbounds_list_builds", "Runs of the list build, by result.", ("result",),
            registry=registry)
        self.list_build_seconds = Gauge(
            "outbounds_list_build_seconds", "What the last list build took.", registry=registry)
        self._verdict_children: dict[tuple[str, str, str], Any] = {}

    def count_verdict(self, result: str, control: str, rule: str) -> None:
        """Count a verdict. `port/25` and `blocked:12` count as `port` and `blocked`: requests
        choose the number, and may not choose how many series there are."""
        key = (result, control, rule.partition("/")[0].partition(":")[0])
        child = self._verdict_children.get(key)
        if child is None:
            child = self._verdict_children[key] = self.verdicts.labels(*key)
        child.inc()

    def closed_targets(self, number: int, unreadable: bool) -> None:
        self._closed.set(number)
        self._closed_unreadable.set(unreadable)

    def owned_sites(self, states: Mapping[State, int], unreadable: bool) -> None:
        for state in State:
            self._owned.labels(state.value).set(states.get(state, 0))
        self._owned_unreadable.set(unreadable)

    def list_state(self, name: str, entries: int, age: float, error: bool) -> None:
        self.list_entries.labels(name).set(entries)
        self.list_age.labels(name).set(age)
        self.list_error.labels(name).set(error)

    def count_target(self, event: str) -> None:
        self.targets_spared.labels(event).inc()

    def count_dns(self, outcome: Outcome) -> None:
        self._dns[outcome].inc()

    def count_engine(self, why: str) -> None:
        self.engine_failures.labels(why).inc()

    def count_robots_fetch(self, outcome: str) -> None:
        self.robots_fetches.labels(outcome).inc()

    def set_policy(self, version: str) -> None:
        self.policy_info.clear()
        self.policy_info.labels(version).set(1)

    def watch_cache(self, name: str, size: Callable[[], int]) -> None:
        """`size` is asked when the page is read."""
        self.cache_entries.labels(name).set_function(size)
