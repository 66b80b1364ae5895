"""Where reppy judges otherwise than our matcher, the reason is known: an unknown one has been a
fault of ours before."""

from __future__ import annotations

import sys
from pathlib import Path

from .asking_reppy import needs_reppy

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from benchmarks.robots_cases import generate
from benchmarks.robots_differences import OTHER, compare


@needs_reppy
async def test_every_difference_has_a_reason() -> None:
    outcome = await compare(generate(3000))
    assert len(outcome.differences) > 5
    unknown = outcome.differences.get(OTHER)
    assert unknown is None, unknown
