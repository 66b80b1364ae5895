"""What the kernel says of its clock, in the units of the record."""

from __future__ import annotations

import sys

import pytest

from outbounds.evidence import clock
from outbounds.evidence.clock import NOTHING, STA_NANO, STA_UNSYNC, Clock, Reading, kernel, reading


@pytest.mark.parametrize(("offset", "maxerror", "status", "expected"), [
    (0, 21_000, 0, Reading(0, 21_000_000)),
    (-150, 500, 0, Reading(-150_000, 500_000)),             # ahead of the true time
    (-150, 500, STA_NANO, Reading(-150, 500_000)),
    (7, 500, STA_UNSYNC, Reading(7_000, 16_000_000_000)),   # nobody vouches for 0.5 ms
    (0, 16_000_000, STA_UNSYNC, Reading(0, 16_000_000_000)),
    (0, 20_000_000, STA_UNSYNC | STA_NANO, Reading(0, 20_000_000_000)),
])
def test_readings(offset: int, maxerror: int, status: int, expected: Reading) -> None:
    assert reading(offset, maxerror, status) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="adjtimex is Linux's")
def test_the_kernel_is_asked_without_rights() -> None:
    try:
        found = kernel()
    except PermissionError as error:
        pytest.skip(f"not permitted here: {error}")
    assert abs(found.offset) < 1_000_000_000 and 0 < found.error < 10**15


def test_it_is_asked_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    moment, readings, said = 100.0, [Reading(1, 2), Reading(3, 4)], []
    monkeypatch.setattr(clock.time, "monotonic", lambda: moment)
    asked = iter(readings)
    under_test = Clock(said.append, lambda: next(asked))
    assert [under_test.now(), under_test.now()] == [Reading(1, 2)] * 2
    moment += clock.EVERY
    assert under_test.now() == Reading(3, 4) and not said


def test_where_it_cannot_be_had_that_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    moment, said = 100.0, []
    monkeypatch.setattr(clock.time, "monotonic", lambda: moment)

    def ask() -> Reading:
        raise PermissionError(1, "Operation not permitted")

    under_test = Clock(said.append, ask)
    for _ in range(3):
        assert under_test.now() == NOTHING
        moment += clock.EVERY
    assert said == ["Records do not say how exact the clock is: the system does not tell "
                    "(Operation not permitted)."]
