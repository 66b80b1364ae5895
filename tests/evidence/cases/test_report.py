"""The report: texts are shown and never obeyed, and the chart says what there is."""

from __future__ import annotations

import itertools
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbounds.evidence.archive.reading import Stored
from outbounds.evidence.cases import statement as statements
from outbounds.evidence.cases.chart import BOTTOM, HEIGHT, LEFT, RIGHT, SECOND, TOP, WIDTH, chart
from outbounds.evidence.cases.custody import Added, Held, Noted, Opened, next_line, pack
from outbounds.evidence.cases.material import Addition, Material
from outbounds.evidence.cases.report import Page, report
from outbounds.evidence.cases.store import Case
from outbounds.evidence.decision import closing, opening
from outbounds.evidence.identifier import new_id
from outbounds.evidence.line import placeholder, split
from outbounds.evidence.record import Encoder
from outbounds.evidence.tlog.checkpoint import Checkpoint
from outbounds.evidence.tlog.note import Verifier
from outbounds.evidence.witness.stamps import Stamp

AT = 1_795_262_587_000_250_000
KEY = Verifier("log.example.net", bytes(32))
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}{% raw %}&amp;]]>"


def page(texts: str, events: int = 1, erase: int = 0, stamps: list[Stamp] | None = None) -> Page:
    encoder, stored, position = Encoder("test", b"k" * 32), [], itertools.count()
    for number in range(events):
        at = AT + number * 977_000_000
        record = opening(id=new_id(at), at=at, action="request")
        for name in ("user_id", "source_ip", "destination_domain", "user_agent", "reason",
                     "rule_id", "rule_reference", "http_request_method"):
            setattr(record, name, texts)
        record.verdict = ("allow", "pace", "refuse", texts)[number % 4]
        lines = [encoder.encode(record, f"/{texts}"),
                 encoder.encode(closing(record, at=at + 10**9, outcome="success", duration=10**9,
                                        egress=(texts, 1), dialled=texts, reason=texts))]
        stored += [Stored(next(position), *split(line)) for line in lines]
    stored = [each._replace(envelope=placeholder(each.envelope), detail=b"")
              if each.position < erase else each for each in stored]
    lines_of = []
    for content in (Opened(title=texts, key=str(KEY)), Noted(text=texts),
                    Added(query=texts, events=events, records=len(stored), size=len(stored),
                          items="", accounts=(texts,), conditions={"x": texts},
                          complaint="2026-11-21T12:03:07.000000Z", findings=(texts,)),
                    Held(reason=texts, account=texts)):
        lines_of.append(next_line(lines_of, at="2026-11-21T12:03:07.000000Z", case="C-1",
                                  operator=texts, record="r", content=content,
                                  octets=pack(content)[0]))
    added = lines_of[2].content
    assert isinstance(added, Added)
    material = Material(Case(Path(), tuple(lines_of)), (texts,), 1, events, stored,
                        [Addition(lines_of[2], added, events)], lines_of, [], ())
    stated = statements.make(material, b"", made="2026-11-21T12:03:07.000000Z", made_by=texts,
                             log=KEY.name)
    return Page(stated, material, Checkpoint(KEY.name, 99, bytes(32), (
        "time 2026-11-21T12:03:08Z",)), KEY, stamps or [])


class _Elements(HTMLParser):
    """What a browser would make of it."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def parsed(text: str) -> _Elements:
    found = _Elements()
    found.feed(text)
    found.close()
    assert found.open == []
    return found


STAMPS = [Stamp(HOSTILE, kind, 7, bytes(32), AT // 10**9, ())
          for kind in ("file", "url", "timestamp")]


def test_texts_are_shown_and_not_obeyed() -> None:
    found = parsed(report(page(HOSTILE, 4, stamps=STAMPS)))
    plain = parsed(report(page("plain", 4, stamps=[
        Stamp("plain", each.kind, 7, bytes(32), 1, ()) for each in STAMPS])))
    assert found.tags == plain.tags and not {"script", "img", "link", "iframe"} & found.tags
    assert {(tag, name) for tag, name, _ in found.attributes} \
        == {(tag, name) for tag, name, _ in plain.attributes}
    assert not any(name.startswith("on") for _, name, _ in found.attributes)
    assert HOSTILE in "".join(found.texts) and "49" not in "".join(found.texts).split()


def test_nothing_comes_from_elsewhere() -> None:
    text = report(page("https://evil.example.net/x.png", 4, stamps=STAMPS[:0]))
    for tag, name, value in parsed(text).attributes:
        if name in ("src", "href", "action", "style", "xlink:href"):
            assert value.startswith("records/") or (tag, name) == ("figure", "style")
    assert "url(" not in text and "@import" not in text


def test_who_cannot_see_the_chart_is_told() -> None:
    text = report(page("x", 4))
    found = parsed(text)
    assert ("svg", "role", "img") in found.attributes
    assert ("svg", "aria-labelledby", "chart-title chart-text") in found.attributes
    words = " ".join("".join(found.texts).split())
    assert "1 allowed, 1 allowed after a wait, 1 refused, 1 without a verdict." in words
    assert "The complaint speaks of 2026-11-21 12:03:07 UTC." in words
    # every table has a caption and headers that say what they head
    assert text.count("<table>") == text.count("<caption>")
    assert {value for tag, name, value in found.attributes if tag == "th" and name == "scope"} \
        == {"col"}


@pytest.mark.parametrize(("events", "erase"), [(1, 0), (1, 1), (1, 2), (3, 6), (3, 2)])
def test_few_records_or_none_that_are_left(events: int, erase: int) -> None:
    text = report(page("x", events, erase))
    parsed(text)
    assert ("removed from the log" in text) == (erase > 0)
    assert ("<svg" in text) == (erase < 2 * events)


def test_very_many() -> None:
    text = report(page("x", 2500))
    assert text.count("<tr>") > 2500 and len(parsed(text).texts) > 10_000


# --- the chart ----------------------------------------------------------------------------------

moments = st.integers(0, 4_000_000_000 * SECOND)
events = st.lists(st.tuples(moments, st.sampled_from(["allow", "pace", "refuse", "", "odd"])),
                  min_size=1, max_size=60)


@given(events, st.lists(moments, max_size=3))
def test_everything_is_on_the_chart(found: list[tuple[int, str]], complaints: list[int]) -> None:
    drawn = chart(found, complaints)
    assert sum(drawn.totals.values()) == len(found)
    for bar in drawn.bars:
        assert bar.x >= LEFT - 0.01 and bar.x + bar.width <= WIDTH - RIGHT + 0.01
        assert bar.y >= TOP - 0.1 and bar.y + bar.height <= HEIGHT - BOTTOM + 0.1
        assert bar.height > 0
    for mark in [*drawn.complaints, *drawn.ticks]:
        assert LEFT - 0.01 <= mark.at <= WIDTH - RIGHT + 0.01
    unit = (HEIGHT - TOP - BOTTOM) / int(drawn.counts[-1].text)
    assert sum(bar.height for bar in drawn.bars) == pytest.approx(len(found) * unit, abs=1)


@pytest.mark.parametrize(("span", "step", "first"), [
    (0, "one second", "12:03:02"),
    (30, "one second", "12:03:07"),
    (3600, "2 minutes", "12:02"),
    (86_400, "30 minutes", "12:00"),
    (90 * 86_400, "2 days", "2026-11-21"),
])
def test_bars_last_as_long_as_is_sensible(span: int, step: str, first: str) -> None:
    at = AT // 1000
    drawn = chart([(at, "allow"), (at + span * SECOND, "refuse")])
    assert (drawn.step, drawn.ticks[0].text) == (step, first)
