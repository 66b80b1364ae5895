"""What lenient servers make of a request target: each reading is one that must be allowed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbounds.core.robots_readings import others


@pytest.mark.parametrize(("target", "readings"), [
    # nearly every target has one reading
    ("/", ()), ("/a/b.html?x=/../y", ()), ("/a//b", ()), ("//a", ()),
    ("/a%2Fb", ()), ("/a%5Cb", ()), ("/a;x/b", ()), ("/.well-known/x", ()), ("/a...b", ()),
    ("/%2e%2Ewell", ()), ("*", ()), ("", ()),
    # RFC 9112 section 3.2: a request target has no fragment; servers cut it off, or do not
    ("/a#b", ("/a%23b",)),
    ("/a#?b", ("/a%23?b",)),
    ("/open#/../closed", ("/open%23/../closed", "/closed")),
    ("/robots.txt#/../closed?x", ("/robots.txt%23/../closed?x", "/closed?x")),
    # decoded or merged before dot segments are resolved
    ("/open%2F..%2fclosed", ("/closed",)),
    ("/open/..%2Fclosed", ("/closed",)),
    ("/open//../closed", ("/closed",)),
    ("/open/%2e%2e//closed", ("/closed",)),
    ("/open\\..\\closed", ("/closed",)),
    ("/open/..%5cclosed", ("/closed",)),
    ("/open/..;x=1/closed", ("/closed",)),
    ("/open;x/../closed;y", ("/closed;y",)),
    ("/./closed", ("/closed",)),
    ("/../..", ("/",)),
    ("/a/b/..", ("/a/",)),
    ("/a/b/.;x", ("/a/b/",)),
    ("/a\\./b/?q#f", ("/a\\./b/?q%23f", "/a/b/?q%23f")),
])
def test_readings(target: str, readings: tuple[str, ...]) -> None:
    assert others(target) == readings


@given(st.lists(st.sampled_from(["/", ".", "..", "a", "?", "%2e", "%2F", "%5C", "\\", ";", "#"]))
       .map("".join))
def test_what_was_resolved_has_no_further_reading(tail: str) -> None:
    target = "/" + tail
    *_, last = others(target) or ("/",)
    if last != target.replace("#", "%23"):
        assert last.startswith("/") and others(last) == ()
