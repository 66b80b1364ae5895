"""What lenient servers make of a request target: each reading is one that must be allowed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbounds.core.robots_readings import others


@pytest.mark.parametrize(("target", "readings"), [
    # nearly every target has one reading
    ("/", ()), ("/a/b.html?x=/../y", ()), ("/a?u=http://x/;y", ()), ("/.well-known/x", ()),
    ("/a...b", ()), ("/a%20b", ()), ("/a%252Fb", ()), ("*", ()), ("", ()),
    # RFC 9112 section 3.2: a request target has no fragment; servers cut it off, or do not
    ("/a#b", ("/a%23b",)),
    ("/a#?b", ("/a%23?b",)),
    ("/open#/../closed", ("/open%23/../closed", "/closed")),
    ("/robots.txt#/../closed?x", ("/robots.txt%23/../closed?x", "/closed?x")),
    # nginx: decoded and merged, then resolved
    ("//closed", ("/closed",)),
    ("/a//b/", ("/a/b/",)),
    ("/%2Fclosed", ("/closed",)),
    ("/closed%2fx", ("/closed/x",)),
    ("/open%2F..%2fclosed", ("/closed",)),
    ("/open/..%2Fclosed", ("/closed",)),
    ("/open//../closed", ("/closed",)),
    ("/open/%2e%2e//closed", ("/closed",)),
    ("/%2e%2Ewell", ("/..well",)),
    # IIS
    ("/open\\..\\closed", ("/closed",)),
    ("/open/..%5cclosed", ("/closed",)),
    # Tomcat
    ("/closed;x=1/page?y;z", ("/closed/page?y;z",)),
    ("/open/..;x=1/closed", ("/closed",)),
    ("/open;x/../closed;y", ("/closed;y", "/closed")),
    ("/a/;x/b;", ("/a/b",)),
    # what the standards resolve is among them
    ("/./closed", ("/closed",)),
    ("/../..", ("/",)),
    ("/a/b/..", ("/a/",)),
    ("/a\\./b/?q#f", ("/a\\./b/?q%23f", "/a/b/?q%23f")),
])
def test_readings(target: str, readings: tuple[str, ...]) -> None:
    assert others(target) == readings


@given(st.lists(st.sampled_from(["/", ".", "..", "a", "?", "%2e", "%2F", "%5C", "\\", ";", "#"]))
       .map("".join))
def test_the_last_reading_has_no_further_one(tail: str) -> None:
    *_, last = others("/" + tail) or ("/",)
    assert last.startswith("/") and others(last) == ()
