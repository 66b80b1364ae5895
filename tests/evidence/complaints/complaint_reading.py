"""What a complaint was read as, in lines that a table can hold."""

from __future__ import annotations

from outbounds.evidence.complaints import Clock, Complaint, Moment, Sighting, parse
from outbounds.evidence.complaints.moments import utc

NOW = 1_795_265_000_000_000  # 2026-11-21 12:43:20 UTC
CLOCK = Clock(NOW)


def when(moment: Moment) -> str:
    """"12:03:07" of that day, "2026-11-20 22:03:07 .. 12:03:59" and so on; a whole second once."""
    first, last = (utc(each).removesuffix(" UTC").removeprefix("2026-11-21 ")
                   for each in (moment.earliest, moment.latest))
    return first if first == last else f"{first} .. {last}"


def line(sighting: Sighting) -> str:
    """address port | times | target port | method path status; "-" for what is not said."""
    port = sighting.port or "-"
    target = f"{sighting.target or '-'} {sighting.target_port or '-'}"
    asked = f"{sighting.method or '-'} {sighting.path or '-'} {sighting.status or '-'}"
    times = ", ".join(when(each) for each in sighting.moments) or "-"
    return f"{sighting.address} {port} | {times} | {target} | {asked}"


def read(text: str | bytes, **options: object) -> Complaint:
    octets = text.encode() if isinstance(text, str) else text
    return parse(octets, CLOCK, **options)  # type: ignore[arg-type]
