"""What a reply says of its own use, as its closing record has it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbounds.evidence.fields import FIELDS
from outbounds.evidence.line import flat
from outbounds.evidence.record import END, Encoder, Record
from outbounds.proxy.robots_fields import robots_fields

TAG, USAGE = FIELDS["robots_tag"][0], FIELDS["robots_content_usage"][0]
ENCODER = Encoder("session", bytes(32))


def written(*fields: tuple[bytes, bytes]) -> dict[str, str]:
    """The line of a record that has them."""
    record = Record(timestamp="", id="", type=END, kind="event", action="request",
                    **robots_fields(fields))
    line: dict[str, str] = flat(ENCODER.encode(record))
    return {name: value for name, value in line.items() if name in (TAG, USAGE, "outbounds.cut")}


@pytest.mark.parametrize(("fields", "expected"), [
    ([], {}),
    ([(b"Content-Type", b"text/html"), (b"X-Robots", b"none")], {}),
    ([(b"X-Robots-Tag", b"noindex, nofollow")], {TAG: "noindex, nofollow"}),
    ([(b"x-robots-tag", b"googlebot: nofollow"), (b"Date", b"x"), (b"X-ROBOTS-TAG", b"otherbot: "
      b"noindex")], {TAG: "googlebot: nofollow, otherbot: noindex"}),
    ([(b"content-usage", b"train-ai=n")], {USAGE: "train-ai=n"}),
    ([(b"X-Robots-Tag", b"noai"), (b"Content-Usage", b"search=y")],
     {TAG: "noai", USAGE: "search=y"}),
    ([(b"X-Robots-Tag", b"")], {}),
    # octets that are no UTF-8, controls, and what turns text around
    ([(b"X-Robots-Tag", b"a\xff\x1b[1m\xe2\x80\xaeb")], {TAG: "a%FF%1B[1m%E2%80%AEb"}),
    ([(b"X-Robots-Tag", "schön".encode())], {TAG: "schön"}),
])
def test_fields(fields: list[tuple[bytes, bytes]], expected: dict[str, str]) -> None:
    assert written(*fields) == expected


def test_what_does_not_fit_is_cut_and_said_to_be() -> None:
    bound = FIELDS["robots_tag"][1]
    assert written((b"X-Robots-Tag", b"x" * 100_000)) == {
        TAG: "x" * bound, "outbounds.cut": TAG}
    many = [(b"X-Robots-Tag", b"noindex")] * 10_000
    got = written(*many)
    assert got["outbounds.cut"] == TAG
    assert got[TAG] == ("noindex, " * 100)[:bound]
    assert len(robots_fields(many)["robots_tag"]) < 2 * bound


@given(st.lists(st.tuples(st.sampled_from([b"X-Robots-Tag", b"Content-Usage", b"Via"]),
                          st.binary(max_size=600))))
def test_no_octets_are_too_strange(fields: list[tuple[bytes, bytes]]) -> None:
    for name, text in written(*fields).items():
        assert text.isprintable() and len(text.encode()) <= 512, name
