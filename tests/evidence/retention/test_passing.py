"""The keeper's task: verdicts, ages, tunnels over many segments, holds, faults; and what it says.

Days are counted from `BASE`; a pass on day 31 removes what was due before it began.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aged import DAY, RULES, Aged, Event, at, checked, left
from collecting import Collector, wait_for

from outbounds.evidence.archive.layout import all_segments
from outbounds.evidence.archive.reading import read_all
from outbounds.evidence.archive.seal import load_seal
from outbounds.evidence.cases.custody import Held
from outbounds.evidence.cases.desk import Desk
from outbounds.evidence.cases.store import Cases
from outbounds.evidence.keeper.task import KeeperFault, Keeping
from outbounds.evidence.line import fields, is_erased
from outbounds.evidence.privacy import load_key
from outbounds.evidence.retention import passing, rewriting
from outbounds.evidence.retention.passing import run
from outbounds.evidence.submit import recording
from outbounds.settings.evidence import Evidence


@pytest.fixture
def log(directory: Path) -> Aged:
    return Aged(directory)


class Passes:
    """Passes over the log of a service whose data are beside it."""

    def __init__(self, log: Aged) -> None:
        self.log = log
        self.data = log.directory.parent
        self.said: list[str] = []
        self.collectors: list[Collector] = []
        self.indexed: list[Keeping] = []
        self.settings = Evidence.model_construct(
            directory=log.directory, socket=self.data / "nobody.sock", retention=RULES, store=None)

    def on(self, day: float) -> dict[str, Any]:
        """The status of a pass at that time, with the collector running."""
        if not self.collectors:
            self.collectors.append(Collector(self.log.directory, self.settings.socket))
            wait_for(self.settings.socket.exists)
        keeping = Keeping(self.log.directory, self.data, self.settings, at(day) / 1e6,
                          self.said.append)
        run(keeping)
        checked(self.log.directory)
        return keeping.status

    def acts(self) -> list[dict[str, Any]]:
        return [found for each in read_all(self.log.directory) if not is_erased(each.envelope)
                and (found := fields(each.envelope))["event.action"] == "retention"]


@pytest.fixture
def passes(log: Aged, monkeypatch: pytest.MonkeyPatch) -> Iterator[Passes]:
    """Indexes are asked for, and not made: that takes a second each time."""
    made = Passes(log)
    monkeypatch.setattr("outbounds.evidence.keeper.indexing.run", made.indexed.append)
    yield made
    for collector in made.collectors:
        collector.kill()
        collector.end()


def test_by_verdict_and_age(log: Aged, passes: Passes) -> None:
    log.segment(*log.whole(Event("a", 0.5)), *log.whole(Event("p", 0.5, verdict="pace")),
                *log.whole(Event("r", 0.5, verdict="refuse")),
                *log.whole(Event("o", 0.5, verdict="")))
    log.seal()
    every = {f"{name} {kind}": "all" for name in "apro" for kind in ("start", "end")}
    assert left(log.directory) == every

    def expect(**changed: str) -> None:
        kinds = {f"{name} {kind}": has for name, has in changed.items()
                 for kind in ("start", "end")}
        gone = sum(has == "nothing" for has in kinds.values())
        assert left(log.directory) == {
            name: has for name, has in (every | kinds).items() if has != "nothing"} | (
                {"gone": str(gone)} if gone else {})

    passes.on(30.9)
    expect()
    assert passes.on(31)["details"] == 2
    expect(a="record")
    passes.on(31.7)
    passes.on(41)
    expect(a="record", p="record")
    passes.on(61)
    expect(a="record", p="nothing")
    assert passes.on(91)["details"] == 4
    expect(a="record", p="nothing", r="record", o="record")
    passes.on(181)
    expect(a="nothing", p="nothing", r="record", o="record")
    assert passes.on(731)["records"] == 4
    assert left(log.directory) == {"gone": "8"}
    report = checked(log.directory)
    assert (report.erased, report.erased_details) == (8, 0)
    assert len(passes.acts()) == 2 * 6, "each removal is on record, and nothing else is"
    assert len(passes.indexed) == 6


def test_it_is_on_record_before(log: Aged, passes: Passes,
                                monkeypatch: pytest.MonkeyPatch) -> None:
    log.segment(*log.whole(Event("a", 0)))
    log.seal()
    seen: list[list[dict[str, Any]]] = []

    def look(*words: Any) -> rewriting.Removed:
        seen.append(passes.acts())
        return rewriting.rewrite(*words)

    monkeypatch.setattr(passing, "rewrite", look)
    passes.on(40)
    [[before]] = seen
    assert before["event.type"] == "start"
    assert "0 records and 2 details of others, in 1 segments" in before["outbounds.scope"]
    assert (before["outbounds.count"], before["outbounds.operator"]) == (2, "the keeper")
    _, after = passes.acts()
    assert (after["event.outcome"], after["outbounds.count"]) == ("success", 2)


def test_once_a_day_and_only_what_may_have_something(log: Aged, passes: Passes,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    log.segment(*log.whole(Event("a", 0)))
    log.segment(*log.whole(Event("b", 100)))
    log.seal()
    looked: list[str] = []
    real = passing.plan
    monkeypatch.setattr(passing, "plan", lambda segment, *rest: (
        looked.append(segment.stem[-1]), real(segment, *rest))[1])

    def looks(day: float) -> list[str]:
        looked.clear()
        passes.on(day)
        return sorted(looked)

    assert looks(10) == []           # nothing is that old
    assert looks(31.2) == ["1"]
    assert looks(31.9) == []         # today was done
    assert looks(32) == []           # and the rest of it is not due before day 180
    assert looks(131) == ["3"]
    assert looks(180) == ["1"]
    assert looks(1000) == ["3"]      # of the other, nothing is left to look at
    (log.directory / "retention.json").write_bytes(b"{torn")
    assert looks(1000) == ["1", "3"]


@pytest.mark.parametrize("place", ["same", "next", "far"])
def test_a_tunnel_goes_as_one_when_it_was_over(log: Aged, passes: Passes, place: str) -> None:
    """Its opening may lie in another segment, days before."""
    tunnel = Event("t", 0)
    opening = [tunnel.start(log.encoder), tunnel.connected(log.encoder)]
    closing = [tunnel.end(log.encoder, 5)]
    if place == "same":
        log.segment(*opening, *log.whole(Event("b", 4)), *closing)
    else:
        log.segment(*opening)
        if place == "far":
            log.segment(*log.whole(Event("b", 3)))
            log.segment(*log.whole(Event("c", 4)))
        log.segment(*closing)
    log.seal()
    passes.on(34)
    assert {left(log.directory)[f"t {kind}"] for kind in ("start", "end")} == {"all"}
    passes.on(35)
    assert {left(log.directory)[f"t {kind}"] for kind in ("start", "end")} == {"record"}
    passes.on(184)
    assert "t start" in left(log.directory)
    passes.on(185)
    assert not {"t start", "t connection", "t end"} & set(left(log.directory))


def test_what_was_never_seen_to_end_is_kept_a_month_longer(log: Aged, passes: Passes) -> None:
    """Such as a tunnel that is still open, or was open for more than a week."""
    log.segment(Event("t", 0).start(log.encoder))
    log.segment(*log.whole(Event("b", 20)))
    log.seal()
    passes.on(60)
    assert left(log.directory)["t start"] == "all"
    passes.on(61)
    assert left(log.directory)["t start"] == "record"


def test_a_closing_by_the_collector_is_kept_the_longest(log: Aged, passes: Passes) -> None:
    one = Event("t", 0)
    log.segment(one.start(log.encoder), one.orphaned(1))
    log.seal()
    passes.on(400)
    assert left(log.directory) == {"t end": "record", "gone": "1"}
    passes.on(731)
    assert left(log.directory) == {"gone": "2"}


def test_a_hold_keeps_until_it_is_released(log: Aged, passes: Passes) -> None:
    log.segment(*log.whole(Event("a", 0)), *log.whole(Event("b", 0, account="account-2")),
                *log.whole(Event("c", 0, account="account-2")), *log.whole(Event("d", 0)))
    log.seal()
    cases = Cases(passes.data / "evidence" / "cases")
    with recording(log.directory, passes.settings.socket, load_key(passes.data)) as recorder:
        desk = Desk(cases, recorder, "kim")
        case = desk.open_case("complaint").id
        whole = desk.hold(case, Held(account="account-1", reason="r"))
        some = desk.hold(case, Held(events=(Event("b", 0).id,), reason="r"))
    assert passes.on(200)["held"] == 6
    assert left(log.directory) == {f"{name} {kind}": "all" for name in "abd"
                                   for kind in ("start", "end")} | {"gone": "2"}
    with recording(log.directory, passes.settings.socket, load_key(passes.data)) as recorder:
        Desk(cases, recorder, "kim").release(case, whole, "over")
    passes.on(200)
    assert left(log.directory) == {"b start": "all", "b end": "all", "gone": "6"}
    with recording(log.directory, passes.settings.socket, load_key(passes.data)) as recorder:
        Desk(cases, recorder, "kim").release(case, some, "over")
    passes.on(200)
    assert left(log.directory) == {"gone": "8"}


def test_a_hold_that_is_placed_meanwhile_is_seen(log: Aged, passes: Passes,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        log.segment(*log.whole(Event(name, 0)))
    log.seal()
    cases = Cases(passes.data / "evidence" / "cases")
    real = passing.rewrite

    def rewrite(*words: Any) -> Any:
        if not cases.ids():
            with recording(log.directory, socket, load_key(passes.data)) as recorder:
                desk = Desk(cases, recorder, "kim")
                desk.hold(desk.open_case("late").id, Held(account="account-1", reason="r"))
        return real(*words)

    monkeypatch.setattr(passing, "rewrite", rewrite)
    socket = passes.settings.socket
    assert passes.on(31)["waiting"] == 1
    assert [left(log.directory)[f"{name} start"] for name in "ab"] == ["record", "all"]
    assert passes.on(31)["held"] == 2


def test_a_case_that_cannot_be_read_stops_it(log: Aged, passes: Passes) -> None:
    log.segment(*log.whole(Event("a", 0)))
    log.seal()
    (passes.data / "evidence" / "cases" / "C-1").mkdir(parents=True)
    (passes.data / "evidence" / "cases" / "C-1" / "custody.jsonl").write_text("{}\n")
    with pytest.raises(KeeperFault, match="nothing is removed while a hold may be in it"):
        passes.on(1000)
    assert left(log.directory) == {"a start": "all", "a end": "all"}


def test_what_cannot_be_put_on_record_is_not_done(log: Aged, passes: Passes) -> None:
    log.segment(*log.whole(Event("a", 0)))
    log.seal()
    passes.settings.socket.write_bytes(b"no socket, and no key for a collector of its own")
    (log.directory / "log" / "keys").rename(passes.data / "keys")
    with pytest.raises(KeeperFault, match="nothing is removed that cannot be put on record"):
        run(Keeping(log.directory, passes.data, passes.settings, at(1000) / 1e6, print))
    (passes.data / "keys").rename(log.directory / "log" / "keys")
    assert left(log.directory) == {"a start": "all", "a end": "all"}


def test_a_damaged_segment_does_not_keep_the_others(log: Aged, passes: Passes) -> None:
    for name in "ab":
        log.segment(*log.whole(Event(name, 0)))
    first, _ = log.seal()
    good = first.details(0).read_bytes()
    first.details(0).write_bytes(good[:-1])
    keeping = Keeping(log.directory, passes.data, passes.settings, at(31) / 1e6, print)
    with pytest.raises(KeeperFault, match=r"000001\.seal: .*frame 0.*nothing was removed from it"):
        run(keeping)
    assert keeping.status["details"] == 2
    first.details(0).write_bytes(good)
    assert passes.on(31)["details"] == 2, "it is tried again in the next pass"


def test_a_pass_is_bounded_and_the_next_goes_on(log: Aged, passes: Passes,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        log.segment(*log.whole(Event(name, 0)))
    log.seal()
    monkeypatch.setattr(passing, "MOST", 3)
    assert passes.on(31)["waiting"] == 1
    assert [left(log.directory)[f"{name} start"] for name in "abc"] == ["record", "record", "all"]
    status = passes.on(31.01)
    assert (status["waiting"], status["details"]) == (0, 2)


def test_shorter_rules_count_at_once(log: Aged, passes: Passes) -> None:
    log.segment(*log.whole(Event("a", 0)))
    log.seal()
    passes.on(31)
    passes.settings = passes.settings.model_copy(update={"retention": RULES.model_copy(
        update={"allow": RULES.allow.model_copy(update={"records": 31 * 86_400.0})})})
    assert passes.on(31.1)["records"] == 2


def test_without_a_configuration_it_only_cleans_up(log: Aged, passes: Passes) -> None:
    log.segment(*log.whole(Event("a", 0)))
    [segment] = log.seal()
    (segment.folder / f"{segment.stem}.details.7.zst").write_bytes(b"left by a crash")
    run(Keeping(log.directory, passes.data, None, time.time(), print))
    assert not (segment.folder / f"{segment.stem}.details.7.zst").exists()
    assert load_seal(segment.seal).generation == 0 and len(all_segments(log.directory)) == 2
    assert at(1) - at(0) == DAY
