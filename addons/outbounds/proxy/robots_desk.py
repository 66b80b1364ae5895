"""What `outbounds robots` asks: what is known of a site's robots.txt here and now, what it says of
one request, and to fetch it anew, which is an operator's act and goes on record.

The answers hold the file itself. What its lines mean is for the command to work out: the same
code reads them there, and a hostile file of 500 KiB must not hold up the traffic meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ..core.account import Account
from ..core.case import Case
from ..core.destination import BadHost, parse_host
from ..core.questions import JudgeRobots, RobotsAnswer, RobotsOf
from ..core.request import Request, Source, Way
from ..core.robots_control import agents, robots
from ..core.robots_match import Match
from ..core.verdict import Verdict
from ..robotstxt import Origin
from .control_socket import Handler, Refused
from .gate import Gate
from .robots_access import OPERATOR

logger = logging.getLogger("outbounds")

PATIENCE = 4.0  # seconds: less than whoever asks is given

SOMEBODY = Account("", "")
"""On the plan that new accounts get, and named by no exception."""


class RobotsDesk:
    """`worker` is the number of this process among those that serve one port, 0 where it is the
    only one."""

    def __init__(self, gate: Callable[[], Gate], worker: int = 0) -> None:
        self._gate = gate
        self._worker = worker

    def handlers(self) -> Mapping[str, Handler]:
        return {"robots-show": self._show, "robots-why": self._why,
                "robots-refresh": self._refresh}

    async def _show(self, request: dict[str, Any]) -> object:
        """What is known; with `fetch`, after a look at the site if that is nothing."""
        origin = _origin(request)
        if request.get("fetch"):
            await self._patiently(self._gate().robots.get(origin, _operator(request), ""))
        return {"worker": self._worker, "known": await self._known(origin)}

    async def _refresh(self, request: dict[str, Any]) -> object:
        origin, by = _origin(request), str(request["by"])
        before = await self._known(origin)
        logger.info("%s has the robots.txt of %s://%s:%d fetched anew.", by, *origin)
        await self._patiently(self._gate().robots.refresh(origin, _operator(request), ""))
        return {"worker": self._worker, "before": before, "after": await self._known(origin)}

    async def _patiently(self, answer: Awaitable[RobotsAnswer]) -> RobotsAnswer:
        """Raises Refused where it takes longer than whoever asks will wait; the fetch goes on."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await answer
        except TimeoutError:
            raise Refused("the site takes its time over the robots.txt; `outbounds robots show` "
                          "says later what has come of it") from None

    async def _known(self, origin: Origin) -> dict[str, Any] | None:
        entry = await self._gate().robots.entry(origin)
        if entry is None:
            return None
        answer = entry.answer
        return {"state": answer.state, "detail": answer.detail, "sha256": answer.digest,
                "body": answer.body, "fetched": answer.fetched, "expires": entry.expires,
                "url": entry.url, "status": entry.status}

    # --- one request ----------------------------------------------------------------------------

    async def _why(self, request: dict[str, Any]) -> object:
        """As the control judges it that stands in the path of every request."""
        origin = _origin(request)
        if not request.get("fetch") and await self._known(origin) is None:
            return {"worker": self._worker, "known": None}
        gate, account = self._gate(), SOMEBODY
        if request.get("account_id"):
            found = gate.identifier.current(Account(str(request["account_id"]), ""))
            if found is None:
                raise Refused(f"there is no account {request['account_id']!r}")
            account = found
        scheme, name, port = origin
        way, method, path = Way.PLAIN, "GET", str(request.get("path") or "/")
        if scheme == "https":
            way = Way.INSPECTED
            if account is not SOMEBODY and not account.inspect:
                way, method, path = Way.CONNECT, "CONNECT", ""  # no more than that is seen
        case = Case(Request(way, method, scheme, parse_host(name), port, path, Source("", 0),
                            str(request.get("agent") or "")),
                    gate.policy, time.time(), account=account)
        verdict = await self._judged(case, _operator(request))
        terms = gate.policy.robots
        mode, entry = terms.mode_for(account, case.request.host, case.now)
        rules = case.robots.robots if case.robots is not None else None
        names = agents(account, case.request.user_agent, terms.identity)
        return {
            "worker": self._worker, "known": await self._known(origin),
            "mode": mode, "mode_entry": entry, "identity": terms.identity.value,
            "exempt": case.robots_exempt, "exceptions": list(case.lifted),
            "scope": case.robots_scope, "observed": case.observed,
            "agent": case.robots_agent, "match": case.robots_match,
            "names": {each: rules.token(each) for each in names} if rules is not None else {},
            "verdict": None if verdict is None else {
                "rule": verdict.rule, "clause": verdict.clause, "detail": verdict.detail,
                "status": verdict.kind.status if verdict.kind else 0,
                "retry_after": verdict.retry_after},
            "preferences": case.preferences, "purposes": account.purposes,
            "limits": [{"id": each.id, "count": each.count, "window": each.window}
                       for each in case.site_limits],
        }

    async def _judged(self, case: Case, operator: str) -> Verdict | None:
        """Raises Refused where the engine that judges has none to give."""
        gate = self._gate()
        asking = robots(case)
        answer: Any = None
        try:
            while True:
                question = asking.send(answer)
                if isinstance(question, RobotsOf):
                    answer = await self._patiently(
                        gate.robots.get(question.origin, operator, ""))
                else:
                    assert isinstance(question, JudgeRobots)
                    answer = await self._matches(gate, question)
        except StopIteration as stop:
            verdict: Verdict | None = stop.value
            return verdict

    async def _matches(self, gate: Gate, question: JudgeRobots) -> tuple[Match, ...]:
        try:
            found = gate.engine.judge_now(question)
            return found if found is not None else await gate.engine.judge(question)
        except Exception as fault:
            raise Refused(f"the engine that judges has failed ({type(fault).__name__}: {fault}), "
                          "so such a request is refused") from None


def _operator(request: dict[str, Any]) -> str:
    return f"{OPERATOR}{request['by']}"


def _origin(request: dict[str, Any]) -> Origin:
    """Raises Refused."""
    scheme, name, port = (*request.get("origin", ()), None, None, None)[:3]
    if scheme not in ("http", "https") or not isinstance(name, str) \
            or not isinstance(port, int) or not 0 < port < 65536:
        raise Refused("of which site? send an origin: scheme, host and port")
    try:
        return scheme, parse_host(name).text, port
    except BadHost as error:
        raise Refused(str(error)) from None
