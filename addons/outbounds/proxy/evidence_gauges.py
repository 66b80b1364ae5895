"""The log as operators see it: gauges of what the collector last said.

The collector and the keeper serve no metrics of their own; the collector passes on what the keeper
did (`evidence.state`). Moments are Unix seconds, as Prometheus wants them, so that an age goes on
growing while nothing is heard: `time() - outbounds_evidence_checkpoint_timestamp_seconds`.
"""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Gauge

from ..evidence.state import State

_NOT_COUNTED = frozenset({"at", "ok", "fault", "good", "said"})


class EvidenceGauges:
    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(f"outbounds_evidence_{name}", text, labels, registry=registry)

        self.up = gauge("up", "1 while the collector is reachable and takes records.")
        self._free = gauge("disk_free_bytes", "Free on the disk of the evidence log.")
        self._reserve = gauge("reserve_bytes", "With less than this free nothing new begins.")
        self._full = gauge("full", "1 while nothing new begins because the disk is nearly full.")
        self._records = gauge("records", "Records in the log.")
        self._unsigned = gauge("unsigned_records", "Records that no checkpoint covers yet.")
        self._checkpoint = gauge("checkpoint_timestamp_seconds",
                                 "When the newest checkpoint was signed; every second it is.")
        self._task_good = gauge("task_timestamp_seconds",
                                "When a task of the keeper last ran without a fault.", ("task",))
        self._task_failed = gauge("task_failed", "1 while a task of the keeper has a fault, which "
                                  "`outbounds evidence status` shows.", ("task",))
        self._task = gauge("task", "What a task of the keeper counted when it last ran, such as "
                           "segments that wait to be sealed or shipped.", ("task", "what"))
        self._kept: Mapping[str, Mapping[str, object]] = {}

    def show(self, state: State) -> None:
        self._free.set(state.free)
        self._reserve.set(state.reserve)
        self._full.set(bool(state.full))
        self._records.set(state.size)
        self._unsigned.set(state.size - state.signed)
        self._checkpoint.set(state.at)
        if state.kept != self._kept:
            self._kept = state.kept
            for task, said in state.kept.items():
                self._show_task(task, said)

    def _show_task(self, task: str, said: Mapping[str, object]) -> None:
        self._task_failed.labels(task).set(not said.get("ok"))
        for name, value in said.items():
            if isinstance(value, (int, float)):
                if name == "good":
                    self._task_good.labels(task).set(value)
                elif name not in _NOT_COUNTED:
                    self._task.labels(task, name).set(value)
