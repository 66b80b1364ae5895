"""`outbounds serve`: mitmproxy's proxy with what a proxy needs and nothing else.

The addon is the same as under `mitmdump -s`; here it gets a master with five addons instead of
thirty-six and the dispatch table. Exits 0 after SIGTERM or SIGINT, 1 when it could not start.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from pathlib import Path

from mitmproxy import exceptions, master, options
from mitmproxy.addons import disable_h2c, errorcheck, next_layer, proxyserver, tlsconfig

from .dispatch import DispatchTable
from .hooks import Outbounds
from .service import Service

logger = logging.getLogger("outbounds")


class ServeMaster(master.Master):
    def __init__(self, opts: options.Options) -> None:
        super().__init__(opts)
        self.addons = DispatchTable(self)


def set_up_logging(verbose: bool) -> None:
    """Our own lines on standard error; of mitmproxy only what is wrong.

    Its informational lines cost as much as the enforcement (one for each connection and each
    streamed body) and repeat what clients sent.
    """
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, datefmt="%Y-%m-%dT%H:%M:%S%z",
        format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("outbounds").setLevel(logging.DEBUG if verbose else logging.INFO)
    logging.getLogger("mitmproxy").setLevel(logging.INFO if verbose else logging.WARNING)
    # "client disconnected" and its kind, at warning level, once per odd client
    logging.getLogger("mitmproxy.proxy").setLevel(logging.INFO if verbose else logging.ERROR)


async def run(service: Service, *, set_options: tuple[str, ...] = (),
              port: int | None = None) -> int:
    """Run until a signal. `port` overrides that of the first HTTP listener."""
    opts = options.Options()
    serving = ServeMaster(opts)
    try:
        # before the addons, which read them when they are configured; those that an addon is yet
        # to define wait for it
        opts.set(*set_options, defer=True)
    except exceptions.OptionsError as error:
        print(f"outbounds serve: --set: {error}", file=sys.stderr)
        return 2
    # Outbounds before NextLayer, as a script is: what is inside a tunnel is its choice first
    serving.addons.add(
        proxyserver.Proxyserver(), Outbounds(service), disable_h2c.DisableH2C(),
        next_layer.NextLayer(), tlsconfig.TlsConfig(), errorcheck.ErrorCheck())
    if opts.deferred:
        print(f"outbounds serve: --set: unknown option {next(iter(opts.deferred))}; "
              "`mitmdump --options` lists them", file=sys.stderr)
        return 2
    # last: this is what configures the addons
    listeners = service.settings.service.listen
    opts.update(
        mode=[_mode(listen.mode, listen.host, listen.port if port is None or index else port)
              for index, listen in enumerate(listeners)],
        confdir=str(ca_folder(service.settings.service.data)))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, serving.shutdown)
    await serving.run()
    return 0


def _mode(kind: str, host: str, port: int) -> str:
    """A mitmproxy mode specification, for one listener."""
    name = {"http": "regular", "socks5": "socks5"}[kind]
    return f"{name}@{host}:{port}"


def ca_folder(data: Path) -> Path:
    """Where the certificate authority for inspected sites is kept; mitmproxy names the files."""
    return data / "ca"
