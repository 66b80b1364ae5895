"""When events were over whose opening lies in one segment and whose closing in a later one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress

from ..archive.layout import Segment
from ..archive.reading import Damaged, read_segment
from ..archive.seal import load_seal
from ..record import END
from .facts import facts_of

REACH = 7 * 86_400 * 1_000_000
"""µs after a segment for which closings of what it left open are looked for."""


def ends_beyond(segments: Sequence[Segment], due: Collection[str], until: int) -> dict[str, int]:
    """Event to when it was over (Unix µs), for events that the segments of the stems `due` leave
    open. `segments` are the sealed ones, oldest first; those that begin after `until` are not
    looked at, since what was over then is not due. One sweep. Raises BadSeal, OSError."""
    found: dict[str, int] = {}
    waiting: dict[str, int] = {}  # event: until when it is looked for
    for segment in segments:
        seal = load_seal(segment.seal)
        if seal.begin > until:
            break
        if segment.stem not in due:
            waiting = {event: last for event, last in waiting.items() if last >= seal.begin}
            if not waiting:
                continue
        opened: set[str] = set()
        with suppress(Damaged, OSError):  # who has to change that one will say so
            for stored in read_segment(segment):
                facts = facts_of(stored.envelope)
                if facts is None:
                    continue
                if facts.type != END:
                    opened.add(facts.event)
                    continue
                opened.discard(facts.event)
                if waiting.pop(facts.event, None) is not None:
                    found[facts.event] = facts.at
        if segment.stem in due:
            waiting.update(dict.fromkeys(opened, seal.end + REACH))
    return found
