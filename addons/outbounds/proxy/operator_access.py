"""By what an operator reaches into a running proxy: the targets that are closed, the sites that
accounts own, and the questions of `outbounds limits`, `sites` and `robots`; put together for one
worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from ..lists.closed_file import ClosedFileError, closed_path
from ..robotstxt import Egress
from .closed_keeper import ClosedKeeper
from .control_socket import ControlError, ControlSocket, control_path
from .limits_desk import LimitsDesk
from .ownership import Ownership
from .prerequisites import StartError
from .robots_desk import RobotsDesk
from .runtime import Runtime
from .target_closing import TargetClosing


class OperatorAccess:
    """`worker` counts from 1 among those that serve one port, 0 where it is the only one; the
    first of them puts on record what all have carried out. `egress` is how fetches
    in the proxy's own name leave."""

    def __init__(self, runtime: Runtime, worker: int, *, targets: Callable[[], Iterable[object]],
                 waiting_of: Callable[[str], int], egress: Egress) -> None:
        data = runtime.settings.service.data
        self._keeper = ClosedKeeper(closed_path(data), TargetClosing(runtime, records=worker <= 1),
                                    runtime.metrics.closed_targets)
        desk = LimitsDesk(runtime, runtime.gate.throttling, self._keeper, targets=targets,
                          waiting_of=waiting_of, worker=worker)
        self._ownership = Ownership(runtime, worker, egress)
        self._socket = ControlSocket(control_path(data, worker),
                                     {**desk.handlers(), **self._ownership.handlers(),
                                      **RobotsDesk(lambda: runtime.gate, worker).handlers()},
                                     runtime.fault)
        self._watch: asyncio.Task[None] | None = None
        runtime.gate.look_at_closed = self._keeper.look

    async def start(self) -> None:
        """Raises StartError. Before the first request can be let through: what is closed is in
        force then, or nobody knows what is."""
        try:
            self._keeper.load()
            self._ownership.load()
            await self._socket.start()
        except (ClosedFileError, ControlError) as error:
            raise StartError(str(error)) from error
        self._watch = asyncio.create_task(self._keeper.watch(), name="watch closed targets")
        self._ownership.start()

    async def aclose(self) -> None:
        """Idempotent."""
        if self._watch is not None:
            self._watch.cancel()
        self._ownership.close()
        await self._socket.aclose()
