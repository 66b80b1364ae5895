"""What else a server may take a request target for, beside what the standards make of it.

RFC 9309 compares paths as RFC 3986 spells them, and so does `robots_spelling`. Servers read more
leniently, each in its own way. A number sign, which does not belong into a request target, may be
cut off with what follows it or be a character like any other (RFC 9112 section 3.2). nginx decodes
"%2F" and merges slashes, also before it resolves dot segments; IIS takes "\\" for "/"; Tomcat drops
";x" from a segment first. So "//private", "/open%2F..%2Fprivate" and "/private;x/page" are pages
below /private on most of the web, and to the letter match no "Disallow: /private/".

A crawler that means well can go by the letter. In the path of others, who could have one page
judged and another one fetched, every reading has to be allowed: that refuses a little more than
the standard, in places where a server tells such spellings apart, and nothing gets through that it
refuses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_MANY = re.compile(r"[#\\;]|//|\.\.|%2[EeFf]|%5[Cc]|/\.(?:[/?]|$)")
_ENCODED = re.compile(r"%(?:(2[Ee])|2[Ff]|5[Cc])")


def others(target: str) -> tuple[str, ...]:
    """What `target`, a path and query, may also stand for, as request targets, three at most; ()
    for nearly every target."""
    if _MANY.search(target) is None:
        return ()
    whole = target.replace("#", "%23")
    path, mark, query = whole.partition("?")
    plain = _ENCODED.sub(lambda each: "." if each[1] else "/", path).replace("\\", "/")
    parts = plain.split("/")
    bare = [part.partition(";")[0] for part in parts]
    found = (whole, *(_resolved(each) + mark + query for each in (parts, bare)))
    return tuple(dict.fromkeys(each for each in found if each != target))


def _resolved(parts: Sequence[str]) -> str:
    """The path without empty and dot segments."""
    kept: list[str] = []
    for part in parts:
        if part == "..":
            del kept[-1:]
        elif part not in ("", "."):
            kept.append(part)
    if kept and parts[-1] in ("", ".", ".."):
        kept.append("")
    return "/" + "/".join(kept)
