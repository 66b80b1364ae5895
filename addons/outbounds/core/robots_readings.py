"""What else a server may take a request target for, beside what the standards make of it.

RFC 9309 compares paths as RFC 3986 spells them, and so does `robots_spelling`. Servers read more
leniently, each in its own way: a number sign, which does not belong into a request target, may be
cut off with what follows it or be a character like any other (RFC 9112 section 3.2); nginx decodes
"%2F" and merges slashes before it resolves dot segments; IIS takes "\\" for "/"; Tomcat drops
";x" from a segment first. A customer could use each of them to have one path judged and another
one fetched. So where it matters every reading has to be allowed.

It matters with dot segments only. Where there are none, "//" and "%2F" are left to the letter of
the standard: there are sites whose rules tell them apart.
"""

from __future__ import annotations

import re

_MANY = re.compile(r"[#\\]|\.\.|%2[EeFf]|%5[Cc]|/\.(?:[/;?]|$)")
_ENCODED = re.compile(r"%(?:(2[Ee])|2[Ff]|5[Cc])")


def others(target: str) -> tuple[str, ...]:
    """Path and query that `target` may also stand for, as request targets; () for nearly every
    target. The reading of the standards is not among them."""
    if _MANY.search(target) is None:
        return ()
    found = []
    whole = target.replace("#", "%23")
    if whole != target:
        found.append(whole)
    path, mark, query = whole.partition("?")
    plain = _ENCODED.sub(lambda each: "." if each[1] else "/", path).replace("\\", "/")
    # without what is empty, and without a segment's parameters where it is dots
    parts = [part for part in plain.split("/") if part]
    names = [part.partition(";")[0] for part in parts]
    if not {".", ".."}.isdisjoint(names):
        kept: list[str] = []
        for part, name in zip(parts, names, strict=True):
            if name == "..":
                del kept[-1:]
            elif name != ".":
                kept.append(part)
        if kept and (plain.endswith("/") or names[-1] in (".", "..")):
            kept.append("")
        found.append("/" + "/".join(kept) + mark + query)
    return tuple(found)
