"""Target health: what a request to a host is charged, and what is learnt from how it went."""

from __future__ import annotations

import pytest

from outbounds.core.destination import parse_host
from outbounds.core.limits import Charge, Exceeded, Over, Taken, Unit
from outbounds.core.rules import AdaptiveTerms
from outbounds.proxy import retry_after
from outbounds.proxy.target_health import CEILING, PAUSE, TargetHealth
from outbounds.stores.memory import MemoryStore

HOST, OTHER = parse_host("www.example.com"), parse_host("other.example")
TERMS = AdaptiveTerms(start=3, least=1, max_wait=5.0, most_pause=60.0, clause="P-targets")


class World:
    """Any number of processes on one store, and their clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.terms: AdaptiveTerms | None = TERMS
        self.words: list[str] = []
        self.store = MemoryStore(clock=self.clock)

    def clock(self) -> float:
        return self.now

    def process(self, *, shared: bool = False, max_hosts: int = 100) -> TargetHealth:
        return TargetHealth(self.store, lambda: self.terms, self.clock, shared=shared,
                            wall=lambda: 784111777.0 + self.now - 1000.0,
                            count=self.words.append, max_hosts=max_hosts)

    def ask(self, process: TargetHealth, tunnel: bool = False) -> Taken | Exceeded:
        outcome = self.store.take_now(process.charges(HOST, tunnel))
        if isinstance(outcome, Exceeded):
            process.over(outcome)
        return outcome


def ids(charges: tuple[Charge, ...]) -> list[str]:
    return [charge.limit.id for charge in charges]


def test_nothing_is_charged_where_targets_are_not_watched() -> None:
    world = World()
    world.terms = None
    process = world.process()
    assert process.charges(HOST, False) == ()
    process.finished(HOST, process.started(HOST), status=503, retry_after="60")
    process.dialled(HOST, failed=True)
    assert len(process) == 0 and process.states() == ()


def test_the_ceiling_is_a_limit_over_all_accounts() -> None:
    world = World()
    process = world.process()
    (charge,) = process.charges(HOST, False)
    limit = charge.limit
    assert (limit.id, limit.unit, limit.count, limit.over, limit.max_wait, limit.clause) == (
        CEILING, Unit.CONCURRENT, 3, Over.PACE, 5.0, "P-targets")
    assert charge.key == "www.example.com"
    assert process.charges(HOST, False)[0] is charge  # made once
    assert process.charges(HOST, True) == ()
    assert [type(world.ask(process)) for _ in range(4)] == [Taken] * 3 + [Exceeded]


@pytest.mark.parametrize("tunnel", [False, True])
def test_a_pause_holds_everybody_up_and_ends(tunnel: bool) -> None:
    world = World()
    process = world.process()
    process.finished(HOST, process.started(HOST), status=503, retry_after="4")
    assert world.words == ["pause"]
    outcome = world.ask(process, tunnel)
    assert isinstance(outcome, Exceeded)
    assert outcome.limit.id == PAUSE and outcome.paceable
    assert outcome.retry_after == pytest.approx(4.0)
    assert isinstance(world.store.take_now(process.charges(OTHER, tunnel)), Taken)
    world.now += outcome.retry_after
    assert isinstance(world.ask(process, tunnel), Taken)
    assert PAUSE not in ids(process.charges(HOST, False))


def test_a_long_pause_is_not_waited_for() -> None:
    world = World()
    process = world.process()
    process.finished(HOST, process.started(HOST), status=429, retry_after="3600")
    outcome = world.ask(process)
    assert isinstance(outcome, Exceeded) and not outcome.paceable
    assert outcome.retry_after == pytest.approx(60.0)  # most_pause


def test_a_pause_may_be_lengthened_by_what_was_under_way() -> None:
    world = World()
    process = world.process()
    first, second = process.started(HOST), process.started(HOST)
    process.finished(HOST, first, status=503, retry_after="4")
    process.finished(HOST, second, status=503, retry_after="30")
    outcome = world.ask(process)
    assert isinstance(outcome, Exceeded) and outcome.retry_after == pytest.approx(30.0)


def test_another_process_learns_of_a_pause_and_begins_with_probes_too() -> None:
    world = World()
    one, other = world.process(shared=True), world.process(shared=True)
    assert ids(other.charges(HOST, False)) == [PAUSE, CEILING]
    one.finished(HOST, one.started(HOST), status=503, retry_after="4")
    outcome = world.ask(other)
    assert isinstance(outcome, Exceeded) and outcome.limit.id == PAUSE
    (state,) = other.states()
    assert (state.host, state.ceiling, state.before) == ("www.example.com", 1, 3)
    assert state.paused == pytest.approx(4.0) and "another process" in state.why
    world.now += 4.0
    assert other.charges(HOST, False)[1].limit.count == 1


def test_tunnels_show_a_target_that_is_down_and_one_that_is_not() -> None:
    world = World()
    process = world.process()
    for number in range(200):
        process.dialled(HOST, failed=number % 20 == 0)
    assert world.words == []
    for _ in range(100):
        world.now += 1.0
        process.dial_failed(HOST)
    assert "pause" in world.words
    assert process.states()[0].paused > 0


def test_what_is_spared_can_be_seen_with_the_reason() -> None:
    world = World()
    process = world.process()
    began = process.started(HOST)
    process.started(OTHER)
    assert process.states() == ()
    process.finished(HOST, began, status=429, retry_after="9")
    (state,) = process.states()
    assert (state.host, state.under_way, state.ceiling) == ("www.example.com", 0, 1)
    assert "429" in state.why


def test_new_terms_hold_from_the_next_request() -> None:
    world = World()
    process = world.process()
    process.charges(HOST, False)
    world.terms = AdaptiveTerms(start=3, least=1, most=2, max_wait=1.0, clause="P-new")
    (charge,) = process.charges(HOST, False)
    assert (charge.limit.count, charge.limit.max_wait, charge.limit.clause) == (2, 1.0, "P-new")


def test_memory_is_bounded_and_what_matters_is_kept() -> None:
    world = World()
    process = world.process(max_hosts=50)
    process.finished(HOST, process.started(HOST), status=503, retry_after="60")
    process.started(OTHER)
    for number in range(5000):
        process.charges(parse_host(f"host{number}.example"), False)
    assert len(process) <= 52
    assert ids(process.charges(HOST, False)) == [PAUSE, CEILING]
    process.finished(OTHER, world.now, status=200, latency=0.1)


# --- Retry-After: RFC 9110 section 10.2.3, dates of section 5.6.7 ---------------------------------

NOW = 784111777.0 - 30.0  # half a minute before the date of the examples there

FIELDS: dict[str, float | None] = {
    "120": 120.0, " 0 ": 0.0, "9" * 400: 1e9,
    "Sun, 06 Nov 1994 08:49:37 GMT": 30.0,  # IMF-fixdate
    "Sunday, 06-Nov-94 08:49:37 GMT": 30.0,  # RFC 850
    "Sun Nov  6 08:49:37 1994": 30.0,  # asctime
    "Sun, 06 Nov 1994 08:48:37 GMT": 0.0,  # has passed
    "": None, "soon": None, "-5": None, "1.5": None, "٣": None, "1e3": None,
    "Sun, 99 Foo 1994 08:49:37 GMT": None, "Sun, 06 Nov 999999999 08:49:37 GMT": None,
}


@pytest.mark.parametrize("field", FIELDS, ids=range(len(FIELDS)))
def test_retry_after(field: str) -> None:
    assert retry_after.seconds(field, NOW) == FIELDS[field]


def test_a_date_is_a_pause_like_seconds() -> None:
    world = World()
    process = world.process()
    process.finished(HOST, process.started(HOST), status=503,
                     retry_after="Sun, 06 Nov 1994 08:49:57 GMT")
    assert process.states()[0].paused == pytest.approx(20.0)
