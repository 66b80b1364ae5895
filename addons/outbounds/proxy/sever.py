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
