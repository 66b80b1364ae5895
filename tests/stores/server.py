"""A real Valkey or Redis server on a port of its own, which keeps nothing on disk; and a relay in
front of it that a test can make slow, deaf or dead."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import redis

from wire.harness import free_port, wait_until

BINARY = shutil.which("valkey-server") or shutil.which("redis-server")
MISSING = "needs valkey-server or redis-server (Debian: apt-get install redis-server)"


class Server:
    """`options` are lines of its configuration. It listens on loopback only."""

    def __init__(self, *options: str, tls: tuple[Path, Path] | None = None) -> None:
        assert BINARY, MISSING
        self.port = free_port()
        self.tls = tls
        self._folder = tempfile.TemporaryDirectory(prefix="limits-server-")
        where = (f"tls-port {self.port}\nport 0\ntls-auth-clients no\n"
                 f"tls-cert-file {tls[0]}\ntls-key-file {tls[1]}" if tls else f"port {self.port}")
        self._config = Path(self._folder.name, "server.conf")
        self._config.write_text("\n".join((
            where, "bind 127.0.0.1", 'save ""', "appendonly no",
            f"dir {self._folder.name}", *options)) + "\n")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"{'valkeys' if self.tls else 'valkey'}://127.0.0.1:{self.port}/0"

    def start(self) -> Server:
        assert BINARY
        with Path(self._folder.name, "log").open("ab") as log:
            self.process = subprocess.Popen([BINARY, str(self._config)], stdout=log, stderr=log)
        wait_until(self._listens, 20)
        return self

    def _listens(self) -> bool:
        assert self.process and self.process.poll() is None, self.log()
        with suppress(OSError), closing(socket.create_connection(("127.0.0.1", self.port), 1)):
            return True
        return False

    def log(self) -> str:
        return Path(self._folder.name, "log").read_text("utf-8", "replace")

    def send(self, number: signal.Signals) -> None:
        assert self.process
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        """As a crash does: at once, and everything it held in memory is gone."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self) -> None:
        self.kill()
        self._folder.cleanup()

    def admin(self, **more: object) -> redis.Redis:
        """A client for the test itself."""
        return redis.Redis(port=self.port, socket_timeout=10, **more)  # type: ignore[arg-type]

    def calls(self, command: str) -> int:
        """How many of these commands it has been sent, those of its functions not counted."""
        with self.admin() as admin:
            stats = admin.info("commandstats")
        return int(stats.get(f"cmdstat_{command}", {}).get("calls", 0))


class Relay:
    """A way to the server with faults. `delay` seconds on each chunk of its answers; `deaf`:
    nothing comes through, in either direction, and nobody is told; `refuse`: nobody gets in."""

    def __init__(self, to: int) -> None:
        self.port = free_port()
        self._to = to
        self.delay = 0.0
        self.deaf = False
        self.refuse = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        ready.wait(10)

    @property
    def url(self) -> str:
        return f"valkey://127.0.0.1:{self.port}/0"

    def cut(self) -> None:
        """Break every connection (RST)."""
        def abort() -> None:
            for writer in self._writers:
                writer.transport.abort()
        self._call(abort)

    def close(self) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _call(self, action: Callable[[], None]) -> None:
        done = threading.Event()

        def run() -> None:
            action()
            done.set()
        self._loop.call_soon_threadsafe(run)
        done.wait(10)

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._client, "127.0.0.1", self.port))
        ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.close()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuse:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        await asyncio.gather(self._pump(reader, back, False), self._pump(there, writer, True))

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter,
                    slow: bool) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                if slow and self.delay:
                    await asyncio.sleep(self.delay)
                while self.deaf:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                sink.write(data)
        sink.transport.abort()
        self._writers.discard(sink)
