"""What all workers have counted, as one page.

Counters and histograms are added up. What a worker had counted when it ended stays in the sums: a
counter that fell would look to Prometheus like one that started again, and `rate()` would count
everything twice. Of a gauge, `ADDED` says where the sum means something; of the others the page
shows the worst, which for nearly all is the greatest: a list that one worker could not open is an
alarm, however good it is elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

_CUMULATIVE = frozenset({"counter", "histogram"})

ADDED = frozenset({"outbounds_client_connections", "outbounds_tunnels", "outbounds_cache_entries",
                   "outbounds_waiting_requests"})
LEAST = frozenset({"outbounds_evidence_up", "outbounds_limit_store_up",
                   "outbounds_evidence_disk_free_bytes",
                   "outbounds_evidence_checkpoint_timestamp_seconds",
                   "outbounds_evidence_task_timestamp_seconds"})

Labels = tuple[tuple[str, str], ...]


class Family(msgspec.Struct, frozen=True, array_like=True):
    """One metric: `samples` are (name, labels, value), in the order of the page."""

    name: str
    text: str
    kind: str
    samples: list[tuple[str, Labels, float]]


def families(registry: CollectorRegistry) -> list[Family]:
    """What a process counts, as it can be sent."""
    return [Family(metric.name, metric.documentation, metric.type,
                   [(each.name, tuple(each.labels.items()), each.value)
                    for each in metric.samples])
            for metric in registry.collect()]


class Pages:
    """The last page of each worker, and what remains of those that ended."""

    def __init__(self) -> None:
        self._living: dict[int, list[Family]] = {}
        self._ended: list[Family] = []

    def update(self, worker: int, page: list[Family]) -> None:
        self._living[worker] = page

    def end(self, worker: int) -> None:
        """The worker is gone: its counts stay, its gauges go."""
        counts = [each for each in self._living.pop(worker, []) if each.kind in _CUMULATIVE]
        self._ended = list(_merged([self._ended, counts]))

    def merged(self) -> Iterator[Family]:
        return _merged([self._ended, *self._living.values()])


def _merged(pages: Iterable[list[Family]]) -> Iterator[Family]:
    known: dict[str, tuple[Family, dict[tuple[str, Labels], float]]] = {}
    for page in pages:
        for family in page:
            _, sums = known.setdefault(family.name, (family, {}))
            for name, labels, value in family.samples:
                at = (name, labels)
                sums[at] = _joined(family, sums[at], value) if at in sums else value
    for family, sums in known.values():
        yield Family(family.name, family.text, family.kind,
                     [(name, labels, value) for (name, labels), value in sums.items()])


def _joined(family: Family, one: float, other: float) -> float:
    if family.kind in _CUMULATIVE or family.name in ADDED:
        return one + other
    return min(one, other) if family.name in LEAST else max(one, other)


def exposed(family: Family) -> Metric:
    """As prometheus_client writes it."""
    metric = Metric(family.name, family.text, family.kind)
    for name, labels, value in family.samples:
        metric.add_sample(name, dict(labels), value)
    return metric
