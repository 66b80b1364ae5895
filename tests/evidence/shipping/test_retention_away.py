"""Retention reaches what has left this machine for the object store."""

from __future__ import annotations

from pathlib import Path

import pytest
from bucket import DAY, Bucket, Pass

from outbounds.evidence.archive.layout import all_segments
from outbounds.evidence.archive.reading import read_all
from outbounds.evidence.archive.seal import load_seal
from outbounds.evidence.keeper.task import Keeping
from outbounds.evidence.line import is_erased
from outbounds.evidence.retention.erasure import find
from outbounds.evidence.retention.passing import run
from outbounds.evidence.shipping.reach import reachable
from outbounds.settings.evidence import Evidence, Retention

DETAILS = 91 * DAY  # after which those of records without a verdict are due


def test_what_left_is_brought_back_changed_and_sent_anew(
        log: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outbounds.evidence.keeper.indexing.run", lambda _: None)
    store = bucket.settings(keep_local=DAY, lock=None)
    sealed = [each for each in all_segments(log) if each.sealed]
    end = max(load_seal(each.seal).end for each in sealed) / 1e6
    Pass(log, store)
    Pass(log, store, now=end + 2 * DAY)
    assert not list((log / "segments").glob("*.zst")), "all of it has left"
    with reachable(store):
        assert find(sealed[0], "account-7", []).details > 0

    settings = Evidence.model_construct(directory=log, socket=log.parent / "nobody.sock",
                                        retention=Retention(), store=store)
    keeping = Keeping(log, log.parent, settings, end + 40 * DAY + DETAILS, print)
    run(keeping)
    assert keeping.status["records"] == 0 and int(keeping.status["details"]) > 400
    assert keeping.status["waiting"] == 0
    gone = [each for each in read_all(log) if each.position < 1100]
    assert not any(each.detail for each in gone), "they are here, until they are sent anew"

    Pass(log, store, now=end + 40 * DAY + DETAILS)
    for segment in sealed:
        names = {name.rpartition("/")[2] for name in bucket.names()}
        assert segment.details(1).name in names and segment.details(0).name not in names
    with reachable(store):
        assert not any(is_erased(each.envelope) or each.detail
                       for each in read_all(log) if each.position < 1100)
