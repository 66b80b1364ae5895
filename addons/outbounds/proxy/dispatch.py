"""Hook dispatch that offers events to those who take them.

mitmproxy offers every event to every addon, through two generators and a context manager each,
and follows every flow event with an `update` that nobody here listens to: 45 % of its CPU time on
small requests. This manager keeps, per event name, the list of callables that take it. What it
promises is the same: order of the chain, awaiting of awaitables, AddonHalt, and that an exception
in one addon is logged and ends that addon (with those inside it), but not the others. The launcher
uses it. Under `mitmdump -s` the manager is the host's and stays; only the updates that nobody takes
are left out.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any

from mitmproxy import addonmanager, exceptions, flow, hooks

from .told_faults import told

logger = logging.getLogger(__name__)


class DispatchTable(addonmanager.AddonManager):
    def __init__(self, master: Any) -> None:
        super().__init__(master)  # type: ignore[no-untyped-call]
        # by event name; the callables of one addon of the chain stand together
        self._table: dict[str, tuple[tuple[Callable[..., Any], ...], ...]] = {}

    def register(self, addon: Any) -> Any:
        self._table.clear()
        return super().register(addon)  # type: ignore[no-untyped-call]

    def remove(self, addon: Any) -> None:
        self._table.clear()
        super().remove(addon)  # type: ignore[no-untyped-call]

    def clear(self) -> None:
        self._table.clear()
        super().clear()  # type: ignore[no-untyped-call]

    def _takers(self, event: hooks.Hook) -> tuple[tuple[Callable[..., Any], ...], ...]:
        takers = self._table.get(event.name)
        if takers is None:
            found = []
            for addon in self.chain:
                with addonmanager.safecall():  # an attribute of that name that cannot be called
                    found.append(tuple(func for _, func in self._iter_hooks(addon, event)))
            takers = self._table[event.name] = tuple(each for each in found if each)
        return takers

    async def handle_lifecycle(self, event: hooks.Hook) -> None:
        await self.trigger_event(event)

    async def trigger_event(self, event: hooks.Hook) -> None:
        args = event.args()
        for addon in self._takers(event):
            try:
                for taker in addon:
                    result = taker(*args)
                    if result is not None and inspect.isawaitable(result):
                        await result
            except exceptions.AddonHalt:
                return
            except exceptions.OptionsError:
                raise
            except Exception as fault:
                logger.error("Addon error: %s", told(fault))


def leave_out_idle_updates(manager: addonmanager.AddonManager) -> None:
    """Let `manager` walk its addons for an `update` only if one of them takes it. Idempotent."""
    known: tuple[tuple[int, ...], bool] = ((), False)  # which addons, whether one takes updates

    async def handle_lifecycle(event: hooks.Hook) -> None:
        nonlocal known
        await manager.trigger_event(event)
        message = event.args()[0]
        if isinstance(message, flow.Flow):
            update = hooks.UpdateHook([message])
            addons = tuple(map(id, manager.lookup.values()))
            if known[0] != addons:
                taken = any(True for addon in manager.chain
                            for _ in manager._iter_hooks(addon, update))
                known = (addons, taken)
            if known[1]:
                await manager.trigger_event(update)

    if not isinstance(manager, DispatchTable):
        manager.handle_lifecycle = handle_lifecycle  # type: ignore[method-assign]
