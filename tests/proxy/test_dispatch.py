"""The dispatch table behaves as mitmproxy's own AddonManager: each case is run on both."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
from mitmproxy import addonmanager, exceptions, hooks, http, master, options
from mitmproxy.proxy.layers.http import HttpRequestHeadersHook, HttpResponseHook
from mitmproxy.test import tflow

from outbounds.proxy.dispatch import DispatchTable, leave_out_idle_updates

Log = list[str]


class Taker:
    """Writes down what it is offered. `then` maps an event's name to what it does with it."""

    def __init__(self, name: str, log: Log, *inner: Taker,
                 then: dict[str, Callable[[], Any]] | None = None) -> None:
        self.name = name
        self._log = log
        self._then = then or {}
        if inner:
            self.addons = list(inner)

    def _take(self, event: str) -> Any:
        self._log.append(f"{self.name} {event}")
        return self._then.get(event, lambda: None)()

    def requestheaders(self, flow: http.HTTPFlow) -> Any:
        return self._take("requestheaders")

    def response(self, flow: http.HTTPFlow) -> Any:
        return self._take("response")


class Deaf:
    name = "deaf"


class NotAHook:
    name = "not-a-hook"
    response = "a text"

    def __repr__(self) -> str:
        return self.name


def halt() -> None:
    raise exceptions.AddonHalt


def fail() -> None:
    raise ZeroDivisionError("on purpose")


def bad_option() -> None:
    raise exceptions.OptionsError("on purpose")


def waiting(log: Log, word: str, then: Callable[[], Any] = lambda: None) -> Callable[[], Any]:
    async def wait() -> None:
        await asyncio.sleep(0)
        log.append(word)
        then()

    return wait


CASES: dict[str, Callable[[Log], list[Any]]] = {
    "order": lambda log: [Taker("a", log), Taker("b", log), Taker("c", log)],
    "inner addons come after their own": lambda log: [
        Taker("a", log, Taker("a1", log, Taker("a11", log)), Taker("a2", log)), Taker("b", log)],
    "some do not listen": lambda log: [Deaf(), Taker("a", log)],
    "a halt ends the chain": lambda log: [
        Taker("a", log, then={"response": halt}), Taker("b", log)],
    "a halt inside": lambda log: [
        Taker("a", log, Taker("a1", log, then={"response": halt}), Taker("a2", log)),
        Taker("b", log)],
    "an exception ends that addon only": lambda log: [
        Taker("a", log, Taker("a1", log), then={"response": fail}), Taker("b", log)],
    "an exception inside": lambda log: [
        Taker("a", log, Taker("a1", log, then={"response": fail}), Taker("a2", log)),
        Taker("b", log)],
    "what is awaitable is awaited, in turn": lambda log: [
        Taker("a", log, then={"response": waiting(log, "a waited")}),
        Taker("b", log, then={"requestheaders": waiting(log, "b waited")}), Taker("c", log)],
    "an exception after a wait": lambda log: [
        Taker("a", log, then={"response": waiting(log, "a waited", fail)}), Taker("b", log)],
    "a halt after a wait": lambda log: [
        Taker("a", log, then={"response": waiting(log, "a waited", halt)}), Taker("b", log)],
    "an attribute that is no hook": lambda log: [NotAHook(), Taker("a", log)],
    "an options error goes up": lambda log: [
        Taker("a", log, then={"response": bad_option}), Taker("b", log)],
    "a result that cannot be awaited": lambda log: [
        Taker("a", log, then={"response": lambda: 7}), Taker("b", log)],
}


def manager(kind: type[addonmanager.AddonManager], addons: list[Any]) -> Any:
    running = master.Master(options.Options(), event_loop=asyncio.get_running_loop())
    made = kind(running)
    running.addons = made
    made.add(*addons)
    return made


async def run(kind: type[addonmanager.AddonManager], make: Callable[[Log], list[Any]],
              caplog: pytest.LogCaptureFixture) -> tuple[Log, list[str]]:
    """What was called in which order, and what was logged, over a few events twice: the message of
    the exception, which we give at the end of a traceback of our own (`told_faults`)."""
    log: Log = []
    made = manager(kind, make(log))
    caplog.clear()
    for _ in range(2):  # the second time from the table
        for event in (HttpRequestHeadersHook(tflow.tflow()), HttpResponseHook(tflow.tflow()),
                      hooks.RunningHook()):
            try:
                await made.trigger_event(event)
            except exceptions.OptionsError as error:
                log.append(f"raised {error}")
    said = {record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR}
    return log, sorted({re.sub(r"(?s)^(Addon error: ).*\n\w+Error: ", r"\1", each)
                        for each in said})


@pytest.mark.parametrize("case", CASES)
async def test_as_mitmproxy_does_it(case: str, caplog: pytest.LogCaptureFixture) -> None:
    theirs = await run(addonmanager.AddonManager, CASES[case], caplog)
    ours = await run(DispatchTable, CASES[case], caplog)
    assert ours == theirs
    assert theirs[0], "the case calls nobody, so it shows nothing"


async def test_an_exception_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    log, said = await run(DispatchTable, CASES["an exception ends that addon only"], caplog)
    assert said == ["Addon error: on purpose"] and "b response" in log


@pytest.mark.parametrize("kind", [addonmanager.AddonManager, DispatchTable])
async def test_addons_that_come_and_go(kind: Any) -> None:
    """A table that outlived a change of the chain would call what was unloaded."""
    log: Log = []
    first, second = Taker("first", log), Taker("second", log)
    made = manager(kind, [first])

    async def heard() -> Log:
        log.clear()
        await made.trigger_event(HttpResponseHook(tflow.tflow()))
        return list(log)

    assert await heard() == ["first response"]
    made.add(second)
    assert await heard() == ["first response", "second response"]
    made.remove(first)
    assert await heard() == ["second response"]
    made.clear()
    assert await heard() == []


async def test_no_update_follows_a_flow_event() -> None:
    """The one thing left out on purpose: mitmproxy walks all addons again for `update`, which
    only its interfaces listen to."""
    log: Log = []

    class Listener(Taker):
        def update(self, flows: Any) -> None:
            log.append("update")

    for kind, last in ((addonmanager.AddonManager, ["update"]), (DispatchTable, [])):
        log.clear()
        await manager(kind, [Listener("a", log)]).handle_lifecycle(HttpResponseHook(tflow.tflow()))
        assert log == ["a response", *last]


class Updated:
    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: list[http.HTTPFlow] = []

    def update(self, flows: list[http.HTTPFlow]) -> None:
        self.seen += flows


async def test_updates_reach_whoever_takes_them_and_nobody_else_is_asked() -> None:
    """In the host's own manager; an addon that comes later, or in another's place, counts."""
    manager = master.Master(options.Options()).addons
    walks: list[str] = []
    offered = manager.trigger_event

    async def counting(event: hooks.Hook) -> None:
        walks.append(event.name)
        await offered(event)

    manager.trigger_event = counting  # type: ignore[method-assign]
    leave_out_idle_updates(manager)
    flow = tflow.tflow()
    manager.add(Deaf())
    await manager.handle_lifecycle(HttpRequestHeadersHook(flow))
    assert walks == ["requestheaders"]
    first, second = Updated("taker"), Updated("taker")
    manager.add(first)
    await manager.handle_lifecycle(HttpRequestHeadersHook(flow))
    manager.remove(first)
    manager.add(second)
    await manager.handle_lifecycle(HttpRequestHeadersHook(flow))
    assert (first.seen, second.seen) == ([flow], [flow])
    manager.remove(second)
    await manager.handle_lifecycle(HttpRequestHeadersHook(flow))
    assert walks == ["requestheaders", *["requestheaders", "update"] * 2, "requestheaders"]


async def test_a_traceback_is_logged_and_nothing_that_is_quoted(
        caplog: pytest.LogCaptureFixture) -> None:
    sent = "pa55" + "word"

    def quotes() -> None:
        raise ValueError(f"cannot read {sent!r}")

    await run(DispatchTable, lambda log: [Taker("a", log, then={"response": quotes})], caplog)
    said = "".join(record.getMessage() for record in caplog.records)
    assert "in quotes" in said and "ValueError: cannot read" in said and sent not in said
