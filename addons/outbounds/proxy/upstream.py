"""Connections to targets, on record as soon as they are there.

A complaint names our address and port at the target. The closing of a request has both, but a
tunnel may be open for days. So a connection leaves a record of its own when it is made, for the
tunnel, or for each request, that was waiting for it.

A request that finds a connection which is there already leaves none: it is over soon, and what was
recorded when the connection was made leads to the same client (`outbounds.connection`), whose
requests are on record. A WebSocket may last; it leaves one all the same.
"""

from __future__ import annotations

from mitmproxy import connection, http

from ..fetching import Pair
from .clients import ClientConnection, Exchange
from .recorder import Recorder


def pair(address: tuple[str, int] | tuple[str, int, int, int] | None) -> Pair:
    return (address[0], address[1]) if address else ("", 0)


def connected(recorder: Recorder, server: connection.Server, client: ClientConnection) -> None:
    """The `server_connected` hook."""
    egress, dialled = pair(server.sockname), pair(server.peername)
    if client.tunnel is not None:
        client.tunnel.egress, client.tunnel.peer = egress, dialled
        recorder.connected(client.tunnel.exchange.record, egress, dialled)
    for exchange in client.exchanges.values():
        if server.address == exchange.dialled and not exchange.connected:
            _put_on_record(recorder, exchange, egress, dialled)


def lasting(recorder: Recorder, flow: http.HTTPFlow, exchange: Exchange) -> None:
    """A request became a WebSocket."""
    if not exchange.connected:
        _put_on_record(recorder, exchange, pair(flow.server_conn.sockname),
                       pair(flow.server_conn.peername))


def _put_on_record(recorder: Recorder, exchange: Exchange, egress: Pair, dialled: Pair) -> None:
    exchange.connected = True
    recorder.connected(exchange.record, egress, dialled)
