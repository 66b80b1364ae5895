"""Which engine judges by robots.txt, and whether it can be had here."""

from __future__ import annotations

import re
from collections.abc import Callable

from ..robotstxt.engine import BuiltInEngine, Engine
from ..robotstxt.reppy_engine import ReppyEngine
from ..robotstxt.reppy_process import unusable
from ..settings import Problem, Settings, SettingsError

_FIX = ("install the extra, in the folder of Outbounds and with a C++ compiler "
        "(uv pip install --editable '.[reppy]'), or set engine: built-in")


def make_engine(settings: Settings, count: Callable[[str], None] = lambda event: None) -> Engine:
    """The engine of `settings`; its processes, if it has any, are started by the first question.
    `count` as for `ReppyEngine`."""
    if settings.robots.engine == "reppy":
        return ReppyEngine(count=count)
    return BuiltInEngine()


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
