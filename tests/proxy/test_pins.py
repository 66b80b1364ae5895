"""What the guards lean on inside mitmproxy is still what was read when they were written.

The guards override and copy methods that mitmproxy never promised to keep. Here each of them, and
each piece that they rely on without touching it, is held to a fingerprint of its source text. One
failure lists everything that changed and which guard to read again beside it. To take a new
version over: read those pieces, mend the guards, run the wire tests, then print the new table with
`python tests/proxy/test_pins.py` and set `READ` to the version that was read.

The text is taken from the files, not from the objects: another test may have installed the guards.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pytest

READ = {"mitmproxy": "12.2.3", "h11": "0.16.0"}

HTTP = "mitmproxy.proxy.layers.http"
H1 = "mitmproxy.proxy.layers.http._http1"
H2 = "mitmproxy.proxy.layers.http._http2"

LEANS_ON: Mapping[str, tuple[str, ...]] = {
    "http1_guard": (
        # overridden or copied
        f"{H1}:Http1Server.read_headers", f"{H1}:Http1Connection._handle_event",
        f"{H1}:make_body_reader",
        # leaned on: the other states, what a head becomes, how much body it announces
        f"{H1}:Http1Connection.start", f"{H1}:Http1Connection.read_body",
        f"{H1}:Http1Connection.wait", f"{H1}:Http1Connection.done",
        f"{H1}:Http1Connection.mark_done", f"{H1}:Http1Server.__init__", f"{H1}:Http1Server.send",
        f"{H1}:Http1Server.mark_done",
        "mitmproxy.net.http.http1.read:read_request_head",
        "mitmproxy.net.http.http1.read:_read_request_line",
        "mitmproxy.net.http.http1.read:_read_headers",
        "mitmproxy.net.http.http1.read:expected_http_body_size",
        "mitmproxy.net.http.url:parse_authority",
        f"{HTTP}:HTTPMode", f"{HTTP}._base:ReceiveHttp", f"{HTTP}._events:RequestHeaders",
        "h11._readers:ChunkedReader", "h11._receivebuffer:ReceiveBuffer",
    ),
    "http2_guard": (
        f"{H2}:Http2Connection.protocol_error", f"{H2}:Http2Connection._handle_event",
        f"{H2}:Http2Connection.handle_h2_event", f"{H2}:Http2Connection.close_connection",
        f"{H2}:Http2Server._handle_event", f"{H2}:Http2Server.handle_h2_event",
        f"{H2}:Http2Server.__init__", f"{H2}:Http2Connection.__init__", f"{H2}:StreamState",
    ),
    "http_guard": (
        # overridden
        f"{HTTP}:HttpStream._handle_event", f"{HTTP}:HttpStream.check_killed",
        f"{HTTP}:HttpStream.check_invalid", f"{HTTP}:HttpStream.handle_protocol_error",
        f"{HTTP}:HttpStream.make_server_connection", f"{HTTP}:HttpStream.start_request_stream",
        f"{HTTP}:HttpStream.start_response_stream", f"{HTTP}:HttpStream.passthrough",
        # leaned on: where check_killed is called from, and what each state means
        f"{HTTP}:HttpStream.__init__", f"{HTTP}:HttpStream.state_wait_for_request_headers",
        f"{HTTP}:HttpStream.state_stream_request_body",
        f"{HTTP}:HttpStream.state_consume_request_body",
        f"{HTTP}:HttpStream.state_wait_for_response_headers",
        f"{HTTP}:HttpStream.state_stream_response_body", f"{HTTP}:HttpStream.send_response",
        f"{HTTP}:HttpStream.flow_done", f"{HTTP}:HttpStream.handle_connect",
        f"{HTTP}:HttpStream.handle_connect_regular", f"{HTTP}:HttpStream.handle_connect_finish",
        f"{HTTP}:HttpStream.state_uninitialized", f"{HTTP}:HttpStream.state_done",
        f"{HTTP}:HttpStream.state_errored", f"{HTTP}:validate_request",
        f"{HTTP}:SendHttp", f"{HTTP}:DropStream", f"{HTTP}:HttpLayer.event_to_child",
        f"{HTTP}:HttpLayer.get_connection", f"{HTTP}:HttpLayer.register_connection",
        f"{H2}:Http2Connection.is_closed", "mitmproxy.proxy.layer:Layer.handle_event",
        "mitmproxy.proxy.layer:Layer.__process", "mitmproxy.proxy.layer:Layer.__continue",
    ),
    "socks_guard": (
        "mitmproxy.proxy.layers.modes:Socks5Proxy.socks_err",
        "mitmproxy.proxy.layers.modes:Socks5Proxy._handle_event",
        "mitmproxy.proxy.layers.modes:Socks5Proxy.state_greet",
        "mitmproxy.proxy.layers.modes:Socks5Proxy.state_auth",
        "mitmproxy.proxy.layers.modes:Socks5Proxy.state_connect",
        "mitmproxy.proxy.layers.modes:Socks5AuthData",
        "mitmproxy.proxy.layers.modes:DestinationKnown",
    ),
    "install": (
        # where the names that it replaces are looked up
        f"{HTTP}:HttpLayer._handle_event", f"{HTTP}:HttpLayer.make_stream",
        f"{H1}:Http1Client.read_headers", "mitmproxy.proxy.mode_servers:Socks5Instance",
    ),
    "tunnel_contents": (
        "mitmproxy.proxy.layer:NextLayer", "mitmproxy.addons.next_layer:NextLayer.next_layer",
        "mitmproxy.addons.next_layer:NextLayer._next_layer",
        "mitmproxy.net.tls:starts_like_tls_record",
    ),
    "tunnel_watch": (
        # a layer that a hook pauses, what is replayed to it, and who gets its wake-up
        "mitmproxy.proxy.layer:Layer", f"{HTTP}:HttpStream.passthrough",
        f"{HTTP}:HttpLayer.event_to_child", "mitmproxy.proxy.server:ConnectionHandler.wakeup",
        "mitmproxy.proxy.layers.tcp:TCPLayer", "mitmproxy.proxy.layers.tls:parse_client_hello",
        "mitmproxy.proxy.layers.tls:get_client_hello",
        "mitmproxy.proxy.layers.tls:handshake_record_contents",
        "mitmproxy.tls:ClientHello",  # first_octets reads what is below its surface
    ),
    "dial": (
        # the server_connect hook and the dial run in one task, with nothing in between
        "mitmproxy.proxy.server:ConnectionHandler.open_connection",
        "mitmproxy.proxy.server:ConnectionHandler.server_event",
    ),
    "sever": (
        "mitmproxy.proxy.server:ConnectionIO",
        "mitmproxy.proxy.server:ConnectionHandler.handle_client",
        "mitmproxy.proxy.server:ConnectionHandler.handle_connection",
        "mitmproxy.proxy.server:ConnectionHandler.close_connection",
        "mitmproxy.addons.proxyserver:Proxyserver.register_connection",
    ),
    "dispatch": (
        "mitmproxy.addonmanager:AddonManager", "mitmproxy.addonmanager:safecall",
        "mitmproxy.addonmanager:traverse", "mitmproxy.addonmanager:_get_name",
    ),
    "hooks": (
        "mitmproxy.proxy.server:ConnectionHandler.hook_task",
        "mitmproxy.proxy.mode_servers:ProxyConnectionHandler",
        "mitmproxy.addons.script:Script",
    ),
    "service": (
        "mitmproxy.addons.proxyserver:Proxyserver.listen_addrs",
        "mitmproxy.addons.proxyserver:Proxyserver.running",
        "mitmproxy.addons.proxyserver:Proxyserver.setup_servers",
    ),
    "shared_ports": ("mitmproxy.proxy.mode_servers:AsyncioServerInstance.listen",),
    "drain": (
        "mitmproxy.addons.proxyserver:Servers.update",
        "mitmproxy.proxy.mode_servers:AsyncioServerInstance._stop",
        # names the task of a hook, and whose connection it is for
        "mitmproxy.proxy.server:ConnectionHandler.server_event",
        "mitmproxy.utils.asyncio_utils:create_task",
        "mitmproxy.utils.asyncio_utils:set_task_debug_info",
    ),
    "launcher": ("mitmproxy.master:Master.run", "mitmproxy.master:Master.shutdown"),
}

# the first 16 hex digits of the SHA-256 of each piece's source text
PINS: Mapping[str, str] = {
    "mitmproxy.proxy.layers.http._http1:Http1Server.read_headers": "3fe0945216bcf7bc",
    "mitmproxy.proxy.layers.http._http1:Http1Connection._handle_event": "2ac8db3e43ae743f",
    "mitmproxy.proxy.layers.http._http1:make_body_reader": "9b076acda459637b",
    "mitmproxy.proxy.layers.http._http1:Http1Connection.start": "888ce41383823cf2",
    "mitmproxy.proxy.layers.http._http1:Http1Connection.read_body": "aece271029af36e4",
    "mitmproxy.proxy.layers.http._http1:Http1Connection.wait": "c99d0494a840a2b6",
    "mitmproxy.proxy.layers.http._http1:Http1Connection.done": "7c8d996749eb1500",
    "mitmproxy.proxy.layers.http._http1:Http1Connection.mark_done": "dc5ed395ce4f0763",
    "mitmproxy.proxy.layers.http._http1:Http1Server.__init__": "508efbb58d5dead1",
    "mitmproxy.proxy.layers.http._http1:Http1Server.send": "cc218a1337c0f5cf",
    "mitmproxy.proxy.layers.http._http1:Http1Server.mark_done": "94fd7ea388c88671",
    "mitmproxy.net.http.http1.read:read_request_head": "d7a54f7078584448",
    "mitmproxy.net.http.http1.read:_read_request_line": "f212df4b4badf61b",
    "mitmproxy.net.http.http1.read:_read_headers": "66807318a8b7a7b7",
    "mitmproxy.net.http.http1.read:expected_http_body_size": "bf258f07286cf770",
    "mitmproxy.net.http.url:parse_authority": "d8338265c05d8491",
    "mitmproxy.proxy.layers.http:HTTPMode": "7eb3af3c6f956979",
    "mitmproxy.proxy.layers.http._base:ReceiveHttp": "52857cce0a834058",
    "mitmproxy.proxy.layers.http._events:RequestHeaders": "0275818f01420123",
    "h11._readers:ChunkedReader": "4d2629eeaaf366b6",
    "h11._receivebuffer:ReceiveBuffer": "108c4355eb3b1717",
    "mitmproxy.proxy.layers.http._http2:Http2Connection.protocol_error": "461f5e7de9c9b687",
    "mitmproxy.proxy.layers.http._http2:Http2Connection._handle_event": "a7f4a7a71d31074b",
    "mitmproxy.proxy.layers.http._http2:Http2Connection.handle_h2_event": "f6b6a52b12548102",
    "mitmproxy.proxy.layers.http._http2:Http2Connection.close_connection": "44b76ed198e7916a",
    "mitmproxy.proxy.layers.http._http2:Http2Server._handle_event": "7282fa18e70a3eaa",
    "mitmproxy.proxy.layers.http._http2:Http2Server.handle_h2_event": "d24a023c678de6ce",
    "mitmproxy.proxy.layers.http._http2:Http2Server.__init__": "fbaceff7e0dfcd9e",
    "mitmproxy.proxy.layers.http._http2:Http2Connection.__init__": "1614b5711609de26",
    "mitmproxy.proxy.layers.http._http2:StreamState": "d381ceda7b95ddb0",
    "mitmproxy.proxy.layers.http:HttpStream._handle_event": "e3cbfef7310ae81f",
    "mitmproxy.proxy.layers.http:HttpStream.check_killed": "368cad352d1e82b6",
    "mitmproxy.proxy.layers.http:HttpStream.check_invalid": "ef0a126eef45d903",
    "mitmproxy.proxy.layers.http:HttpStream.handle_protocol_error": "59fc3b2eeeabf63a",
    "mitmproxy.proxy.layers.http:HttpStream.make_server_connection": "ddc7bc72f4d2fbc7",
    "mitmproxy.proxy.layers.http:HttpStream.start_request_stream": "46f03368a2a54362",
    "mitmproxy.proxy.layers.http:HttpStream.start_response_stream": "b0de9e9a5ee27276",
    "mitmproxy.proxy.layers.http:HttpStream.passthrough": "a6df32aba1ae251a",
    "mitmproxy.proxy.layers.http:HttpStream.__init__": "9892a5f6b47b7b7b",
    "mitmproxy.proxy.layers.http:HttpStream.state_wait_for_request_headers": "3706d5d5ce01dcd4",
    "mitmproxy.proxy.layers.http:HttpStream.state_stream_request_body": "c98f7f715cef7cfa",
    "mitmproxy.proxy.layers.http:HttpStream.state_consume_request_body": "45459c1bbd8bdb1a",
    "mitmproxy.proxy.layers.http:HttpStream.state_wait_for_response_headers": "10e32e91b2948164",
    "mitmproxy.proxy.layers.http:HttpStream.state_stream_response_body": "3fb6320300d3ddd5",
    "mitmproxy.proxy.layers.http:HttpStream.send_response": "d581bc106152e369",
    "mitmproxy.proxy.layers.http:HttpStream.flow_done": "ad9969744785c572",
    "mitmproxy.proxy.layers.http:HttpStream.handle_connect": "58ac37c8d346a2bf",
    "mitmproxy.proxy.layers.http:HttpStream.handle_connect_regular": "ae920a52067801dc",
    "mitmproxy.proxy.layers.http:HttpStream.handle_connect_finish": "eb3a0054cb5b716e",
    "mitmproxy.proxy.layers.http:HttpStream.state_uninitialized": "c53f28ced3a7b42a",
    "mitmproxy.proxy.layers.http:HttpStream.state_done": "e89310ffdcfbaf32",
    "mitmproxy.proxy.layers.http:HttpStream.state_errored": "3e7a286f27b15880",
    "mitmproxy.proxy.layers.http:validate_request": "e7cec257ce91b7c5",
    "mitmproxy.proxy.layers.http:SendHttp": "2a05328a33bd6d06",
    "mitmproxy.proxy.layers.http:DropStream": "c983ced442109a58",
    "mitmproxy.proxy.layers.http:HttpLayer.event_to_child": "1095f6e1581d1780",
    "mitmproxy.proxy.layers.http:HttpLayer.get_connection": "1aa1c63e3175766c",
    "mitmproxy.proxy.layers.http:HttpLayer.register_connection": "deed6282affc431f",
    "mitmproxy.proxy.layers.http._http2:Http2Connection.is_closed": "26e8192aca68a486",
    "mitmproxy.proxy.layer:Layer.handle_event": "8c8f3057b9e95554",
    "mitmproxy.proxy.layer:Layer.__process": "37153ddd561f2019",
    "mitmproxy.proxy.layer:Layer.__continue": "1b275367b37bed01",
    "mitmproxy.proxy.layers.modes:Socks5Proxy.socks_err": "25dc8e9d3b91ec95",
    "mitmproxy.proxy.layers.modes:Socks5Proxy._handle_event": "89b26466b40d47ee",
    "mitmproxy.proxy.layers.modes:Socks5Proxy.state_greet": "16c9cc458dcd00ae",
    "mitmproxy.proxy.layers.modes:Socks5Proxy.state_auth": "4e45f4a6f1acf885",
    "mitmproxy.proxy.layers.modes:Socks5Proxy.state_connect": "1f22acee40d5061e",
    "mitmproxy.proxy.layers.modes:Socks5AuthData": "c8943c6561cc6414",
    "mitmproxy.proxy.layers.modes:DestinationKnown": "d2e8fcf6359c592a",
    "mitmproxy.proxy.layers.http:HttpLayer._handle_event": "6ba31883cc7a06b3",
    "mitmproxy.proxy.layers.http:HttpLayer.make_stream": "654959c6e74548e1",
    "mitmproxy.proxy.layers.http._http1:Http1Client.read_headers": "415454c5fa8b5981",
    "mitmproxy.proxy.mode_servers:Socks5Instance": "d60d6525b746dfaf",
    "mitmproxy.proxy.layer:NextLayer": "3cbcbafad282cba3",
    "mitmproxy.addons.next_layer:NextLayer.next_layer": "d277fef31bbe9519",
    "mitmproxy.addons.next_layer:NextLayer._next_layer": "ed22cb84e2f72df2",
    "mitmproxy.net.tls:starts_like_tls_record": "746bcfe337a71d3d",
    "mitmproxy.proxy.layer:Layer": "e98dedd896fb7cd2",
    "mitmproxy.proxy.server:ConnectionHandler.wakeup": "6e42e075ee5fa3df",
    "mitmproxy.proxy.layers.tcp:TCPLayer": "5e842b94cd4425b0",
    "mitmproxy.proxy.layers.tls:parse_client_hello": "537b0089913d85d9",
    "mitmproxy.proxy.layers.tls:get_client_hello": "7fda12c4e3ef01b9",
    "mitmproxy.proxy.layers.tls:handshake_record_contents": "d0d1ff82ae62de31",
    "mitmproxy.tls:ClientHello": "46ba2420b3f5380d",
    "mitmproxy.proxy.server:ConnectionHandler.open_connection": "5e0b3cbaf7a4030a",
    "mitmproxy.proxy.server:ConnectionHandler.server_event": "a2b42657ebe8bf6d",
    "mitmproxy.proxy.server:ConnectionIO": "f498a46ab1b0f40f",
    "mitmproxy.proxy.server:ConnectionHandler.handle_client": "01f1b7cc991c4711",
    "mitmproxy.proxy.server:ConnectionHandler.handle_connection": "95c3f93e9824e527",
    "mitmproxy.proxy.server:ConnectionHandler.close_connection": "c0d10cc05dd65b80",
    "mitmproxy.addons.proxyserver:Proxyserver.register_connection": "d79bb91554a8bda2",
    "mitmproxy.addonmanager:AddonManager": "6be8dc580f5c66bf",
    "mitmproxy.addonmanager:safecall": "f2052c18340e99b0",
    "mitmproxy.addonmanager:traverse": "bad3d9f88bdf9269",
    "mitmproxy.addonmanager:_get_name": "31d01e3e46486063",
    "mitmproxy.proxy.server:ConnectionHandler.hook_task": "9ac7970160526268",
    "mitmproxy.proxy.mode_servers:ProxyConnectionHandler": "10e340d70b3f23d9",
    "mitmproxy.addons.script:Script": "f6f07b85c252c610",
    "mitmproxy.addons.proxyserver:Proxyserver.listen_addrs": "4728c85303106c0d",
    "mitmproxy.addons.proxyserver:Proxyserver.running": "e2f544c0127a348e",
    "mitmproxy.addons.proxyserver:Proxyserver.setup_servers": "0fd0fa70117642a0",
    "mitmproxy.proxy.mode_servers:AsyncioServerInstance.listen": "7670a9038b44170d",
    "mitmproxy.addons.proxyserver:Servers.update": "e653c1bdfa8cf352",
    "mitmproxy.proxy.mode_servers:AsyncioServerInstance._stop": "73df3f7e7fb2d941",
    "mitmproxy.utils.asyncio_utils:create_task": "1e4ddcc5df8a95ab",
    "mitmproxy.utils.asyncio_utils:set_task_debug_info": "fb5346b5710bbc7f",
    "mitmproxy.master:Master.run": "45c44c14f8f79349",
    "mitmproxy.master:Master.shutdown": "7771596b0fd3ada1",
}


@cache
def _module(name: str) -> tuple[str, ast.Module]:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(name)
    text = Path(spec.origin).read_text("utf-8")
    return text, ast.parse(text)


def source(name: str) -> str:
    """The text of `module:Qualified.name`, decorators included; "" if there is none."""
    module, _, qualified = name.partition(":")
    try:
        text, tree = _module(module)
    except ModuleNotFoundError:
        return ""
    body: list[ast.stmt] = tree.body
    node: ast.stmt | None = None
    for part in qualified.split("."):
        node = next((each for each in body if getattr(each, "name", None) == part and isinstance(
            each, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)), None)
        if node is None:
            return ""
        body = getattr(node, "body", [])
    assert isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
    return "".join(text.splitlines(keepends=True)[first - 1:node.end_lineno])


def fingerprint(name: str) -> str:
    return hashlib.sha256(source(name).encode()).hexdigest()[:16]


def changes(pins: Mapping[str, str] = PINS, read: Mapping[str, str] = READ) -> list[str]:
    """A line for each version that was not read, and for each guard whose ground has moved."""
    found = [f"{package} is {version(package)}; what was read is {was}"
             for package, was in read.items() if version(package) != was]
    for guard, names in LEANS_ON.items():
        moved = [name if source(name) else f"{name} (gone)"
                 for name in names if fingerprint(name) != pins.get(name)]
        if moved:
            found.append(f"read addons/outbounds/proxy/{guard}.py again beside: "
                         + ", ".join(moved))
    return found


def test_what_the_guards_lean_on_is_as_it_was_read() -> None:
    found = changes()
    assert not found, "mitmproxy is not what the guards were written against:\n  " \
        + "\n  ".join(found)


def test_every_pin_belongs_to_a_guard_and_names_something() -> None:
    assert set(PINS) == {name for names in LEANS_ON.values() for name in names}
    assert all(source(name) for name in PINS)
    proxy = Path(__file__).resolve().parents[2] / "addons" / "outbounds" / "proxy"
    assert all((proxy / f"{guard}.py").is_file() for guard in LEANS_ON)


def test_every_method_that_a_guard_overrides_is_pinned() -> None:
    """A new override without a pin would lean on mitmproxy unseen."""
    from outbounds.proxy import (
        dispatch,
        http1_guard,
        http2_guard,
        http_guard,
        socks_guard,
        tunnel_watch,
    )

    for guard in (http1_guard.GuardedHttp1Server, http2_guard.GuardedHttp2Server,
                  http_guard.GuardedHttpStream, socks_guard.GuardedSocks5Proxy,
                  dispatch.DispatchTable, tunnel_watch.TunnelWatch):
        for name, value in vars(guard).items():
            owner = next((base for base in guard.__mro__[1:] if name in vars(base)), None)
            if not callable(value) or owner is None or not owner.__module__.startswith("mitmproxy"):
                continue
            whole = f"{owner.__module__}:{owner.__qualname__}"
            assert whole in PINS or f"{whole}.{name}" in PINS or name == "state", (guard, name)


def test_a_change_is_noticed_and_says_which_guard_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{HTTP}:HttpStream.check_killed"
    text, tree = _module(HTTP)
    changed = text.replace("killed_by_remote = None", "killed_by_remote = 0", 1)
    assert changed != text
    real = _module
    monkeypatch.setattr(f"{__name__}._module", lambda module: (
        (changed, tree) if module == HTTP else real(module)))
    assert changes() == [f"read addons/outbounds/proxy/http_guard.py again beside: {name}"]


def test_what_is_gone_is_said_to_be_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = {**LEANS_ON, "sever": ("mitmproxy.proxy.server:NoMore", "mitmproxy.gone:x")}
    monkeypatch.setattr(f"{__name__}.LEANS_ON", gone)
    assert changes() == ["read addons/outbounds/proxy/sever.py again beside: "
                         "mitmproxy.proxy.server:NoMore (gone), mitmproxy.gone:x (gone)"]


def test_another_version_is_one_line() -> None:
    assert changes(read={"mitmproxy": "0.0.1"}) == [
        f"mitmproxy is {version('mitmproxy')}; what was read is 0.0.1"]


if __name__ == "__main__":
    for each in dict.fromkeys(name for names in LEANS_ON.values() for name in names):
        print(f'    "{each}": "{fingerprint(each)}",')
