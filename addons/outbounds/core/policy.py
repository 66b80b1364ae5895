"""The decision: one visible list of controls, asked in order, each answer final.

`decide` is a generator. What it cannot know by itself (who holds these credentials, what a name
resolves to, what the site's robots.txt says, whether a limit has room) it yields as a question and
is sent the answer; so this module reads no clock, opens no socket, and the same code decides in
traffic, in `outbounds explain` and in a table test. A driver that fails to answer throws the
exception in; it is caught here, where the control that asked is known, and refuses.

The order, and why each stands where it does:

1. identity     Every later control, and the record, is about an account.
2. standing     A suspended account learns that, not what the later controls think of its request.
3. protocol     Costs nothing, and what follows may rely on a host, port and method that make sense.
4. destination  Lists before look-ups: a denied name is not even resolved. Then every address.
5. robots       May cost a fetch from the target, so only for a target that may be reached at all;
                yields the pace that the next step applies.
6. limits       Last, because they charge: a request refused above costs its account nothing here.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from . import charging, controls, robots_control
from .case import Case
from .questions import Question
from .request import Request
from .rules import Policy
from .verdict import Kind, Result, Verdict, refuse

CONTROLS: tuple[tuple[str, Callable[[Case], controls.Asking]], ...] = (
    ("identity", controls.identity),
    ("standing", controls.standing),
    ("protocol", controls.protocol),
    ("destination", controls.destination),
    ("robots", robots_control.robots),
    ("limits", charging.limits),
)


def decide(
    request: Request, policy: Policy, now: float, *, charge: bool = True
) -> Generator[Question, Any, Case]:
    """Judge one request. Yields questions, returns the `Case` with its verdict.

    `now` is Unix time in seconds; it decides which dated exceptions are in force. `charge` False
    leaves out the limits: for a second look at a request that was charged already. Never raises
    an Exception of its own: a fault inside a control is a refusal with status 503.
    """
    case = Case(request, policy, now)
    for name, control in CONTROLS if charge else CONTROLS[:-1]:
        try:
            verdict = yield from control(case)
        except Exception as fault:  # fails closed: whatever went wrong, the request stops here
            case.fault = fault
            verdict = refuse(name, Kind.FAULT, "The proxy could not decide on this request.",
                             rule="fault", retry_after=1.0)
        case.trail.append((name, verdict))
        if verdict is not None:
            case.verdict = verdict
            if charge and verdict.kind is not Kind.FAULT:
                yield from _charge_refusal(case)
            return case
    taken = case.taken
    if taken is not None and taken.wait > 0:
        limit = taken.paced_by
        case.verdict = Verdict(Result.PACE, "limits", rule=limit.id if limit else "",
                               clause=limit.clause if limit else "", wait=taken.wait)
    return case


def _charge_refusal(case: Case) -> Generator[Question, Any, None]:
    """Count what was refused. A fault of ours is nobody's fault, and costs nobody anything."""
    try:
        case.verdict = yield from charging.refused(case, case.verdict)
    except Exception as fault:  # refused it is, whatever became of the counting
        case.fault = fault
