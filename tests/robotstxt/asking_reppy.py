"""Questions for the engine that judges by reppy, and processes that stand in for its own."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path

import pytest

from outbounds.core.questions import JudgeRobots, RobotsAnswer
from outbounds.core.robots import Robots

STAND_IN = (sys.executable, "-P", str(Path(__file__).with_name("reppy_stand_in.py")))

needs_reppy = pytest.mark.skipif(
    importlib.util.find_spec("reppy") is None,
    reason="reppy is not installed: building it needs uv and a C++ compiler (scripts/environment)")

RULES = b"User-agent: *\nDisallow: /private\n"


def question(path: str, *agents: str, body: bytes = RULES, whole_site: bool = False
             ) -> JudgeRobots:
    answer = RobotsAnswer(Robots.parse(body), "fresh", hashlib.sha256(body).hexdigest(), body=body)
    return JudgeRobots(answer, ("http", "site.test", 80), path, agents or ("FooBot",), whole_site)
