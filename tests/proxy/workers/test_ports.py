"""The ports that the workers share, as the supervisor holds them."""

from __future__ import annotations

import socket
from contextlib import closing

import pytest

from outbounds.proxy.workers.ports import Ports, PortTaken
from outbounds.settings.service import Listen


def listen(port: int = 0, host: str = "127.0.0.1") -> Listen:
    return Listen(mode="http", host=host, port=port)


def worker(port: int, host: str = "127.0.0.1") -> socket.socket:
    return socket.create_server((host, port), reuse_port=True, backlog=8, family=(
        socket.AF_INET6 if ":" in host else socket.AF_INET))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_port_0_becomes_a_port_on_which_workers_can_listen(host: str) -> None:
    with closing(Ports([listen(host=host), listen(host=host)])) as ports:
        first, second = (each.port for each in ports.listeners)
        assert first and second and first != second
        with worker(first, host), worker(first, host):
            socket.create_connection((host, first), 1).close()


def test_what_is_held_gets_no_connection() -> None:
    """The kernel gives them to sockets that listen."""
    with closing(Ports([listen()])) as ports:
        port = ports.listeners[0].port
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 1)
        with worker(port) as one:
            for _ in range(32):
                socket.create_connection(("127.0.0.1", port), 1).close()
                one.accept()[0].close()


def test_nobody_else_gets_it_while_no_worker_listens() -> None:
    with closing(Ports([listen()])) as ports, closing(socket.socket()) as other, \
            pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", ports.listeners[0].port))


@pytest.mark.parametrize("reuse", [False, True], ids=["another program", "another proxy"])
def test_a_port_that_is_taken(reuse: bool) -> None:
    """Those who ask for SO_REUSEPORT, too: they would share our clients."""
    with socket.create_server(("127.0.0.1", 0), reuse_port=reuse) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"cannot listen on 127\.0\.0\.1:{port}: .*in use; "):
            Ports([listen(), listen(port)])


def test_a_port_whose_connections_linger_is_free() -> None:
    """TIME_WAIT, as after every restart."""
    with socket.create_server(("127.0.0.1", 0)) as before:
        port = before.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), 1) as client:
            served, _ = before.accept()
            served.close()  # it closes first, and lingers
            assert client.recv(1) == b""
    Ports([listen(port)]).close()
