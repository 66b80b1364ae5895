"""Ends a live client connection from outside, with everything that hangs on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def sever(connections: Mapping[Any, Any], client_id: str) -> bool:
    """Close the client connection `client_id` of mitmproxy's proxyserver; False if it is gone."""
    handler = connections.get(client_id)
    if handler is None:
        return False
    transport = handler.transports.get(handler.client)
    if transport is None or transport.handler is None:
        return False
    transport.handler.cancel("account suspended")
    return True


def release(connections: Mapping[Any, Any], client_id: str) -> None:
    """Close what mitmproxy leaves open of a client connection that is over.

    A task that is cancelled while it waits for its turn to hand over what it has read ends without
    closing its socket: the client would wait for ever, and the descriptor would be lost.
    """
    handler = connections.get(client_id)
    transport = handler.transports.pop(handler.client, None) if handler is not None else None
    if transport is not None and transport.writer is not None:
        transport.writer.close()
