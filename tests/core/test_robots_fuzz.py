"""The fuzzer of scripts/fuzz, for a moment: that it runs, and finds what is there to be found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from outbounds.core.robots import Match, Robots


@pytest.fixture
def fuzzing(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "scripts"))
    from fuzzing import running
    return running


def test_it_finds_nothing(fuzzing: Any) -> None:
    result = fuzzing.fuzz(seed=9309, seconds=2.0)
    assert [f"{each.invariant}: {each.what}: {each.case}" for each in result.findings] == []
    assert set(result.checks) == set(fuzzing.INVARIANTS)


def test_it_finds_a_rule_that_is_left_out(
    fuzzing: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    judge = Robots.allowed
    monkeypatch.setattr(Robots, "allowed", lambda self, url, agent: Match(True, 0) if "%" in url
                        else judge(self, url, agent))
    result = fuzzing.fuzz(seed=1, seconds=10.0)
    assert len(result.findings) == fuzzing.MOST_FINDINGS
    assert result.findings[0].write(tmp_path).read_text().startswith("{")
