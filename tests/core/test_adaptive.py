"""The adaptive ceiling: tables of what is seen and what follows, noise it must bear, and whole
targets in simulation (the benchmark's model; there longer, with more of them)."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from outbounds.core.adaptive import DISREGARD, STUBBORN, Health
from outbounds.core.latency import BATCH, Latency
from outbounds.core.rules import AdaptiveTerms

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from benchmarks.target_model import Outcome, Target, simulate

TERMS = AdaptiveTerms(start=20, least=1, most=1000, most_pause=300.0)


class Driven:
    """A target that is always asked for as much as it is let."""

    def __init__(self, terms: AdaptiveTerms = TERMS, now: float = 1000.0) -> None:
        self.health = Health(terms)
        self.now = now
        self.words: list[str] = []
        self.began: list[float] = []

    def fill(self) -> None:
        while len(self.began) < self.health.places and not self.health.paused(self.now):
            self.health.started(self.now)
            self.began.append(self.now)

    def replies(self, count: int, status: int = 200, *, latency: float | None = 0.1,
                failed: bool = False, retry_after: float | None = None) -> Driven:
        for _ in range(count):
            self.fill()
            if not self.began:
                raise AssertionError("nobody may ask")
            self.now += 0.1 / len(self.began)
            word = self.health.finished(
                self.now, self.began.pop(0), status=status, failed=failed,
                retry_after=retry_after, latency=latency if status == 200 else None)
            self.words += [word] if word else []
        return self

    def wait(self, seconds: float) -> Driven:
        self.now += seconds
        return self


def test_grows_by_one_a_round_while_it_is_used() -> None:
    driven = Driven().replies(3 * BATCH)
    assert 22 <= driven.health.places <= 23 and driven.words == []


def test_does_not_grow_while_it_is_not_used() -> None:
    health = Health(TERMS)
    for number in range(500):
        health.started(float(number))
        health.finished(number + 0.1, float(number), status=200, latency=0.1)
    assert health.places == 20 and not health.reduced


def test_grows_where_another_process_takes_the_places() -> None:
    health = Health(TERMS)
    for number in range(3 * BATCH):
        health.started(float(number) / 100)
        health.pressed()
        health.finished(number / 100 + 0.1, float(number) / 100, status=200, latency=0.1)
    assert health.places > 20


def test_never_beyond_its_bounds() -> None:
    driven = Driven(AdaptiveTerms(start=3, least=2, most=4)).replies(20 * BATCH)
    assert driven.health.places == 4
    for _ in range(50):
        driven.replies(1, 503).wait(driven.health.paused(driven.now))
    assert driven.health.places == 2


@pytest.mark.parametrize(("status", "failed"), [(503, False), (429, False), (0, True)],
                         ids=["503", "429", "no connection"])
def test_one_cut_for_one_burst(status: int, failed: bool) -> None:
    """Twenty are under way when all goes wrong: the ceiling is cut once, not twenty times."""
    driven = Driven().replies(2 * BATCH)
    before = driven.health.places
    driven.fill()
    burst = list(driven.began)
    driven.began.clear()
    for began in burst:
        driven.now += 0.3 / len(burst)
        driven.health.finished(driven.now, began, failed=failed, status=status)
    assert before / 2 - 1 <= driven.health.places <= before * 0.75
    assert driven.health.reduced and driven.health.why


@pytest.mark.parametrize(("asked", "pause"), [(7.0, 7.0), (1e6, 300.0), (0.5, 0.5)])
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_a_pause_for_everybody(status: int, asked: float, pause: float) -> None:
    driven = Driven().replies(BATCH).replies(1, status, retry_after=asked)
    assert driven.words == ["pause"]
    assert driven.health.paused(driven.now) == pytest.approx(pause)
    assert driven.health.places == 1


def test_retry_after_on_any_other_status_is_no_distress() -> None:
    driven = Driven().replies(BATCH)
    for status in (301, 404, 500):
        driven.replies(5, status, retry_after=60.0)
    assert driven.words == [] and not driven.health.paused(driven.now)


def test_what_was_under_way_may_lengthen_a_pause_and_nothing_else() -> None:
    driven = Driven().replies(BATCH)
    driven.fill()
    driven.replies(1, 503, retry_after=5.0)
    driven.health.finished(driven.now, driven.began.pop(), status=503, retry_after=9.0)
    assert driven.health.paused(driven.now) == pytest.approx(9.0)
    driven.health.finished(driven.now, driven.began.pop(), status=503, retry_after=2.0)
    driven.health.finished(driven.now, driven.began.pop(), status=200, latency=0.1)
    assert driven.health.paused(driven.now) == pytest.approx(9.0)


def test_recovers_by_few_probes_then_faster_then_by_one() -> None:
    driven = Driven(AdaptiveTerms(start=64)).replies(2 * 64)
    driven.replies(1, 503, retry_after=5.0)
    driven.began.clear()
    driven.health.under_way = 0
    driven.wait(5.0).replies(1)
    assert driven.health.places == 1  # one after the other
    driven.replies(3)
    assert 2 <= driven.health.places <= 4
    driven.replies(60)
    assert 31 <= driven.health.places <= 35  # slow start ends at half
    assert driven.health.reduced
    driven.replies(64)
    assert driven.health.places <= 37


def test_probes_that_fail_are_a_longer_pause_each_time() -> None:
    driven = Driven().replies(BATCH)
    driven.replies(1, 503, retry_after=1.0)
    pauses = []
    for _ in range(12):
        driven.began.clear()
        driven.health.under_way = 0
        driven.wait(driven.health.paused(driven.now)).replies(2, 503)
        pauses.append(driven.health.paused(driven.now))
    assert pauses[:4] == pytest.approx([1.0, 2.0, 4.0, 8.0])
    assert pauses[-1] == TERMS.most_pause


def test_a_page_that_always_asks_for_a_pause_does_not_close_the_site() -> None:
    """One page in ten answers 429 and Retry-After: 300, for ever; the others are well."""
    driven = Driven(now=0.0)
    closed, number = 0.0, 0
    while driven.now < 4 * 3600.0 and number < 40_000:
        number += 1
        pause = driven.health.paused(driven.now)
        closed += pause
        driven.wait(pause)
        if number % 10:
            driven.replies(1).wait(0.5)
        else:
            driven.replies(1, 429, retry_after=300.0)
    assert closed <= 0.1 * driven.now


def test_a_minority_of_failures_that_no_cut_cures_is_disregarded() -> None:
    driven = Driven(now=0.0)
    number = 0
    while driven.now < DISREGARD / 10:
        number += 1
        driven.replies(1, 503 if number % 5 == 0 else 200)
    assert "disregard" in driven.words
    assert driven.words.count("failures") <= STUBBORN + 1
    assert driven.health.places > 6


def test_a_target_that_is_down_is_left_alone() -> None:
    """Whatever asks: after the cuts, a few requests for each of ever longer pauses."""
    driven = Driven(AdaptiveTerms(start=100)).replies(200)
    started, asked = driven.now, 0
    while driven.now < started + 600.0:
        driven.wait(driven.health.paused(driven.now)).replies(1, 0, failed=True)
        asked += 1
    assert asked < 700


def test_a_failure_now_and_then_is_nothing() -> None:
    driven = Driven()
    for _ in range(40):
        driven.replies(49).replies(1, 503)
    assert driven.words == [] and driven.health.places > 50


def test_who_leaves_says_nothing_about_the_target() -> None:
    driven = Driven().replies(BATCH)
    for _ in range(100):
        driven.replies(1, 0, latency=None)
    assert driven.words == []


# --- latency --------------------------------------------------------------------------------------

_NOISE: dict[str, Callable[[random.Random], float]] = {
    "fixed": lambda chance: 0.1,
    "exponential": lambda chance: chance.expovariate(10.0),
    "log-normal, wide": lambda chance: chance.lognormvariate(-2.0, 1.5),
    "Pareto": lambda chance: 0.02 * chance.paretovariate(1.2),
    "two kinds of pages": lambda chance: chance.choice((0.01, 0.01, 1.0)),
    "one page in thirty takes a minute": lambda chance: 60.0 if chance.random() < 1 / 30 else 0.05,
}


@pytest.mark.parametrize("name", _NOISE)
def test_noise_is_not_taken_for_distress(name: str) -> None:
    """Latency that has nothing to do with load: the ceiling grows on, with a cut now and then."""
    chance, driven = random.Random(7), Driven()
    for _ in range(400 * BATCH):
        driven.replies(1, latency=_NOISE[name](chance))
    assert driven.words.count("latency") <= 12
    assert driven.health.places >= 40


@pytest.mark.parametrize("name", _NOISE)
def test_three_times_slower_is_seen_all_the_same(name: str) -> None:
    chance, latency = random.Random(11), Latency()
    verdicts: list[bool] = []
    for number in range(120 * BATCH):
        seconds = _NOISE[name](chance) * (3.0 if number >= 100 * BATCH else 1.0)
        verdict = latency.add(seconds, 2 * BATCH)
        verdicts += [] if verdict is None else [verdict]
    assert sum(verdicts[:50]) <= 2
    assert sum(verdicts[50:]) >= 3


def test_slower_for_good_becomes_the_baseline() -> None:
    driven = Driven().replies(10 * BATCH)
    driven.replies(60 * BATCH, latency=0.5)
    assert driven.words == ["latency"] * (STUBBORN - 1) + ["baseline"]
    assert driven.health.baseline == pytest.approx(0.5, rel=0.01)
    assert driven.health.places > 0.75 ** STUBBORN * 20


# --- simulation -----------------------------------------------------------------------------------

def holds(outcome: Outcome, *, slower: float = 2.0, used: float = 0.8, jain: float = 0.95) -> None:
    assert outcome.slower <= slower, outcome.slower
    assert outcome.used >= used, outcome.used
    assert outcome.jain() >= jain, outcome.jain()


@pytest.mark.parametrize("target", [
    Target(), Target(fixed=True), Target(servers=4), Target(degrade=0.1)],
    ids=["exponential", "fixed", "small", "degrades fast"])
def test_steady_state(target: Target) -> None:
    holds(simulate(target, 1000, seconds=150.0))


def test_a_target_that_refuses_what_is_too_much() -> None:
    outcome = simulate(Target(refuse_over=20), 1000, seconds=150.0)
    holds(outcome)
    assert outcome.refused <= 0.1 * sum(outcome.served)


def test_a_target_that_also_says_when_to_come_back() -> None:
    outcome = simulate(Target(refuse_over=20, retry_after=1.0), 1000, seconds=150.0)
    holds(outcome, used=0.6)  # it asked for the pauses itself
    assert outcome.refused <= 0.1 * sum(outcome.served)


def test_a_target_that_loses_half_of_itself() -> None:
    holds(simulate(Target(changes={75.0: 10}), 1000, seconds=150.0))


def test_a_greedy_account_starves_nobody() -> None:
    """One asks for a hundred times as much as each of the others."""
    outcome = simulate(Target(), 200, seconds=90.0, greed=lambda i: 100 if i == 0 else 1)
    holds(outcome)
    others = sorted(outcome.served[1:])
    assert outcome.served[0] <= 1.1 * others[len(others) // 2] + 2
    assert others[0] >= 0.9 * others[len(others) // 2] - 2
