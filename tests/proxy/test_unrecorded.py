"""Requests without a record: counted, put on record as a gap, and never counted twice."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import pytest

from outbounds.evidence.client import EvidenceUnavailable
from outbounds.evidence.gap import Gap, left_behind
from outbounds.proxy.metrics import Metrics
from outbounds.proxy.unrecorded import Unrecorded


class Log:
    """What takes the records of gaps, or does not."""

    def __init__(self) -> None:
        self.told: list[Gap] = []
        self.works = True
        self.waits = asyncio.Event()
        self.waits.set()

    async def tell(self, gap: Gap) -> str:
        await self.waits.wait()
        if not self.works:
            raise EvidenceUnavailable("still nothing")
        self.told.append(gap)
        return "id-1"


async def settle(one: Unrecorded) -> None:
    one.recovered()
    await asyncio.sleep(0)
    while one._telling is not None and not one._telling.done():
        await asyncio.wait([one._telling])


def counts(metrics: Metrics) -> tuple[float, float]:
    def value(fate: str) -> float:
        found = metrics.registry.get_sample_value("outbounds_evidence_unrecorded_total",
                                                  {"fate": fate})
        assert found is not None
        return found
    return value("out"), value("refused")


async def test_one_record_a_gap(caplog: pytest.LogCaptureFixture) -> None:
    log, metrics = Log(), Metrics()
    one = Unrecorded(metrics, log.tell, opens=True)
    with caplog.at_level(logging.WARNING, "outbounds"):
        await settle(one)
        assert log.told == []
        for out in (True, True, False):
            one.note("disk full", out=out)
        await settle(one)
        await settle(one)
    [gap] = log.told
    assert (gap.out, gap.refused, gap.why) == (2, 1, "disk full") and gap.begin < gap.end
    assert counts(metrics) == (2, 1)
    begin, end = (each.getMessage() for each in caplog.records)
    assert "go out UNRECORDED from now on" in begin and "disk full" in begin
    assert "2 went out unrecorded and 1 were refused unrecorded" in end and "id-1" in end


async def test_a_gap_that_cannot_be_put_on_record_goes_on() -> None:
    log = Log()
    one = Unrecorded(Metrics(), log.tell, opens=True)
    one.note("first", out=True)
    log.works = False
    log.waits.clear()
    one.recovered()
    await asyncio.sleep(0)
    one.note("second", out=True)  # while the record waits
    log.waits.set()
    await settle(one)
    assert log.told == []
    log.works = True
    await settle(one)
    [gap] = log.told
    assert (gap.out, gap.why) == (2, "first")


async def test_what_is_not_on_record_at_the_end_is_left_to_the_next(tmp_path: Path) -> None:
    log = Log()
    one = Unrecorded(Metrics(), log.tell, opens=True, folder=tmp_path, session="s1")
    one.note("full", out=True)
    log.waits.clear()
    one.recovered()
    await asyncio.sleep(0)
    await one.aclose()  # within the telling
    other = Unrecorded(Metrics(), log.tell, opens=True, folder=tmp_path, session="s2")
    log.waits.set()
    await settle(other)
    [gap] = log.told
    assert (gap.out, gap.cut_short) == (1, True)
    await other.aclose()
    assert not os.listdir(tmp_path) and left_behind(tmp_path) == []


async def test_a_folder_that_cannot_be_written_is_said(
        tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "gaps").write_text("a file")
    with caplog.at_level(logging.WARNING, "outbounds"):
        one = Unrecorded(Metrics(), Log().tell, opens=True, folder=tmp_path / "gaps", session="s")
    assert "will not be known after a crash" in caplog.text
    one.note("full", out=True)
    await one.aclose()
