"""A search finds the same events whatever has become of the log's segments: the newest, which are
plain lines; sealed and indexed ones; ones whose index is missing, damaged, or elsewhere.

The law is what `conditions.meets` says of all records of an event. Queries are drawn from the
corpus's own values and others, so that most of them find something.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from hashlib import sha256
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from search_corpus import (
    ACCOUNTS,
    ADDRESSES,
    BEGIN,
    EGRESS,
    NAMES,
    SOURCES,
    STEP,
    TARGETS,
    corpus,
    index,
    seal,
    write,
)

from outbounds.evidence.archive.layout import Segment, all_segments
from outbounds.evidence.archive.reading import read_all
from outbounds.evidence.archive.seal import Index, load_seal, save_seal
from outbounds.evidence.line import fields, is_erased
from outbounds.evidence.search import Endpoint, Event, Found, Query, Search, Target, search
from outbounds.evidence.search.conditions import meets
from outbounds.evidence.search.event import gathered

SEGMENTS = 5


def plain(directory: Path) -> None:
    """Nothing is sealed."""


def sealed(directory: Path) -> None:
    index(seal(directory))


def not_indexed(directory: Path) -> None:
    seal(directory)


def gap_in_the_middle(directory: Path) -> None:
    """The second segment has no index: events may begin before it and end after it."""
    done = seal(directory)
    index([done[0], *done[2:]])


def half_way(directory: Path) -> None:
    """The keeper was stopped: the first is sealed, and so is what a crash left superfluous."""
    copies = {each: each.hot.read_bytes() for each in all_segments(directory)[1:]}
    index(seal(directory)[:1])
    for segment, lines in copies.items():
        segment.hot.write_bytes(lines)
        if segment.sequence > 2:
            segment.seal.unlink(missing_ok=True)


def without_carried(directory: Path) -> None:
    sealed(directory)
    (directory / "carried.json").unlink()


def damaged_index(directory: Path) -> None:
    sealed(directory)
    path = all_segments(directory)[1].index
    octets = bytearray(path.read_bytes())
    octets[len(octets) // 2] ^= 1
    path.write_bytes(octets)


LAYOUTS: dict[str, Callable[[Path], None]] = {each.__name__: each for each in (
    plain, sealed, not_indexed, gap_in_the_middle, half_way, without_carried, damaged_index)}

Log = tuple[Path, list[Event]]


class Logs(dict[str, Log]):
    def __repr__(self) -> str:
        return "logs"  # else a failure prints all of them


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logs]:
    """Each layout of the same corpus, and every event of it."""
    lines = corpus(seed=6)
    found = Logs()
    for name, arrange in LAYOUTS.items():
        directory = tmp_path_factory.mktemp("logs") / name
        write(directory, lines, SEGMENTS)
        everything = list(events(directory))
        arrange(directory)
        found[name] = (directory, everything)
    yield found


def events(directory: Path) -> Iterator[Event]:
    records = (Found(each.position, fields(each.envelope, each.detail))
               for each in read_all(directory) if not is_erased(each.envelope))
    for id, found in gathered(records).items():
        yield Event(id, tuple(found))


def expected(everything: list[Event], query: Query) -> list[Event]:
    return sorted((each for each in everything if meets(each, query)),
                  key=lambda each: (each.begin, each.id))


_NETWORKS = [ip_network(text) for text in (
    *ADDRESSES, *(ip for ip, _ in EGRESS), "198.51.100.0/24", "2001:db8::/32", "203.0.113.0/28",
    "203.0.113.5", "192.0.2.0/29", "0.0.0.0/0", "::/0", "10.0.0.0/8")]
_networks = st.sampled_from(_NETWORKS)
_ports = st.sampled_from((0, 0, 51234, 5123, 512, 443, 1024))
_texts = st.sampled_from((
    *TARGETS, "item", "%", "_", "a_b", "?id=", "=&", "tok", "x", "'", '"', "\\", "ü",
    "' OR 1=1 --", "'; DROP TABLE x; --", "h:", "/100%25", "red", "?q=&", "?", "&", "/"))
_moments = st.none() | st.integers(-20, 220).map(lambda n: (BEGIN + n * STEP) // 1000) \
    | st.sampled_from(range(120)).flatmap(lambda n: st.sampled_from((-1, 0, 1)).map(
        lambda off: (BEGIN + n * STEP) // 1000 + off))
_hostile = st.sampled_from(("", "", "", "x' OR '1'='1", "?", "$1", "%", "a" * 300, "\x00",
                            "ü\u202e"))
_statuses = st.none() | st.none() | st.sampled_from(((200, 200), (400, 499), (0, 599), (1, 199)))


def _one_of(*values: str) -> st.SearchStrategy[str]:
    return st.just("") | st.just("") | st.just("") | st.sampled_from(values) | _hostile


@st.composite
def _queries(draw: st.DrawFn) -> Query:
    """A few conditions at once; with all of them nothing would ever be found."""
    every: dict[str, st.SearchStrategy[Any]] = {
        "account": _one_of(*ACCOUNTS),
        "target": st.builds(Target, st.sampled_from(("", *NAMES, "net", "test", "org")),
                            st.booleans(), st.none() | _networks, _ports)
        .filter(lambda each: str(each) not in ("", ".")),
        "egress": st.builds(Endpoint, st.none() | _networks, _ports),
        "source": st.builds(Endpoint, st.none() | _networks, _ports),
        "method": _one_of("GET", "CONNECT", "get"),
        "url": _texts,
        "rule": _one_of("list/bad", "robots", "list/%"),
        "control": _one_of("destination", "robots"),
        "clause": _one_of("AUP-malware", "AUP-"),
        "verdict": _one_of("allow", "refuse", "pace"),
        "outcome": _one_of("success", "failure", "unknown"),
        "status": _statuses,
        "action": _one_of("request", "connect"),
        "connection": _one_of("connection-1", "connection-"),
    }
    chosen = draw(st.lists(st.sampled_from(sorted(every)), max_size=3, unique=True))
    since, until = draw(_moments), draw(_moments)
    conditions: dict[str, Any] = {name: draw(every[name]) for name in chosen}
    return Query(since=since, until=until, **conditions)


@pytest.mark.parametrize("name", LAYOUTS)
@settings(max_examples=20, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=_queries())
def test_finds_what_meets_the_query(logs: Logs, name: str, query: Query) -> None:
    directory, everything = logs[name]
    wanted = expected(everything, query)
    assert list(search(directory, query)) == wanted
    asked = Search(directory, query)
    assert asked.count() == len(wanted)
    short = list(asked.summaries())
    assert [(each.id, each.begin, each.end, each.positions) for each in short] == \
        [(each.id, each.begin, each.end, each.positions) for each in wanted]
    assert list(asked.summaries(limit=2)) == short[:2]


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_event_by_its_id(logs: Logs, name: str) -> None:
    directory, everything = logs[name]
    for event in everything[::7]:
        assert list(search(directory, Query(ids=(event.id,)))) == [event]
    some = tuple(each.id for each in everything[::11])
    assert {each.id for each in search(directory, Query(ids=(*some, "none")))} == set(some)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_summary_says_what_the_records_do(logs: Logs, name: str) -> None:
    directory, everything = logs[name]
    by_id = {each.id: each for each in everything}
    for short in Search(directory, Query()).summaries():
        event = by_id[short.id]
        assert short.account == event.first("user.id")
        assert short.verdict == event.first("outbounds.verdict")
        assert short.target == event.first("destination.domain")
        assert short.status == event.first("http.response.status_code", 0)
        if short.egress_port:
            assert (short.egress_ip, short.egress_port) in [
                (each.fields.get("source.nat.ip"), each.fields.get("source.nat.port"))
                for each in event.records]


def test_every_odd_event_is_in_the_corpus(logs: Logs) -> None:
    """Else the laws above say less than they seem to."""
    _, everything = logs["plain"]
    assert any(each.opening is None for each in everything)
    assert any(each.end is None for each in everything)
    assert any(len(each.connections) > 1 for each in everything)
    assert any(each.id.startswith("odd") for each in everything)
    directory, _ = logs["sealed"]
    counts = duckdb.connect().execute("SELECT whole, count(*) FROM read_parquet(?) GROUP BY whole",
                                      [f"{directory}/segments/*.parquet"]).fetchall()
    assert len(counts) == 2 and min(count for _, count in counts) > 20


@pytest.mark.parametrize(("name", "said"), [
    ("sealed", []), ("plain", []), ("without_carried", []),
    ("not_indexed", ["4 sealed segments have no index"]),
    ("damaged_index", ["it is not the index that was made; run: outbounds evidence reindex"]),
])
def test_says_what_is_read_instead(logs: Logs, name: str, said: list[str]) -> None:
    lines: list[str] = []
    list(search(logs[name][0], Query(account="bob"), say=lines.append))
    assert len(lines) == len(said)
    for line, part in zip(lines, said, strict=True):
        assert part in line


def test_an_index_that_is_elsewhere(logs: Logs, tmp_path: Path) -> None:
    directory, everything = logs["sealed"]
    copy = tmp_path / "log"
    shutil.copytree(directory, copy)
    (tmp_path / "elsewhere").mkdir()
    for path in (copy / "segments").glob("*.parquet"):
        path.rename(tmp_path / "elsewhere" / path.name)
    asked: list[str] = []

    def locate(segment: Segment) -> Path:
        asked.append(segment.stem)
        return tmp_path / "elsewhere" / segment.index.name

    lines: list[str] = []
    query = Query(verdict="refuse")
    assert list(search(copy, query, locate=locate, say=lines.append)) == expected(everything, query)
    assert len(asked) == SEGMENTS - 1 and lines == []


def test_an_index_with_a_good_checksum_that_is_none(logs: Logs, tmp_path: Path) -> None:
    """As a newer version might write it: everything is read, and said."""
    directory, everything = logs["sealed"]
    copy = tmp_path / "log"
    shutil.copytree(directory, copy)
    segment = all_segments(copy)[0]
    octets = b"PAR1 no index PAR1"
    segment.index.write_bytes(octets)
    old = load_seal(segment.seal)
    save_seal(segment.seal, msgspec.structs.replace(
        old, index=Index(segment.index.name, len(octets), sha256(octets).hexdigest())))
    lines: list[str] = []
    query = Query(account="bob")
    assert list(search(copy, query, say=lines.append)) == expected(everything, query)
    assert len(lines) == 1 and lines[0].startswith("the indexes cannot be used: ")


def test_only_the_index_of_what_overlaps_is_looked_at(logs: Logs) -> None:
    """Else a question about an hour would cost a year."""
    directory, _ = logs["sealed"]
    seals = [load_seal(each.seal) for each in all_segments(directory) if each.sealed]
    asked: list[str] = []

    def locate(segment: Segment) -> Path:
        asked.append(segment.stem)
        return segment.index

    list(search(directory, Query(until=seals[0].begin), locate=locate))
    assert len(asked) <= sum(each.begin <= seals[0].end for each in seals)


def test_borders_of_a_time_range_are_part_of_it(logs: Logs) -> None:
    directory, everything = logs["sealed"]
    event = next(each for each in everything if each.end and each.opening and len(each.records) > 1)
    assert event.end is not None
    for since, until, there in ((event.end, None, True), (event.end + 1, None, False),
                                (None, event.begin, True), (None, event.begin - 1, False)):
        found = search(directory, Query(ids=(event.id,), since=since, until=until))
        assert bool(list(found)) is there


def test_sources_are_found_in_every_spelling(logs: Logs) -> None:
    """The corpus has 203.0.113.5 as itself and as an IPv4-mapped IPv6 address."""
    for directory, everything in logs.values():
        found = list(search(directory, Query(source=Endpoint(ip_network("203.0.113.5")))))
        spelled = {each.opening["source.ip"] for each in found if each.opening}
        assert spelled == set(SOURCES[:2])
        assert len(found) == sum(each.first("source.ip") in SOURCES[:2] for each in everything)


def test_an_empty_log(tmp_path: Path) -> None:
    assert list(search(tmp_path, Query())) == []
