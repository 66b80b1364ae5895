"""Ends one exchange from outside, with a reply where none was begun, and leaves the others alone.

Closing the connection would do for HTTP/1, but would tell the client nothing, and in HTTP/2 would
take all its other requests along. So the stream is told, by an event that it takes for a failure of
the target's: the `error` hook runs, which knows what has happened and answers.
"""

from __future__ import annotations

from collections.abc import Coroutine
from itertools import pairwise
from typing import Any

from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers import http as http_layer
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestProtocolError,
    ResponseProtocolError,
)

LATE_TARGET = "the target timed out"  # what `flow.error` then says (`upstream_errors`)


class Stop(commands.RequestWakeup):
    """Never asked for by a layer: its wake-up is brought about by `stop`."""

    def __init__(self, reason: str) -> None:
        super().__init__(0.0)
        self.reason = reason


def stop(handler: Any, stream: http_layer.HttpStream, reason: str) -> Coroutine[Any, Any, None]:
    """Let `stream` of the connection `handler` fail with `reason`; to be awaited."""
    command = Stop(reason)
    # the way that the answer to a command of the stream's takes through the layers around it
    for outer, inner in pairwise(stream.context.layers):
        if isinstance(outer, http_layer.HttpLayer):
            outer.command_sources[command] = inner
    stopping: Coroutine[Any, Any, None] = handler.server_event(events.Wakeup(command))
    return stopping


def stopped(stream: http_layer.HttpStream, reason: str) -> layer.CommandGenerator[None]:
    """What the stream does about it."""
    over = (stream.state_done, stream.state_errored)
    if stream.client_state == stream.state_errored or stream.server_state in over:
        return  # it ended by itself meanwhile
    # the target, too: it has half a request, or goes on with an answer that nobody waits for
    yield http_layer.SendHttp(RequestProtocolError(
        stream.stream_id, reason, ErrorCode.CANCEL), stream.context.server)
    yield from stream.handle_protocol_error(ResponseProtocolError(
        stream.stream_id, reason, ErrorCode.GENERIC_SERVER_ERROR))
