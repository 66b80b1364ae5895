"""An exception as a log may have it: where it came from, and what it says without what a client
sent. Parsers quote what they cannot parse, and that may be a password."""

from __future__ import annotations

import re
import traceback

from ..evidence.privacy import scrubbed_reason

_QUOTED = re.compile(r"""(['"]).*?\1""", re.DOTALL)
_CHAINED = 5  # exceptions behind the first


def told(fault: BaseException) -> str:
    """The lines of a traceback, with the message of each exception scrubbed."""
    lines: list[str] = []
    each: BaseException | None = fault
    while each is not None and len(lines) <= _CHAINED:
        frames = "".join(traceback.format_tb(each.__traceback__))
        message = _QUOTED.sub("…", scrubbed_reason(str(each)))
        lines.append(f"{frames}{type(each).__name__}: {message}")
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
    return "\nwhich came of\n".join(lines)
