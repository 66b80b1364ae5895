"""A log of a proxy's day, made fast: for figures that need millions of records.

The lines are the encoder's own: each kind of line is encoded once for each account and page, and
what differs from record to record (ids, times, ports, salts, hashes, counts) is then put in its
place. The log is the collector's own, too: appended, hashed and signed by `EvidenceLog`, and sealed
by the keeper.

What there is: accounts that differ much in size (Zipf), 2,000 sites of which some are asked far
more than others, half of the requests in tunnels that are not inspected, pages with ids in their
paths and keyed hashes in their queries, one request in nine refused, tunnels from milliseconds to
hours. Ids, salts and hashes are random, which is what a log cannot compress.
"""

from __future__ import annotations

import heapq
import itertools
import multiprocessing
import os
import random
import time
from collections.abc import Iterator
from hashlib import sha256
from multiprocessing.connection import Connection
from pathlib import Path

from outbounds.evidence.decision import closing, connection, opening
from outbounds.evidence.identifier import timestamp
from outbounds.evidence.keeper.sealing import seal_all
from outbounds.evidence.ledger import slip
from outbounds.evidence.line import split
from outbounds.evidence.log import EvidenceLog
from outbounds.evidence.record import Encoder, Record

DAY = 86_400_000_000_000
START = 1_795_219_200_000_000_000  # 2026-11-21T00:00:00Z, Unix ns
ACCOUNTS, SITES, PAGES = 2_000, 2_000, 12
EGRESS = tuple(f"192.0.2.{last}" for last in range(1, 9))
BATCH = 4_096

AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/26.1 Safari/605.1.15",
    "ExampleFetcher/1.0 (+https://fetcher.example/about)", "python-requests/2.32.5", "curl/8.17.0",
    "Scrapy/2.13.4 (+https://scrapy.example)",
)
_PATHS = ("/", "/item/~", "/catalogue/page/~", "/api/v2/products/~/offers", "/search",
          "/robots.txt", "/images/thumb/~.jpg", "/news/2026/11/~", "/p/~/reviews",
          "/category/garden/~", "/cart", "/static/app.~.js")


class _Template:
    """A line with holes: what goes into each comes in the order of `holes`."""

    def __init__(self, line: bytes, holes: dict[bytes, str]) -> None:
        found = sorted((line.index(text), text, name) for text, name in holes.items()
                       if text in line)
        self.holes = [name for _, _, name in found]
        text = line.replace(b"%", b"%%")
        for _, hole, _ in found:
            text = text.replace(hole, b"%b", 1)
        self.text = text

    def fill(self, values: dict[str, bytes]) -> bytes:
        return self.text % tuple([values[name] for name in self.holes])


class _Page:
    """The lines of one kind of request, by one account to one page."""

    def __init__(self, encoder: Encoder, random: random.Random, account: int, site: int,
                 page: int) -> None:
        self.tunnel = site % 2 == 0
        self.refused = (account + site + page) % 9 == 0
        start = self._opening(account, site, page)
        target = "" if self.tunnel else _PATHS[page].replace("~", "777000777")
        if not self.tunnel and page in (2, 3, 4):
            target += "?q=~&page=2&sort=price"[:random.choice((4, 11, 22))]
        line = encoder.encode(start, target)
        envelope, self.detail = split(line)
        self._opening_holes(envelope, line)
        end = closing(start, at=0, outcome="success", duration=111_222_333_444_555, status=200,
                      request_bytes=0 if not self.tunnel else 888_777_666,
                      response_bytes=999_888_777, egress=("192.0.2.9", 65_432),
                      dialled=f"198.51.100.{site % 250}")
        if self.refused:
            end = closing(start, at=0, outcome="failure", duration=111_222_333_444_555, status=403)
        line = encoder.encode(end)
        self.closing = _Template(line, _holes(line))
        made = connection(start, at=0, egress=("192.0.2.9", 65_432),
                          dialled=(f"198.51.100.{site % 250}", start.destination_port))
        line = encoder.encode(made)
        self.connection = _Template(line, _holes(line))

    def _opening(self, account: int, site: int, page: int) -> Record:
        record = opening(id="~" * 36, at=0, action="connect" if self.tunnel else "request")
        record.user_id = f"acct_{account:012d}"
        record.source_ip = f"203.0.113.{account % 250}"
        record.source_port = 54_321
        record.connection = "+" * 36
        record.destination_domain = site_name(site)
        record.destination_port = 443 if self.tunnel else 80
        record.http_request_method = "CONNECT" if self.tunnel else "GET"
        record.url_scheme = "" if self.tunnel else "http"
        record.user_agent = AGENTS[account % len(AGENTS)]
        record.way = "connect" if self.tunnel else "plain"
        record.visibility = "tunnel" if self.tunnel else "full"
        record.verdict = "refuse" if self.refused else "allow"
        if self.refused:
            record.rule_id, record.rule_ruleset = "robots", "robots"
            record.rule_reference, record.reason = "R-robots", "Disallow at line 12."
        record.policy_version, record.lists_version = "a1b2c3d4" * 8, "e5f60718" * 8
        if not self.tunnel:
            record.robots_sha256 = sha256(site_name(site).encode()).hexdigest()
            record.robots_state, record.robots_scope, record.robots_line = "fresh", "path", 12
        return record

    def _opening_holes(self, envelope: bytes, line: bytes) -> None:
        self.opening = _Template(envelope, _holes(envelope))
        holes = {b'"salt":"' + self.detail[9:41]: "detail-salt"} if self.detail else {}
        if b"777000777" in self.detail:
            holes[b"777000777"] = "item"
        at = self.detail.find(b"q=h:")
        if at >= 0:
            holes[self.detail[at + 4:at + 20]] = "hash"
        self.details = _Template(self.detail, holes)


def _holes(line: bytes) -> dict[bytes, str]:
    holes = {b"1970-01-01T00:00:00.000000Z": "at", b"~" * 36: "id", b"+" * 36: "connection",
             b":54321": "port", b":65432": "egress-port", b"192.0.2.9": "egress",
             b"111222333444555": "duration", b"888777666": "up", b"999888777": "down"}
    for name, size in ((b'"outbounds.salt":"', 32), (b'"outbounds.detail.sha256":"', 64)):
        at = line.find(name)
        if at >= 0:
            holes[line[at + len(name):at + len(name) + size]] = "sha" if size == 64 else "salt"
    return holes


def site_name(site: int) -> str:
    return f"{('www', 'shop', 'api', 'cdn', 'm')[site % 5]}.site-{site:04d}.example"


def lines(seed: int, events: int, begin: int, span: int) -> Iterator[tuple[int, bytes]]:
    """`events` events that begin between `begin` and `begin + span` (Unix ns): each line with the
    moment at which it was written, in that order; a run of its own for each seed."""
    chance = random.Random(seed)
    encoder = Encoder(f"bench-{seed}", bytes(32))
    choices = _Choices(encoder, chance, events)
    number = itertools.count()
    later: list[tuple[int, int, bytes]] = []
    at = begin
    step = span // max(1, events)
    for _ in range(events):
        at += int(chance.random() * 2 * step) + 1000
        while later and later[0][0] <= at:
            yield _first(later)
        page = choices.page()
        bits = chance.getrandbits(1024).to_bytes(128, "big").hex().encode()
        values = {
            "at": timestamp(at).encode(), "id": _id(at, bits), "salt": bits[16:48],
            "detail-salt": b'"salt":"' + bits[48:80], "hash": bits[80:96],
            "connection": b"%b-%b-4%b-a%b-%b" % (bits[96:104], bits[104:108], bits[108:111],
                                                 bits[111:114], bits[114:126]),
            "port": b":%d" % (1024 + int(bits[126:130], 16) % 64_512),
            "item": b"%d" % int(chance.paretovariate(0.7) % 90_000),
        }
        detail = page.details.fill(values) if page.detail else b""
        values["sha"] = sha256(detail).hexdigest().encode()
        envelope = page.opening.fill(values)
        yield at, b"%b\t%b\n" % (envelope, detail) if detail else envelope + b"\n"
        took = int(chance.paretovariate(0.8 if page.tunnel else 1.5) * 20_000_000)
        took = min(took, 4 * 3_600_000_000_000)
        values |= {"egress": EGRESS[int(bits[130:132], 16) % len(EGRESS)].encode(),
                   "egress-port": b":%d" % (1024 + int(bits[132:136], 16) % 64_512),
                   "duration": b"%d" % took, "up": b"%d" % int(bits[136:139], 16),
                   "down": b"%d" % int(chance.paretovariate(0.6) * 900 % 9e8)}
        if page.tunnel and not page.refused:
            values |= {"at": timestamp(at + 9_000_000).encode(), "salt": bits[140:172]}
            heapq.heappush(later, (at + 9_000_000, next(number), page.connection.fill(values)))
            took += 10_000_000
        values |= {"at": timestamp(at + took).encode(), "salt": bits[172:204]}
        heapq.heappush(later, (at + took, next(number), page.closing.fill(values)))
    while later:
        yield _first(later)


def _first(later: list[tuple[int, int, bytes]]) -> tuple[int, bytes]:
    at, _, line = heapq.heappop(later)
    return at, line


class _Choices:
    """Who asks for what: drawn ahead, so that the choice costs nothing."""

    def __init__(self, encoder: Encoder, chance: random.Random, events: int) -> None:
        kinds = min(20_000, max(200, events // 10))
        accounts = chance.choices(range(ACCOUNTS), [1 / (n + 3) for n in range(ACCOUNTS)], k=kinds)
        sites = chance.choices(range(SITES), [1 / (n + 10) for n in range(SITES)], k=kinds)
        self._pages = [_Page(encoder, chance, account, site, chance.randrange(PAGES))
                       for account, site in zip(accounts, sites, strict=True)]
        self._chance = chance

    def page(self) -> _Page:
        return self._pages[int(self._chance.random() * len(self._pages))]


def _id(at: int, bits: bytes) -> bytes:
    """UUIDv7 as `identifier.new_id` makes it, from random hexadecimal digits."""
    milliseconds, rest = divmod(at, 1_000_000)
    head = b"%012x" % milliseconds
    return b"%b-%b-7%03x-a%b-%b" % (head[:8], head[8:], rest * 4096 // 1_000_000, bits[0:3],
                                    bits[3:15])


def generate(directory: Path, records: int, span: int = DAY, begin: int = START,
             processes: int = 0, segment: int = 256 * 1024 * 1024) -> int:
    """A log of about `records` records in `directory`, which must be empty; how many it has. All
    of it is sealed, without indexes, but for the last few records: a hot segment of a running
    proxy."""
    (directory / "segments").mkdir(parents=True)
    log = EvidenceLog(directory, segment, "bench.example")
    count = 0
    batches = _merged(records, span, begin, processes or os.cpu_count() or 1)
    last = next(batches)
    for batch in batches:
        _append(log, last)
        count += len(last)
        last = batch
    log.close()
    log = EvidenceLog(directory, segment)
    _append(log, last)
    log.close()
    seal_all(directory, lambda text: None, {})
    return count + len(last)


def _append(log: EvidenceLog, batch: list[bytes]) -> None:
    log.append([(slip(line), line) for line in batch])
    if log.wait() <= 0.0:
        log.checkpoint()


def _merged(records: int, span: int, begin: int, processes: int) -> Iterator[list[bytes]]:
    """Batches of lines: each process makes a part of the events, and of each stretch of the day
    all hand over what was written in it, one after the other, as workers of a proxy do."""
    events = int(records / 2.44 / processes)
    stretches = max(2, records // (BATCH * processes))
    running = []
    for seed in range(processes):
        reader, writer = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.Process(
            target=_make, args=(writer, seed, events, begin, span, stretches), daemon=True)
        process.start()
        writer.close()
        running.append((reader, process))
    for _ in range(stretches):
        for reader, _process in running:
            batch = reader.recv_bytes().splitlines(keepends=True)
            if batch:
                yield batch
    for _reader, process in running:
        process.join()


def _make(writer: Connection, seed: int, events: int, begin: int, span: int,
          stretches: int) -> None:
    made = lines(seed, events, begin, span)
    step, held = span // stretches, b""
    for stretch in range(1, stretches + 1):
        batch = [held]
        for at, line in made:
            if at >= begin + stretch * step and stretch < stretches:
                held = line
                break
            batch.append(line)
        else:
            held = b""
        writer.send_bytes(b"".join(batch))


def main() -> None:
    import sys

    directory, records = Path(sys.argv[1]), int(sys.argv[2])
    began = time.perf_counter()
    count = generate(directory, records)
    took = time.perf_counter() - began
    print(f"{count:,} records in {took:.1f} s, {count / took:,.0f} a second")


if __name__ == "__main__":
    main()
