"""What the collector says becomes gauges, and a warning once."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from outbounds.evidence.client import EvidenceClient
from outbounds.evidence.state import State
from outbounds.proxy.evidence_watch import EvidenceWatch
from outbounds.proxy.metrics import Metrics


async def test_gauges_and_the_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    client, metrics = EvidenceClient(tmp_path / "socket", "s1"), Metrics()
    watch = EvidenceWatch(client, metrics, warn=1000)

    def shown(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"outbounds_evidence_{name}", labels)

    with caplog.at_level(logging.WARNING, "outbounds"):
        for free in (2000, 900, 800, 1000):
            client.state = State("", free, 64, 10, 7, 123.5, {
                "seal": {"at": 5.0, "ok": True, "fault": "", "good": 5.0, "unsealed": 2},
                "ship": {"at": 6.0, "ok": False, "fault": "no answer", "good": 4.0, "said": 6.0}})
            watch.news()
            watch.news()
            assert shown("disk_free_bytes") == free
    assert [each.getMessage().partition(" bytes")[0] for each in caplog.records] == ["900", "1000"]
    assert (shown("full"), shown("reserve_bytes"), shown("records")) == (0, 64, 10)
    assert (shown("unsigned_records"), shown("checkpoint_timestamp_seconds")) == (3, 123.5)
    assert (shown("task_timestamp_seconds", task="seal"), shown("task_failed", task="seal")) == (
        5, 0)
    assert (shown("task_timestamp_seconds", task="ship"), shown("task_failed", task="ship")) == (
        4, 1)
    assert shown("task", task="seal", what="unsealed") == 2
    assert shown("task", task="ship", what="said") is None
    client.state = State("too little is left", 10, 64, 10, 10, 124.5, {})
    watch.news()
    assert shown("full") == 1
