"""The addon: mitmproxy's hooks, each a line or two, each failing closed.

mitmproxy logs an exception in a hook and forwards the request. Here `failing_closed` wraps every
hook: the exception is counted and logged, and what the hook guards is ended. Behind that stand two
more nets: a flow that no hook marked as judged is answered with 503 (http_guard), and a dial that
no hook approved is refused (dial).

One addon object, because mitmproxy offers every event to every addon at about 4 µs each.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable
from pathlib import Path

from mitmproxy import connection, ctx, exceptions, http, tcp, tls
from mitmproxy.addonmanager import Loader
from mitmproxy.proxy import layer, server_hooks
from mitmproxy.proxy.layers.modes import Socks5AuthData

from ..core.request import Credentials
from ..core.verdict import refuse
from ..settings import SettingsError
from . import half_open, held_reading
from .approvals import not_permitted
from .clients import ClientConnection
from .dial import DialRefused
from .failing_closed import (
    answer_503,
    close_tunnel,
    failing_closed,
    failing_closed_sync,
    kill,
    no_client,
    no_dial,
    nothing,
)
from .http1_guard import MalformedRequest
from .service import Service, StartError
from .sever import release
from .socks_guard import SocksConnect
from .told_faults import told
from .tunnel_watch import TunnelSeen

logger = logging.getLogger("outbounds")

class Outbounds:
    name = "outbounds"

    def __init__(self, service: Service | None = None) -> None:
        self._service = service
        self._prepared = False

    # --- life -----------------------------------------------------------------------------------

    def load(self, loader: Loader) -> None:
        loader.add_option(
            "outbounds_config", str, os.environ.get("OUTBOUNDS_CONFIG", "config"),
            "Folder of Outbounds' configuration.")

    def configure(self, updated: set[str]) -> None:
        if self._prepared:
            return
        try:
            if self._service is None:
                self._service = Service.load(Path(ctx.options.outbounds_config))
        except (SettingsError, StartError) as error:
            raise exceptions.OptionsError(str(error)) from None
        self._prepared = True  # before `prepare`, whose options bring us back here
        self._service.prepare()

    async def running(self) -> None:
        try:
            await self.running_service().start()
        except Exception as error:  # half started is not started
            logger.critical("Outbounds cannot start: %s", error,
                            exc_info=None if isinstance(error, StartError) else error)
            ctx.master.shutdown()

    def done(self) -> Awaitable[None] | None:
        # Also when the script is saved or deleted while the proxy runs: mitmproxy would unload the
        # addon and go on proxying without it. Unloading is synchronous and refuses coroutine
        # functions; a task goes on by itself there, and is awaited at a normal end.
        ctx.master.shutdown()
        return None if self._service is None else asyncio.ensure_future(self._service.stop())

    def running_service(self) -> Service:
        # a method: mitmproxy reads every attribute of an addon that it loads, properties too
        assert self._service is not None
        return self._service

    def client(self, flow: http.HTTPFlow) -> ClientConnection:
        return self.running_service().clients.get(flow.client_conn.id)

    def note(self, place: str, fault: Exception) -> None:
        if self._service is not None and self._service.runtime is not None:
            self._service.runtime.fault(place, fault)
        else:
            logger.error("Fault in %s before the start was complete; refused.\n%s", place,
                         told(fault))

    def unjudged(self, flow: http.HTTPFlow) -> http.Response:
        return self.running_service().unjudged(flow)

    # --- clients --------------------------------------------------------------------------------

    @failing_closed_sync(no_client)
    def client_connected(self, client: connection.Client) -> None:
        service = self.running_service()
        connections = ctx.master.addons.get("proxyserver").connections
        held_reading.attach(connections.get(client.id), client.id)
        service.clients.add(client.id)
        service.metrics.clients.inc()
        service.slow_clients.connected(client, connections.get(client.id))

    @failing_closed_sync(nothing)
    def client_disconnected(self, client: connection.Client) -> None:
        held_reading.detach(client.id)
        release(ctx.master.addons.get("proxyserver").connections, client.id)
        service = self.running_service()
        service.metrics.clients.dec()
        service.slow_clients.disconnected(client.id)
        state = service.clients.get(client.id)
        service.tunnels.close(state)
        service.exchanges.abandon(state)
        service.clients.remove(client.id)

    # --- HTTP -----------------------------------------------------------------------------------

    @failing_closed(answer_503)
    async def requestheaders(self, flow: http.HTTPFlow) -> None:
        await self.running_service().exchanges.begin(flow, self.client(flow))

    @failing_closed_sync(kill)
    def responseheaders(self, flow: http.HTTPFlow) -> None:
        self.running_service().exchanges.response_head(flow, self.client(flow))

    @failing_closed_sync(nothing)
    def response(self, flow: http.HTTPFlow) -> None:
        self.running_service().exchanges.end(flow, self.client(flow))

    @failing_closed_sync(nothing)
    def error(self, flow: http.HTTPFlow) -> None:
        self.running_service().exchanges.failed(flow, self.client(flow))

    @failing_closed_sync(kill)
    def websocket_message(self, flow: http.HTTPFlow) -> None:
        self.running_service().exchanges.websocket_message(flow, self.client(flow))

    @failing_closed_sync(nothing)
    def websocket_end(self, flow: http.HTTPFlow) -> None:
        self.running_service().exchanges.end(flow, self.client(flow))

    @failing_closed(nothing)
    async def outbounds_malformed(self, data: MalformedRequest) -> None:
        service = self.running_service()
        verdict = refuse("protocol", data.kind, data.detail, rule=data.kind.slug)
        record = service.exchanges.record_malformed(
            data.client, service.clients.get(data.client.id), verdict)
        data.reply = service.replies.refusal(verdict, record.id, close=True).to_bytes()

    # --- tunnels --------------------------------------------------------------------------------

    @failing_closed(answer_503)
    async def http_connect(self, flow: http.HTTPFlow) -> None:
        await self.running_service().tunnels.connect(flow, self.client(flow))

    @failing_closed_sync(nothing)
    def http_connect_error(self, flow: http.HTTPFlow) -> None:
        self.running_service().tunnels.connect_failed(flow, self.client(flow))

    @failing_closed(nothing)
    async def socks5_auth(self, data: Socks5AuthData) -> None:
        service = self.running_service()
        credentials = Credentials(data.username, data.password)
        data.password = ""
        half_open.end(data.client_conn.id)  # what we take is not the client's time
        data.valid = await service.tunnels.socks_auth(
            data.client_conn, service.clients.get(data.client_conn.id), credentials)
        half_open.begin(data.client_conn.id, half_open.SOCKS)

    @failing_closed(nothing)
    async def outbounds_socks(self, data: SocksConnect) -> None:
        service = self.running_service()
        await service.tunnels.socks(data, service.clients.get(data.client.id))

    @failing_closed(close_tunnel)
    async def next_layer(self, nextlayer: layer.NextLayer) -> None:
        service = self.running_service()
        client = service.clients.get(nextlayer.context.client.id)
        try:
            await service.tunnels.contents.next_layer(nextlayer, client)
        except exceptions.AddonHalt:
            if nextlayer.data_client():
                half_open.begin(client.id, half_open.HELLO)
            raise
        half_open.end(client.id)

    @failing_closed(nothing)
    async def outbounds_tunnel(self, data: TunnelSeen) -> None:
        client = self.running_service().clients.get(data.client.id)
        await self.running_service().tunnels.contents.seen(data, client)

    @failing_closed_sync(kill)
    def tcp_message(self, flow: tcp.TCPFlow) -> None:
        flow.messages.clear()  # mitmproxy keeps every message of a raw tunnel for its life

    @failing_closed_sync(nothing)
    def tls_start_client(self, data: tls.TlsData) -> None:
        half_open.begin(data.conn.id, half_open.TLS)

    @failing_closed_sync(nothing)
    def tls_established_client(self, data: tls.TlsData) -> None:
        half_open.end(data.conn.id)

    @failing_closed_sync(nothing)
    def tls_start_server(self, data: tls.TlsData) -> None:
        half_open.begin(data.conn.id, half_open.TARGET_TLS)
        if not data.context.client.tls_established:  # what a client sends before its own handshake
            held_reading.hold(data.context.client.id)

    @failing_closed_sync(nothing)
    def tls_established_server(self, data: tls.TlsData) -> None:
        half_open.end(data.conn.id)
        if not data.context.client.tls_established:
            held_reading.release(data.context.client.id)

    @failing_closed_sync(nothing)
    def tls_failed_client(self, data: tls.TlsData) -> None:
        half_open.end(data.conn.id)
        service = self.running_service()
        service.tunnels.tls_failed("client", data.conn, service.clients.get(data.context.client.id))

    @failing_closed_sync(nothing)
    def tls_failed_server(self, data: tls.TlsData) -> None:
        self.tls_established_server(data)
        service = self.running_service()
        service.tunnels.tls_failed("server", data.conn, service.clients.get(data.context.client.id))

    # --- the dial -------------------------------------------------------------------------------

    @failing_closed(no_dial)
    async def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        service = self.running_service()
        client = service.clients.get(data.client.id)
        verdict = await service.approvals.charge(data.server, client)
        try:
            # last: nothing is awaited between this and the dial
            service.approvals.permit(data.server, client)
        except DialRefused as refused:
            verdict = not_permitted(refused)
        if verdict is not None:
            client.dial_verdict = verdict
            data.server.error = verdict.detail

    @failing_closed_sync(nothing)
    def server_connected(self, data: server_hooks.ServerConnectionHookData) -> None:
        service = self.running_service()
        connections = ctx.master.addons.get("proxyserver").connections
        held_reading.attach_server(connections.get(data.client.id), data.server)
        service.tunnels.connected(data.server, service.clients.get(data.client.id))

    @failing_closed_sync(nothing)
    def server_disconnected(self, data: server_hooks.ServerConnectionHookData) -> None:
        held_reading.detach(data.server.id)
        half_open.end(data.server.id)

    @failing_closed_sync(nothing)
    def server_connect_error(self, data: server_hooks.ServerConnectionHookData) -> None:
        service = self.running_service()
        service.tunnels.socks_failed(data.server, service.clients.get(data.client.id))
