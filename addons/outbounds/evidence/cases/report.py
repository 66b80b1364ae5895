"""report.html: what a bundle holds, for people. One file, no scripts, nothing from elsewhere.

Everything in it follows from what lies beside it, and links lead there. Every text is escaped by
the template (Jinja autoescape): what customers and targets chose is shown, never obeyed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from ..line import fields, is_erased
from ..search import Event, Found
from ..search.event import gathered, micros
from ..tlog.checkpoint import Checkpoint
from ..tlog.note import Verifier
from ..witness.stamps import Stamp
from .chart import HEIGHT, LEFT, RIGHT, TOP, VERDICTS, WIDTH, Chart, chart
from .material import Material
from .statement import Statement, state_of
from .wording import told

_TOP_TARGETS = 10


@dataclass(frozen=True, slots=True)
class Page:
    """What the report is about. `signed_by` signed `checkpoint`."""

    stated: Statement
    material: Material
    checkpoint: Checkpoint
    signed_by: Verifier
    stamps: list[Stamp]


@dataclass(frozen=True, slots=True)
class Row:
    """An event, as a line of the table."""

    event: Event
    records: tuple[str, ...]
    erased: bool

    @property
    def begin(self) -> str:
        return moment(self.event.begin)

    @property
    def lasted(self) -> str:
        if self.event.end is None:
            return "not over"
        return _lasted(self.event.end - self.event.begin)

    @property
    def target(self) -> str:
        host = str(self.event.first("destination.domain") or self.event.first("destination.ip"))
        port = self.event.first("destination.port", 0)
        return f"{host}:{port}" if port else host

    @property
    def dialled(self) -> str:
        found = str(self.event.last("destination.ip"))
        return found if found != self.event.first("destination.domain", found) else ""

    def endpoint(self, field: str) -> str:
        """The address and port that are named by `field`."""
        address, port = self.event.last(f"{field}.ip"), self.event.last(f"{field}.port", 0)
        if not address:
            return ""
        host = f"[{address}]" if ":" in str(address) and port else str(address)
        return f"{host}:{port}" if port else host

    @property
    def octets(self) -> tuple[int, int]:
        """To the target, and from it."""
        get = self.event.last
        return (int(get("http.request.bytes", 0)) or int(get("source.bytes", 0)),
                int(get("http.response.bytes", 0)) or int(get("destination.bytes", 0)))

    def get(self, field: str) -> Any:
        return self.event.last(field)


def report(page: Page) -> str:
    """The page."""
    material = page.material
    states = {each.position: state_of(each)[0] for each in material.records}
    known = [Found(each.position, fields(each.envelope, each.detail))
             for each in material.records if not is_erased(each.envelope)]
    rows = sorted((Row(event := Event(id, tuple(found)),
                       tuple(f"{each.position:012d}" for each in found),
                       any(states[each.position] == "erased" for each in event.records))
                   for id, found in gathered(known).items()), key=lambda row: row.event.begin)
    complaints = sorted({micros(each.complaint) for each in page.stated.searches
                         if each.complaint})
    drawn = chart([(row.event.begin, str(row.event.first("outbounds.verdict"))) for row in rows],
                  complaints) if rows else None
    return _template().render(
        page=page, stated=page.stated, rows=rows, chart=drawn, verdicts=verdicts_of(drawn),
        targets=Counter(row.target for row in rows if row.target).most_common(_TOP_TARGETS),
        egress=sorted({row.endpoint("source.nat").rpartition(":")[0].strip("[]")
                       for row in rows if row.endpoint("source.nat")}),
        span=(rows[0].begin, moment(max(row.event.end or row.event.begin for row in rows)))
        if rows else ("", ""),
        gone=[f"{position:012d}" for position, state in states.items() if state == "gone"],
        entries=[(line, told(line)) for line in material.lines],
        signed_at=moment(int(page.checkpoint.at or 0) * 1_000_000)[:19],
        covered=max((each.position for each in material.records), default=0),
        box={"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": RIGHT, "top": TOP})


def verdicts_of(drawn: Chart | None) -> list[tuple[str, str, int]]:
    """(name in the chart, in words, how many) of the verdicts there are."""
    words = {"allow": "allowed", "pace": "allowed after a wait", "refuse": "refused",
             "": "without a verdict"}
    return [(name, words[name], drawn.totals[name]) for name in VERDICTS
            if drawn is not None and name in drawn.totals]


def moment(at: int) -> str:
    """Unix µs as people read it."""
    text = datetime.fromtimestamp(at // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"{text}.{at % 1_000_000 // 1000:03d}"


def _lasted(micros: int) -> str:
    seconds = micros / 1e6
    if seconds < 60:
        return f"{seconds:.3f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def octets(count: int) -> str:
    """Grouped in threes, as people read numbers."""
    return f"{count:,}".replace(",", "\u00a0")


@cache
def _template() -> Template:
    environment = Environment(loader=PackageLoader(__package__, ""), autoescape=True,
                              undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["octets"] = octets
    environment.filters["moment"] = lambda at: moment(at * 1_000_000)[:19]
    return environment.get_template("report.html.jinja")
