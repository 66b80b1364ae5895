"""Whatever a list holds: BadList or entries, every line accounted for, and plain lines read at
once mean what they mean one by one."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from list_text import read
from sample_entries import EXPECTED

from outbounds.core.destination import BadHost
from outbounds.core.list_entry import BadEntry, Entry, Kind, canonical_name
from outbounds.lists.formats.lines import LineFormat
from outbounds.lists.formats.plain import Shape
from outbounds.lists.formats.suffixes import is_public_suffix
from outbounds.lists.formats.table import FORMATS
from outbounds.lists.reading import BadList, Report

SAMPLES = Path(__file__).parents[1] / "samples"
_LINES = sorted({line for sample in EXPECTED
                 for line in (SAMPLES / sample).read_text("utf-8").split("\n")})
_ODD = st.text(st.sampled_from("ab.-_*|@^$/:;,#!()[]{}\"'\\= \t0x19%~é。\u200d\ud7ff"), max_size=40)
_LINE = st.one_of(st.sampled_from(_LINES), _ODD,
                  st.builds(lambda a, b: a + b, st.sampled_from(_LINES), _ODD),
                  st.builds(lambda a, at, b: a[:at] + b + a[at:], st.sampled_from(_LINES),
                            st.integers(0, 40), _ODD))
_NAMES = [*FORMATS, "auto"]


def _holds(format: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            entries, report = read(Path(folder), format, content)
        except BadList as error:
            assert str(error).startswith("x.txt")
            return
    assert report.lines == report.comments + report.kept + report.unsupported + report.rejected
    assert report.entries == len(entries)
    assert report.reasons.total() == report.unsupported + report.rejected
    lines = [entry.line for entry in entries]
    assert lines == sorted(lines) and all(1 <= line <= report.lines for line in lines)


@pytest.mark.parametrize("format", _NAMES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(octets=st.binary(max_size=300))
def test_no_octets_raise_anything_but_bad_list(format: str, octets: bytes) -> None:
    _holds(format, octets)


@pytest.mark.parametrize("format", _NAMES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lines=st.lists(_LINE, max_size=12))
def test_nearly_good_lines_are_all_accounted_for(format: str, lines: list[str]) -> None:
    _holds(format, "\n".join(lines).encode())


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(1, 400), flip=st.integers(0, 400), octet=st.integers(0, 255))
def test_a_damaged_packed_file_raises_nothing_but_bad_list(
        cut: int, flip: int, octet: int) -> None:
    octets = bytearray(gzip.compress((SAMPLES / "hosts.txt").read_bytes(), mtime=0))
    octets[flip % len(octets)] = octet
    _holds("hosts", bytes(octets[:cut]))


_PART = st.text(st.sampled_from("ab9-_"), min_size=0, max_size=4)
_NAME = st.one_of(
    st.lists(_PART, min_size=1, max_size=4).map(".".join),
    st.sampled_from(["com", "co.uk", "xn--bcher-kva.com", "a.0x1f", "0x7f.1", "1.2.3.4", "a.1",
                     "made-up.np", "x." + "a" * 64 + ".com", "a" * 62 + ".com", "a" * 63 + ".com",
                     "A.com", "a.com.", " a.com", "a.com # b", "", "#", "é.com", "www.ck"]))


@settings(max_examples=400, deadline=None)
@given(names=st.lists(_NAME, min_size=1, max_size=6), before=st.sampled_from(["", "*.", "||"]),
       kind=st.sampled_from([Kind.DOMAIN, Kind.HOST]))
def test_what_is_taken_for_plain_is_canonical_as_it_stands(
        names: list[str], before: str, kind: Kind) -> None:
    after = "^" if before == "||" else ""
    shape = Shape(kind, before, after)
    found = shape.names("".join(f"{before}{name}{after}\n" for name in names))
    if found is None:
        return
    assert found == names
    for name in names:
        assert canonical_name(name) == name
        assert kind is Kind.HOST or not (is_public_suffix(name) or "." not in name)


def test_plain_names_are_taken_for_plain() -> None:
    names = ["example.com", "www.a-b.example.co.uk", "_dmarc.example.org", "r3---sn.example.net"]
    for name in names:
        assert Shape(Kind.DOMAIN).names(f"{name}\n") == [name]


@settings(max_examples=100, deadline=None)
@given(names=st.lists(_NAME, min_size=1, max_size=150),
       format=st.sampled_from(["domains", "hosts", "wildcard", "dstdomain", "dnsmasq"]))
def test_lines_read_at_once_give_what_they_give_one_by_one(names: list[str], format: str) -> None:
    whole = FORMATS[format]
    assert isinstance(whole, LineFormat) and whole.shapes
    shape = whole.shapes[0]
    text = "".join(f"{shape.before}{name}{shape.after}\n" for name in names)

    def entries(reader: LineFormat) -> tuple[list[Entry], Report] | str:
        report = Report(format)
        try:
            return [entry for batch in reader.block(1, text, "x", report)
                    for entry in batch], report
        except (BadList, BadEntry, BadHost) as error:
            return str(error)

    assert entries(whole) == entries(LineFormat(whole.parse))


def test_a_record_over_several_lines_has_one_reason_that_counts_them_all() -> None:
    """Met by the property above: the lines after the first had none."""
    _holds("rpz", b"three\tIN\tCNAME\t.\n(\n)")
    with tempfile.TemporaryDirectory() as folder:
        _, report = read(Path(folder), "rpz", b"three IN CNAME .\n(\n)\nx (\nIN TXT\ny)")
    assert (report.lines, report.kept, report.rejected, report.unsupported) == (6, 1, 2, 3)
    assert report.reasons.total() == 5 and len(report.samples) == 1
