"""Most paths are canonical as they come; that is seen at a glance, and must never be a mistake."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from outbounds.core.url_prefix import canonical_path, readings


@given(st.lists(st.sampled_from(["/", ".", "..", "a", "?", "%41", "%", "\\", "é", "//", "#", " "])
                ).map("".join))
@example("/")
@example("/a?")
@example("/a/?b//c/./d")
@example("/a/.b")
def test_what_is_done_at_a_glance_is_what_the_long_way_does(rest: str) -> None:
    # a dot segment in front changes nothing, and has to be resolved
    assert canonical_path(f"/{rest}") == canonical_path(f"/./{rest}")


@pytest.mark.parametrize(("path", "places"), [
    ("/a", ("/a",)),
    ("/%61/./b?c=//d", ("/a/b?c=//d",)),
    # RFC 3986 section 3.4: a query begins with the first question mark; servers that decode first
    # see one in %3F, too
    ("/login%3Fnext=https://x/", ("/login?next=https:/x/", "/login?next=https://x/")),
    ("/x/..%3Fy", ("/x/..?y", "/?y")),
    ("/x%3Fy", ("/x?y",)),
    # RFC 9112 section 3.2.1: a request target has no fragment; servers cut it off, or do not
    ("/a#b", ("/a", "/a%23b")),
    ("/x#/../y", ("/x", "/y")),
    ("/a%23b", ("/a%23b",)),
    ("/a#b#c", ("/a", "/a%23b%23c")),
    ("/" + "#" * 4000, ("/", "/" + "%23" * 4000)),
    ("/x%3F/../y#z/../w", ("/y", "/x?/../y", "/w", "/x?/../y%23z/../w")),
])
def test_a_path_is_read_in_every_way_that_servers_may(path: str, places: tuple[str, ...]) -> None:
    assert readings(path) == tuple(place.encode() for place in places)


def test_too_many_layers_cannot_be_read() -> None:
    assert readings("/%" + "25" * 9 + "41") is None


@given(st.text("ab/.%?#23f5\\", max_size=40))
def test_readings_are_bounded_and_hold_the_canonical_form(path: str) -> None:
    found = readings("/" + path)
    canonical = canonical_path("/" + path)
    if found is None:
        assert canonical is None
        return
    assert 1 <= len(found) <= 6 and all(place.startswith(b"/") for place in found)
    assert canonical is None or canonical == found[0]
    assert len(found) > 1 or canonical is not None
