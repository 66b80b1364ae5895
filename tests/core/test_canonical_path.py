"""Most paths are canonical as they come; that is seen at a glance, and must never be a mistake."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from outbounds.core.url_prefix import canonical_path


@given(st.lists(st.sampled_from(["/", ".", "..", "a", "?", "%41", "%", "\\", "é", "//", "#", " "])
                ).map("".join))
@example("/")
@example("/a?")
@example("/a/?b//c/./d")
@example("/a/.b")
def test_what_is_done_at_a_glance_is_what_the_long_way_does(rest: str) -> None:
    # a dot segment in front changes nothing, and has to be resolved
    assert canonical_path(f"/{rest}") == canonical_path(f"/./{rest}")
