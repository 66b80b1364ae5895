"""Who is throttled most, within minutes that pass."""

from __future__ import annotations

from outbounds.proxy.throttled import Throttled, Throttling, merged


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_what_is_older_is_forgotten() -> None:
    clock = Clock()
    noted = Throttling(clock)
    noted.note_refused("acct_a", "a.example", "rate")
    clock.now += 6 * 60
    noted.note_paced("acct_b", "a.example", "crawl-delay", 0.5)
    noted.note_paced("acct_b", "a.example", "crawl-delay", 1.0)
    assert noted.top(5)["accounts"] == [Throttled("acct_b", 0, 2, 1.5)]
    assert noted.top(60)["accounts"] == [
        Throttled("acct_b", 0, 2, 1.5), Throttled("acct_a", 1, 0, 0.0)]
    assert noted.top(60)["targets"] == [Throttled("a.example", 1, 2, 1.5)]
    assert [each.name for each in noted.top(60)["rules"]] == ["crawl-delay", "rate"]
    clock.now += 61 * 60
    assert noted.top(60) == {"accounts": [], "targets": [], "rules": []}


def test_nobody_is_left_out() -> None:
    noted = Throttling(Clock())
    noted.note_refused("", "a.example", "per-source")
    assert noted.top(5)["accounts"] == [] and noted.top(5)["targets"]


def test_memory_is_bounded_and_who_matters_stays() -> None:
    clock = Clock()
    noted = Throttling(clock)
    for number in range(20_000):
        noted.note_refused(f"acct_{number}", "a.example", "rate")
        if number % 20 == 0:
            noted.note_refused("acct_greedy", "a.example", "rate")
    top = noted.top(5, 1000)["accounts"]
    assert len(top) <= 100
    assert any(each.name == "acct_greedy" for each in top)


def test_the_tops_of_two_workers_are_one() -> None:
    workers = [Throttling(Clock()) for _ in range(2)]
    for each in workers:
        each.note_refused("acct_a", "a.example", "rate")
    workers[1].note_paced("acct_b", "a.example", "rate", 2.0)
    both = merged(each.top(5) for each in workers)
    assert both["accounts"] == [Throttled("acct_a", 2, 0, 0.0), Throttled("acct_b", 0, 1, 2.0)]
    assert len(merged((each.top(5) for each in workers), 1)["accounts"]) == 1
