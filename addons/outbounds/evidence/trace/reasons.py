"""Why an account is a candidate, and what is uncertain about it, in sentences.

No sentence names another account: they go into bundles, which hold nothing of other customers.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..complaints.moments import utc
from .matching import Match
from .ranking import HOUR, Candidate


def length(microseconds: int) -> str:
    """A length of time in its largest unit but one: 1 h 2 min, 40 s, 1.25 s."""
    seconds = abs(microseconds) / 1e6
    for unit, size, below in (("day", 86_400, "h"), ("h", 3600, "min"), ("min", 60, "s")):
        if seconds >= size:
            whole, rest = divmod(round(seconds), size)
            rest //= {"h": 3600, "min": 60, "s": 1}[below]
            several = "s" if unit == "day" and whole > 1 else ""
            return f"{whole} {unit}{several}" + (f" {rest} {below}" if rest else "")
    return f"{seconds:.3g} s"


def endpoint(address: str, port: int | None) -> str:
    """192.0.2.7:51234, [2001:db8::7]:51234, or the address alone."""
    if not port:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def went_out(found: Match) -> str:
    """From where an event went out, as it was recorded."""
    wanted = (found.sighting.address, found.sighting.port)
    best = sorted(found.facts.egress, key=lambda each: (each != wanted, each[1] != wanted[1], each))
    return endpoint(*best[0]) if best else ""


def went_to(found: Match) -> str:
    """Where an event went, by its best name."""
    facts = found.facts
    host = min(facts.names, default="") or min(facts.addresses, default="")
    return endpoint(host, facts.target_port)


def reasons(found: Match) -> Iterator[str]:
    """What `found` agrees on with its sighting, and on what it does not."""
    facts, said, levels = found.facts, found.sighting, found.levels
    out = went_out(found)
    if not facts.account:
        yield f"the proxy itself did it, for no account: {facts.action}"
    yield {
        "endpoint": f"it went out from {out}, the very address and port",
        "translated": f"it went out from {out}; something in front of the proxy turns that address "
                      f"into {said.address}, and seems to keep the port",
        "address": f"it went out from {out}",
        "behind": f"it went out from {out}, which something in front of the proxy must have turned "
                  f"into {endpoint(said.address, said.port)}",
        "unrecorded": "no record says from which address it went out",
    }[levels["egress"]]
    yield _time(found)
    to = went_to(found)
    if levels["target"] != "unknown":
        yield {
            "host": f"it went to {to}, as the complaint says",
            "address": f"it reached {said.target}, as the complaint says" +
                       (f", by the name {min(facts.names)}" if facts.names else ""),
            "site": f"it went to {to}, of the same site as {said.target}",
            "other": f"it went to {to}, and the complaint says {said.target}",
        }[levels["target"]]
    elif to:
        yield f"it went to {to}"
    if levels["target_port"] == "other":
        yield f"the complaint says port {said.target_port} of the target"
    for name, recorded, stated in (("method", facts.method, said.method),
                                   ("path", facts.path, said.path),
                                   ("status", facts.status, said.status)):
        if levels[name] == "equal":
            yield f"the {name} is {recorded}, as the complaint says"
        elif levels[name] == "other":
            yield f"the {name} is {recorded}, and the complaint says {stated}"


def _time(found: Match) -> str:
    facts = found.facts
    span = f"from {utc(facts.begin)} " + (
        "on, and is not over" if facts.end is None else f"to {utc(facts.end)}")
    if found.gap == 0:
        return f"it lasted {span}: the stated time lies in it"
    before = facts.end is not None and facts.end < found.moment.earliest
    return f"it lasted {span}: the stated time is {length(found.gap)} " \
           f"{'after its end' if before else 'before its beginning'}"


def doubts(candidate: Candidate, tolerance: int) -> Iterator[str]:
    """What is not certain about `candidate`, by its best match."""
    best = candidate.matches[0]
    said, facts, levels = best.sighting, best.facts, best.levels
    others = candidate.rivals
    if others and levels["egress"] == "endpoint":
        yield f"the address and port were used by {others + 1} accounts within the margins"
    elif others:
        yield f"{others + 1} accounts fit: the address is shared" + (
            "" if said.port else ", and the complaint gives no port")
    elif said.port is None and levels["egress"] == "address":
        yield "the complaint gives no port, so that only the target and the time tell accounts " \
              "apart" if said.target else "the complaint gives neither a port nor a target"
    if best.moment.note:
        yield best.moment.note
    if best.moment.latest - best.moment.earliest > HOUR:
        yield "the stated time is only known to " \
              f"{length(best.moment.latest - best.moment.earliest + 1)}"
    if best.gap:
        yield f"it fits only if a clock is off by {length(best.gap)}"
    yield f"nothing is known of the complainant's clock: ±{length(tolerance)} is allowed"
    if facts.error is None:
        yield "how exact our own clock was is not recorded"
    else:
        yield f"our own clock was wrong by {length(facts.error)} at most"
    if levels["egress"] in ("translated", "behind"):
        yield "NAT or another proxy is in front: ask whoever runs it which of our addresses and " \
              f"ports {endpoint(said.address, said.port)} was"
    if levels["egress"] == "unrecorded":
        yield "the address that it went out from is not recorded"
    if facts.end is None:
        yield "it is not over: what it sent in all is not recorded yet"
    if (said.path or said.method) and not facts.path and facts.account:
        yield "it is a tunnel that is not inspected: what was asked in it was not seen"
    yield from said.notes
