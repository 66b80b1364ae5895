"""Hooks that fail closed: mitmproxy logs an exception in a hook and forwards the request.

Here it is counted and logged, and what the hook guards is ended.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mitmproxy import connection, exceptions, http
from mitmproxy.proxy import layer, server_hooks

from .http_guard import ANSWERED, JUDGED
from .tunnel_contents import ClosedTunnel

if TYPE_CHECKING:
    from .hooks import Outbounds

Hook = Callable[..., Any]


def failing_closed(end: Callable[[Outbounds, Any], None]) -> Callable[[Hook], Hook]:
    """Wrap an async hook: an Exception is noted and `end` ends what the hook guards."""

    def decorate(hook: Hook) -> Hook:
        @functools.wraps(hook)
        async def guarded(self: Outbounds, data: Any) -> None:
            try:
                await hook(self, data)
            except exceptions.AddonHalt:
                raise
            except Exception as fault:
                self.note(hook.__name__, fault)
                end(self, data)

        return guarded

    return decorate


def failing_closed_sync(end: Callable[[Outbounds, Any], None]) -> Callable[[Hook], Hook]:
    """The same for a hook that never waits: a coroutine would only cost time."""

    def decorate(hook: Hook) -> Hook:
        @functools.wraps(hook)
        def guarded(self: Outbounds, data: Any) -> None:
            try:
                hook(self, data)
            except Exception as fault:
                self.note(hook.__name__, fault)
                end(self, data)

        return guarded

    return decorate


def answer_503(self: Outbounds, flow: http.HTTPFlow) -> None:
    flow.response = self.unjudged(flow)
    flow.metadata[ANSWERED] = flow.metadata[JUDGED] = True


def kill(self: Outbounds, flow: http.HTTPFlow) -> None:
    if flow.killable:
        flow.kill()


def close_tunnel(self: Outbounds, nextlayer: layer.NextLayer) -> None:
    nextlayer.layer = ClosedTunnel(nextlayer.context)


def no_dial(self: Outbounds, data: server_hooks.ServerConnectionHookData) -> None:
    data.server.error = "internal fault"


def no_client(self: Outbounds, client: connection.Client) -> None:
    client.error = "internal fault"


def nothing(self: Outbounds, data: Any) -> None:
    """The hook only writes down what has happened; or its data refuses unless it is changed."""
