"""The `traceparent` of a request (W3C Trace Context, section 3.2), for the record.

It goes to the target as it came: a proxy that takes no part in a trace forwards it (section 3.4).
One that is malformed is as good as none (section 3.2.2.3), and so are two of them: nobody could say
which.
"""

from __future__ import annotations

import re

# version 00 ends after the flags; a later one may go on behind a dash, and ff is no version
_TRACEPARENT = re.compile(
    r"(?!ff)(?:00-(?P<trace>[0-9a-f]{32})-(?P<parent>[0-9a-f]{16})-[0-9a-f]{2}"
    r"|(?!00)[0-9a-f]{2}-(?P<trace_>[0-9a-f]{32})-(?P<parent_>[0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?)",
    re.ASCII)


def trace_context(values: list[str]) -> dict[str, str]:
    """`trace_id` and `parent_id` of a `Record`, from all values of the field; {} where it is
    missing or malformed."""
    if len(values) != 1:
        return {}
    found = _TRACEPARENT.fullmatch(values[0])
    if found is None:
        return {}
    trace, parent = found["trace"] or found["trace_"], found["parent"] or found["parent_"]
    if not trace.strip("0") or not parent.strip("0"):
        return {}
    return {"trace_id": trace, "parent_id": parent}
