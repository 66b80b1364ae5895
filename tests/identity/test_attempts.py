import pytest

from outbounds.identity.attempts import AttemptLimits, Attempts, FailureRate, source_key

SMALL = AttemptLimits(FailureRate(3, 10.0), FailureRate(5, 20.0), known_for=100.0)


@pytest.mark.parametrize(("ip", "key"), [
    ("192.0.2.7", "192.0.2.7"),
    ("::ffff:192.0.2.7", "192.0.2.7"),
    ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
    ("2001:db8:1:2::", "2001:db8:1:2::/64"),
    ("2001:db8:1:3::", "2001:db8:1:3::/64"),
    ("fe80::1%eth0", "fe80::/64"),
    ("", "?"),
])
def test_source_key(ip: str, key: str) -> None:
    assert source_key(ip) == key


# (time, what, source, name, seconds to wait before it)
TABLES = {
    "a source is limited over all names": [
        (0, "fail", "s", "a", 0), (0, "fail", "s", "b", 0), (0, "fail", "s", "c", 0),
        (0, "ask", "s", "d", 10), (0, "ask", "t", "d", 0), (9, "ask", "s", "d", 1),
        (10, "fail", "s", "d", 0), (10, "ask", "s", "e", 10),
    ],
    "a name is limited over all sources": [
        (0, "fail", "1", "a", 0), (0, "fail", "2", "a", 0), (0, "fail", "3", "a", 0),
        (0, "fail", "4", "a", 0), (0, "fail", "5", "a", 0),
        (0, "ask", "6", "a", 20), (0, "ask", "6", "b", 0), (20, "ask", "6", "a", 0),
    ],
    "guesses from elsewhere do not lock out a source that the name was used from": [
        (0, "succeed", "home", "a", 0),
        *((0, "fail", str(n), "a", 0) for n in range(5)),
        (0, "ask", "elsewhere", "a", 20), (0, "ask", "home", "a", 0),
        (99, "ask", "home", "a", 0),
    ],
    "nor do a neighbour's failures behind the same address": [
        (0, "succeed", "nat", "a", 0),
        (0, "fail", "nat", "b", 0), (0, "fail", "nat", "b", 0), (0, "fail", "nat", "b", 0),
        (0, "ask", "nat", "c", 10), (0, "ask", "nat", "a", 0),
    ],
    "but a known source has a limit too": [
        (0, "succeed", "s", "a", 0),
        *((0, "fail", "s", "a", 0) for _ in range(5)),
        (0, "ask", "s", "a", 20), (0, "ask", "s", "b", 0), (0, "ask", "t", "a", 0),
    ],
    "and is known only for so long": [
        (0, "succeed", "s", "a", 0),
        *((100, "fail", str(n), "a", 0) for n in range(5)),
        (99.9, "ask", "s", "a", 0), (100, "ask", "s", "a", 20),
    ],
    "an own account does not clear a guesser's failures": [
        (0, "fail", "s", "a", 0), (0, "fail", "s", "b", 0), (0, "fail", "s", "c", 0),
        (0, "succeed", "s", "own", 10), (0, "ask", "s", "a", 10),
    ],
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_tables(table: list[tuple[float, str, str, str, float]]) -> None:
    attempts = Attempts(SMALL)
    for now, what, source, name, wait in table:
        assert attempts.wait(source, name, now) == pytest.approx(wait), (now, what, source, name)
        if what == "fail":
            attempts.failed(source, name, now)
        elif what == "succeed":
            attempts.succeeded(source, name, now)


def test_debt_beyond_the_burst_is_paid_back() -> None:
    attempts = Attempts(SMALL)
    for _ in range(6):
        attempts.failed("s", "a", 0.0)
    assert attempts.wait("s", "x", 0.0) == pytest.approx(40.0)


def test_memory_is_bounded() -> None:
    attempts = Attempts(AttemptLimits(max_keys=100))
    for n in range(1_000):
        attempts.failed(f"s{n}", f"n{n}", 0.0)
        attempts.succeeded(f"s{n}", f"n{n}", 0.0)
    assert len(attempts) == 200
    assert attempts.known("s999", "n999", 1.0) and not attempts.known("s0", "n0", 1.0)


def test_drained_keys_go() -> None:
    attempts = Attempts(SMALL)
    for n in range(50):
        attempts.failed(f"s{n}", f"n{n}", 0.0)
    attempts.failed("s", "n", 1_000.0)
    assert len(attempts) == 2
