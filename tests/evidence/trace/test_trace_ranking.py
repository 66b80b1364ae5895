"""Who a complaint is about, how sure that is, and why: one scene a row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from trace_events import AT, MINUTES, OURS, SECOND, event, order, over, sighting, traced

from outbounds.evidence.complaints import Moment, Sighting
from outbounds.evidence.search import Event
from outbounds.evidence.trace import trace
from outbounds.evidence.trace.facts import inside, translated
from outbounds.evidence.trace.plan import OUR_CLOCK, by_port
from outbounds.evidence.trace.reasons import doubts, endpoint, length, reasons
from outbounds.evidence.trace.weights import ORDER, RULES, WEIGHTS

A, B, C = "acct_a", "acct_b", "acct_c"
DAY = 24 * 3600.0
Scene = tuple[str, Sighting, list[Event], list[tuple[str, str]]]

SCENES: list[Scene] = [
    ("the very port, open at the time", sighting(), [event(1, A)], [(A, "certain")]),
    ("the same over IPv6", sighting(address="2001:db8::7"),
     [event(1, A, egress=("2001:db8::7", 51234))], [(A, "certain")]),
    ("a tunnel that was opened two days before, and is still open", sighting(),
     [event(1, A, begin=-2 * DAY, end=None)], [(A, "certain")]),
    ("another port of the same address", sighting(), [event(1, A, egress=(OURS, 51235))], []),
    ("the same port of another address", sighting(),
     [event(1, A, egress=("198.51.100.1", 51234))], []),
    ("the port, half a minute after", sighting(), [event(1, A, begin=30, end=31)], [(A, "likely")]),
    ("the port, half a minute before", sighting(), [event(1, A, begin=-40, end=-30)],
     [(A, "likely")]),
    ("the port, beyond the tolerance", sighting(), [event(1, A, begin=600, end=601)], []),
    ("the port was two accounts' one after the other: the one that had it then first",
     sighting(), [event(1, B, begin=20, end=30), event(2, A)], [(A, "possible"), (B, "possible")]),
    ("the same, and the target tells them apart", sighting(target="www.example.org"),
     [event(1, B, begin=20, end=30, host="www.example.net", dialled="198.51.100.77"), event(2, A)],
     [(A, "likely"), (B, "possible")]),
    ("two accounts on one port to two targets at once: Linux shares ports between targets",
     sighting(target="198.51.100.9"),
     [event(1, A), event(2, B, host="www.example.net", dialled="198.51.100.77")],
     [(A, "likely"), (B, "possible")]),
    ("the port fits and the target does not", sighting(target="www.example.net"), [event(1, A)],
     [(A, "possible")]),
    ("another host of the same site", sighting(target="example.org"), [event(1, A)],
     [(A, "certain")]),
    ("the target's address", sighting(target="198.51.100.9"), [event(1, A)], [(A, "certain")]),
    ("an address inside the target's network says nothing", sighting(target="10.1.2.3"),
     [event(1, A)], [(A, "certain")]),
    ("no port: the only one who went there", sighting(port=None, target="www.example.org"),
     [event(1, A), event(2, B, host="www.example.net", dialled="198.51.100.77")],
     [(A, "likely")]),
    ("no port, and two went there", sighting(port=None, target="www.example.org"),
     [event(1, A), event(2, B, egress=(OURS, 40_000))], [(A, "possible"), (B, "possible")]),
    ("no port, and the path tells them apart",
     sighting(port=None, target="www.example.org", method="GET", path="/wp-login.php"),
     [event(1, A, path="/"), event(2, B, egress=(OURS, 40_000), path="/wp-login.php")],
     [(B, "likely"), (A, "possible")]),
    ("no port and no target: everybody who used the address", sighting(port=None),
     [event(1, A), event(2, B, egress=(OURS, 40_000)), event(3, C, egress=("192.0.2.8", 51234))],
     [(A, "possible"), (B, "possible")]),
    ("no port and no target, and one account", sighting(port=None), [event(1, A)],
     [(A, "possible")]),
    ("refused: nothing went out", sighting(port=None, target="www.example.org"),
     [event(1, A, egress=None, verdict="refuse")], []),
    ("NAT in front that keeps the port", sighting(target="www.example.org"),
     [event(1, A, egress=("10.0.0.5", 51234))], [(A, "likely")]),
    ("NAT in front that does not", sighting(target="www.example.org"),
     [event(1, A, egress=("10.0.0.5", 4711))], [(A, "likely")]),
    ("NAT in front, and nothing but the address to go by", sighting(port=None),
     [event(1, A, egress=("10.0.0.5", 4711))], []),
    ("no egress recorded: by the target alone", sighting(target="www.example.org"),
     [event(1, A, egress=None)], [(A, "possible")]),
    ("no egress recorded, and no target to go by", sighting(), [event(1, A, egress=None)], []),
    ("the proxy's own fetch", sighting(), [event(1, "")], [("", "certain")]),
    ("a zone that is not written: the target must agree for more than likely",
     sighting(lasts=DAY), [event(1, A, begin=3600, end=3601)], [(A, "likely")]),
    ("the same with the target", sighting(lasts=DAY, target="www.example.org"),
     [event(1, A, begin=3600, end=3601)], [(A, "certain")]),
    ("our own clock was off by ten seconds at most", sighting(),
     [event(1, A, begin=8, end=9, clock_error=10_000_000_000)], [(A, "certain")]),
]


@pytest.mark.parametrize(("said", "events", "expected"), [row[1:] for row in SCENES],
                         ids=[row[0] for row in SCENES])
def test_a_scene(said: Sighting, events: list[Event], expected: list[tuple[str, str]]) -> None:
    assert order(traced(said, *events)) == expected


def test_our_clocks_offset_is_taken_off() -> None:
    """A record of 12:03:37, by a clock that was half a minute fast."""
    slow = event(1, A, begin=30, end=31, **{"outbounds.clock.offset": -30_000_000_000})
    assert order(traced(sighting(), slow, tolerance=0)) == [(A, "certain")]
    assert order(traced(sighting(), event(1, A, begin=30, end=31), tolerance=0)) == []


def test_each_reading_of_a_time_is_tried_and_the_one_that_fits_is_said() -> None:
    readings = (Moment(AT + 30 * 86_400 * SECOND, AT + 30 * 86_400 * SECOND, "month/day/year"),
                Moment(AT, AT + SECOND - 1, "day/month/year"))
    found = traced(Sighting(OURS, 51234, readings), event(1, A))
    assert order(found) == [(A, "certain")]
    assert "day/month/year" in list(doubts(found.candidates[0], MINUTES))


def test_twenty_lines_that_lead_to_one_account_outweigh_one_line() -> None:
    said = [sighting(port=None, target="www.example.org", at=n * 10) for n in range(20)]
    events = [event(n, A, begin=n * 10, end=n * 10 + 1) for n in range(20)]
    found = traced(said, *events, event(99, B, begin=50, end=51, egress=(OURS, 40_000)),
                   tolerance=2 * SECOND)
    first, second = found.candidates
    assert (first.account, first.sightings, first.events) == (A, 20, 20)
    assert first.confidence == "likely"
    assert (second.account, second.sightings) == (B, 1)
    assert first.weight > second.weight


def test_what_was_not_found_is_said() -> None:
    said = [sighting(), sighting(port=1), Sighting(OURS, 51234)]
    found = traced(said, event(1, A))
    assert found.unmatched == (1,)  # the third says no time, and is not searched for
    nothing = traced(sighting(at=3600), event(1, A))
    assert not nothing.candidates
    assert [round(each / SECOND) for each in nothing.elsewhere] == [-3599]


def test_many_ports_of_one_address_are_one_search() -> None:
    said = [sighting(port=port) for port in range(50_000, 50_300)]
    found = traced(said, *(event(n, A, egress=(OURS, 50_000 + n)) for n in range(300)))
    assert found.candidates[0].sightings == 300
    assert len(found.queries) == 1


def test_there_is_a_bound_on_searches_and_it_is_said() -> None:
    found = traced([sighting(port=1000 + n, address=f"192.0.2.{n}") for n in range(1, 251)])
    assert len(found.queries) <= 210
    assert found.unsearched > 0


def test_reasons_and_doubts_are_whole_sentences() -> None:
    said = sighting(target="www.example.org", method="POST", path="/login", status=200,
                    notes=("port 51234 is taken for the source's",))
    found = traced(said, event(1, A, begin=-1, end=None), event(2, B, begin=100, end=101))
    first = found.candidates[0]
    assert list(reasons(first.matches[0])) == [
        "it went out from 192.0.2.7:51234, the very address and port",
        "it lasted from 2026-11-21 12:03:06 UTC on, and is not over: the stated time lies in it",
        "it went to www.example.org:443, as the complaint says",
        "the method is GET, and the complaint says POST",
        "the path is /, and the complaint says /login",
    ]
    assert list(doubts(first, MINUTES)) == [
        "the address and port were used by 2 accounts within the margins",
        "nothing is known of the complainant's clock: ±5 min is allowed",
        "our own clock was wrong by 0.001 s at most",
        "it is not over: what it sent in all is not recorded yet",
        "port 51234 is taken for the source's",
    ]
    for said_of in (A, B):  # they go into bundles, which name no other customer
        assert said_of not in " ".join([*reasons(first.matches[0]), *doubts(first, MINUTES)])


@pytest.mark.parametrize(("scene", "sentence"), [
    ("NAT in front that keeps the port", "NAT or another proxy is in front"),
    ("no egress recorded: by the target alone", "is not recorded"),
    ("no port and no target, and one account", "the complaint gives neither a port nor a target"),
    ("no port: the only one who went there",
     "the complaint gives no port, so that only the target and the time tell accounts apart"),
    ("no port, and two went there",
     "2 accounts fit: the address is shared, and the complaint gives no port"),
    ("the port, half a minute after", "it fits only if a clock is off by 29 s"),
    ("a zone that is not written: the target must agree for more than likely",
     "the stated time is only known to 1 day"),
])
def test_a_doubt_of_a_scene(scene: str, sentence: str) -> None:
    [(said, events)] = [(row[1], row[2]) for row in SCENES if row[0] == scene]
    candidate = traced(said, *events).candidates[0]
    assert any(sentence in doubt for doubt in doubts(candidate, MINUTES))


def test_the_table_is_in_order_and_every_word_has_its_rule() -> None:
    for levels in WEIGHTS.values():
        assert list(levels.values()) == sorted(levels.values(), reverse=True)
    assert tuple(RULES) == ORDER


@pytest.mark.parametrize(("microseconds", "text"), [
    (0, "0 s"), (1500, "0.0015 s"), (29_000_001, "29 s"), (300 * SECOND, "5 min"),
    (90 * SECOND, "1 min 30 s"), (3600 * SECOND, "1 h"), (93_600 * SECOND, "1 day 2 h"),
    (180 * 86_400 * SECOND, "180 days"), (-45 * SECOND, "45 s"),
])
def test_lengths_of_time(microseconds: int, text: str) -> None:
    assert length(microseconds) == text


def test_endpoints_and_inside_addresses() -> None:
    assert endpoint("2001:db8::7", 443) == "[2001:db8::7]:443"
    assert endpoint("192.0.2.7", None) == "192.0.2.7"
    assert [each for each in ("10.1.1.1", "172.31.0.1", "100.64.0.1", "fd00::1", "192.0.2.7",
                              "2001:db8::1", "172.32.0.1", "x") if inside(each)] == [
        "10.1.1.1", "172.31.0.1", "100.64.0.1", "fd00::1"]


def test_without_a_translator_a_port_that_is_not_in_the_log_ends_the_search() -> None:
    said = sighting(port=1, target="www.example.org")
    log = [event(1, A, egress=("10.0.0.5", 4711))]
    assert order(trace([said], over(log), tolerance=MINUTES)) == [(A, "likely")]
    assert order(trace([said], over(log), tolerance=MINUTES, translated=False)) == []


@pytest.mark.parametrize(("egress", "expected"), [
    ([(OURS, 1), ("192.0.2.8", 2)], False), ([(OURS, 1), ("10.0.0.5", 2)], True),
    ([None], True), ([], True)])
def test_a_translator_is_known_by_the_newest_records(
        tmp_path: Path, egress: list[tuple[str, int] | None], expected: bool) -> None:
    folder = tmp_path / "segments"
    folder.mkdir()
    (folder / "2026-11-21T12-000001.jsonl").write_bytes(b"".join(
        json.dumps(found.fields).encode() + b"\n" for n, each in enumerate(egress)
        for found in event(n, egress=each).records))
    assert translated(tmp_path) is expected


def test_another_had_the_port_even_if_something_else_of_theirs_fits_better() -> None:
    said = sighting(path="/a")
    found = traced(said, event(1, A, path="/a"), event(2, B, path="/"),
                   event(3, B, path="/a", egress=("10.0.0.5", 51234)))
    assert order(found)[0][0] == A
    assert "certain" not in dict(order(found)).values()


def test_our_clocks_error_counts_beside_the_tolerance() -> None:
    late = event(1, A, begin=8, end=9, clock_error=10_000_000_000)
    assert order(traced(sighting(), late, tolerance=0)) == [(A, "certain")]
    assert order(traced(sighting(), event(1, A, begin=8, end=9), tolerance=0)) == []


def test_a_match_that_speaks_against_it_takes_nothing_from_the_others() -> None:
    fits = sighting()
    hardly = sighting(port=None, method="POST", path="/other", status=500, at=200)
    alone, both = (traced(said, event(1, A), tolerance=MINUTES).candidates[0]
                   for said in ([fits], [fits, hardly]))
    assert both.sightings == 2
    assert both.weight == alone.weight


def test_moments_of_different_lengths_are_searched_for_together() -> None:
    said = [sighting(lasts=7200.0), sighting(at=1, lasts=1.0)]
    [step] = by_port(said, [0, 1], MINUTES)
    assert step.sightings == (0, 1)
    assert (step.query.since, step.query.until) == (
        AT - MINUTES - OUR_CLOCK, AT + 7200 * SECOND + MINUTES + OUR_CLOCK)
    apart = list(by_port([sighting(), sighting(at=7200)], [0, 1], MINUTES))
    assert [each.sightings for each in apart] == [(0,), (1,)]
