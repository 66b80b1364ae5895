"""`outbounds serve`: mitmproxy's proxy with what a proxy needs and nothing else.

The addon is the same as under `mitmdump -s`; here it gets a master with five addons instead of
thirty-six and the dispatch table. Exits 0 after SIGTERM or SIGINT, 1 when it could not start.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence

from mitmproxy import exceptions, master, options
from mitmproxy.addons import disable_h2c, errorcheck, next_layer, proxyserver, tlsconfig

from ..settings.service import Listen
from .certificate_authority import ca_folder, one_maker
from .dispatch import DispatchTable
from .drain import Drain
from .hooks import Outbounds
from .service import Service
from .shared_ports import share_ports


class ServeMaster(master.Master):
    def __init__(self, opts: options.Options) -> None:
        super().__init__(opts)
        self.addons = DispatchTable(self)


async def run(service: Service, listeners: Sequence[Listen], *,
              set_options: tuple[str, ...] = ()) -> int:
    """Run on `listeners` until a signal. The first drains (`drain`), a second one ends at once."""
    opts = options.Options()
    serving = ServeMaster(opts)
    link = service.link
    if link is not None:
        share_ports()
        # at once: whoever takes over after a supervisor that was killed needs the evidence log
        await link.start(orphaned=serving.shutdown)
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
    ending = Ending(serving, service)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ending.asked)
    folder = ca_folder(service.settings.service.data)
    with one_maker(folder):
        # last: this is what configures the addons
        opts.update(mode=[_mode(each) for each in listeners], confdir=str(folder))
        try:
            # again: what an addon defines was set before that addon could hear of it (connect_addr)
            opts.set(*set_options)
        except exceptions.OptionsError as error:
            print(f"outbounds serve: --set: {error}", file=sys.stderr)
            return 2
    await serving.run()
    if link is not None:
        await link.aclose()
    return 0


class Ending:
    """What a signal sets going."""

    def __init__(self, serving: ServeMaster, service: Service) -> None:
        self._serving = serving
        self._service = service
        self._task: asyncio.Task[None] | None = None

    def asked(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._drain(), name="drain")
        else:
            self._serving.shutdown()  # type: ignore[no-untyped-call]

    async def _drain(self) -> None:
        try:
            await Drain(self._serving.addons.get("proxyserver"), self._service.clients).run()
        finally:
            self._serving.shutdown()  # type: ignore[no-untyped-call]


def _mode(listen: Listen) -> str:
    """A mitmproxy mode specification, for one listener."""
    name = {"http": "regular", "socks5": "socks5"}[listen.mode]
    return f"{name}@{listen.host}:{listen.port}"
