"""Logs to search: few accounts, targets and ports, so that conditions meet; every odd event."""

from __future__ import annotations

import random
from pathlib import Path

from outbounds.evidence.archive.layout import Segment, all_segments
from outbounds.evidence.decision import closing, opening
from outbounds.evidence.identifier import new_id, timestamp
from outbounds.evidence.keeper.indexing import build
from outbounds.evidence.keeper.sealing import seal_all
from outbounds.evidence.ledger import slip
from outbounds.evidence.line import placeholder, split
from outbounds.evidence.log import EvidenceLog
from outbounds.evidence.record import CONNECTION, Encoder, Record, orphan

BEGIN = 1_795_262_400_000_000_000  # 2026-11-21T12:00:00Z, Unix ns
STEP = 7_000_000_000

ACCOUNTS = ("alice", "bob", "acct_ab2cd3ef4gh5", "o'brien", "")
NAMES = ("example.net", "www.example.net", "notexample.net", "example.net.example.org", "a_b.test")
ADDRESSES = ("198.51.100.7", "198.51.100.77", "2001:db8::1", "2001:db8:0:1::1")
SOURCES = ("203.0.113.5", "::ffff:203.0.113.5", "203.0.113.50", "2001:db8:5::5")
EGRESS = (("192.0.2.7", 51234), ("192.0.2.7", 5123), ("192.0.2.8", 51234), ("2001:db8:e::1", 443))
TARGETS = ("/", "/item/5?id=7&colour=red", "/100%25/a_b", "/it%m", "/%27;DROP", "/search?q=x&tok",
           "/pfad/ü", "/a?b=c&", "/a'b\"c\\d")
RULES = (("allow", "", "", ""), ("refuse", "destination", "list/bad", "AUP-malware"),
         ("pace", "limits", "per-target", "AUP-load"), ("refuse", "robots", "robots", "AUP-robots"))


def corpus(seed: int, events: int = 120) -> list[tuple[bytes, bytes]]:
    """Lines in the order in which they were written, each with what is left of it now."""
    chance = random.Random(seed)
    encoder = Encoder("a-session", b"k" * 32)
    written: list[tuple[int, int, bytes, bytes]] = []
    for number in range(events):
        at = BEGIN + number * STEP + chance.randrange(1000) * 1000
        lines = _event(chance, encoder, at, number)
        if chance.random() < 0.06:
            del lines[0]  # the opening could not be written
        fate = chance.random()
        for moment, line in lines:
            left = line
            if fate < 0.06 and line == lines[-1][1]:
                left = placeholder(split(line)[0]) + b"\n"  # retention took it
            elif fate > 0.94:
                left = split(line)[0] + b"\n"  # the account's details were erased
            written.append((moment, number, line, left))
    return [(line, left) for _, _, line, left in sorted(written, key=lambda each: each[:2])]


def _event(chance: random.Random, encoder: Encoder, at: int,
           number: int) -> list[tuple[int, bytes]]:
    id = f"odd {number}" if number % 40 == 39 else new_id(at)
    start = opening(id=id, at=at, action=chance.choice(("request", "connect", "robots")))
    start.user_id = chance.choice(ACCOUNTS)
    start.source_ip, start.source_port = chance.choice(SOURCES), chance.choice((0, 1024, 40_000))
    start.connection = f"connection-{chance.randrange(5)}"
    start.destination_domain = chance.choice((*NAMES, ""))
    dialled = chance.choice((*ADDRESSES, ""))
    if not start.destination_domain:
        start.destination_ip = dialled
    start.destination_port = chance.choice((80, 443))
    start.http_request_method = chance.choice(("GET", "POST", "CONNECT"))
    (start.verdict, start.rule_ruleset, start.rule_id,
     start.rule_reference) = chance.choice(RULES)
    egress = chance.choice((*EGRESS, ("", 0)))
    duration = chance.choice((0, 1_500, STEP, 10 * STEP, 60 * STEP))
    target = chance.choice((*TARGETS, ""))
    lines = [(at, encoder.encode(start, target))]
    for _ in range(chance.choice((0, 0, 1, 1, 2))):
        when = at + chance.randrange(max(1, duration // 1000 + 1)) * 1000 + 1000 * len(lines)
        other = egress if chance.random() < 0.7 else chance.choice(EGRESS)
        lines.append((when, encoder.encode(Record(
            timestamp=timestamp(when), id=id, type=CONNECTION, kind="event", action=start.action,
            user_id=start.user_id, source_nat_ip=other[0], source_nat_port=other[1],
            destination_ip=dialled))))
    end = max(at + duration, lines[-1][0]) + 1000
    fate = chance.random()
    if fate < 0.75:
        lines.append((end, encoder.encode(closing(
            start, at=end, outcome=chance.choice(("success", "failure")), duration=end - at,
            status=chance.choice((0, 200, 204, 403, 404)), egress=egress, dialled=dialled))))
    elif fate < 0.85:
        lines.append((end, orphan(id, start.action, "a-session", end, "the process ended")))
    return lines


def write(directory: Path, lines: list[tuple[bytes, bytes]], segments: int) -> None:
    """A log of so many segments, none of them sealed."""
    (directory / "segments").mkdir(parents=True)
    each = -(-len(lines) // segments)
    for begin in range(0, len(lines), each):
        log = EvidenceLog(directory)
        log.append([(slip(line), line) for line, _ in lines[begin:begin + each]])
        log.close()
    left = dict(lines)
    for segment in all_segments(directory):
        written = segment.hot.read_bytes().splitlines(keepends=True)
        segment.hot.write_bytes(b"".join(left[line] for line in written))


def seal(directory: Path) -> list[Segment]:
    """Seal all but the newest; the segments that are sealed now."""
    seal_all(directory, lambda text: None, {})
    return [segment for segment in all_segments(directory) if segment.sealed]


def index(segments: list[Segment]) -> None:
    build([str(segment.seal) for segment in segments])
