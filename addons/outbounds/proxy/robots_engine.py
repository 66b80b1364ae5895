"""Which engine judges by robots.txt, and whether it can be had here."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from ..robotstxt.engine import BuiltInEngine, Engine
from ..robotstxt.reppy_engine import DEADLINE, ReppyEngine
from ..robotstxt.reppy_process import unusable
from ..settings import Problem, Settings, SettingsError

_FIX = ("install the extra, in the folder of Outbounds and with a C++ compiler "
        "(uv pip install --editable '.[reppy]'), or set engine: built-in")


def make_engine(settings: Settings, count: Callable[[str], None] = lambda event: None) -> Engine:
    """The engine of `settings`, for the running loop: its processes, if it has any, are on their
    way. `count` as for `ReppyEngine`."""
    if settings.robots.engine != "reppy":
        return BuiltInEngine()
    engine = ReppyEngine(count=count)
    engine.workers.start()  # or the first request would wait for them
    return engine


def engine_after(engine: Engine, old: Settings, new: Settings, count: Callable[[str], None]
                 ) -> Engine:
    """The engine from now on, where `engine` is that of `old`. If it is another one, `engine` is
    closed when whoever waits for it has been answered."""
    if new.robots.engine == old.robots.engine:
        return engine
    task = asyncio.get_running_loop().create_task(_retire(engine))
    _retiring.add(task)  # the loop itself keeps no task alive
    task.add_done_callback(_retiring.discard)
    return make_engine(new, count)


_retiring: set[asyncio.Task[None]] = set()


async def _retire(engine: Engine) -> None:
    await asyncio.sleep(2 * DEADLINE)
    await engine.aclose()


def need_engine(settings: Settings) -> None:
    """Raises SettingsError where the engine that is asked for cannot judge. Blocks for the third
    of a second that a process of reppy takes to start; it is not loaded into this one."""
    if settings.robots.engine != "reppy":
        return
    why = unusable()
    if why:
        path = settings.folder / "robots.yaml"
        raise SettingsError((Problem(str(path), _line_of(path.read_text("utf-8")), ("engine",),
                                     "reppy", f"reppy cannot judge here ({why}); {_FIX}"),),
                            settings.files)


def _line_of(text: str) -> int:
    return next((number for number, line in enumerate(text.splitlines(), 1)
                 if re.match(r"['\"]?engine['\"]?\s*:", line)), 0)
