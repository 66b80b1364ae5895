"""kill -9 of the collector and of the keeper under load, at random moments.

`scripts/bench evidence_kill` does the same a thousand times. What is looked for: every record that
was acknowledged is there, once; no line is torn; the collector starts by itself; and each
checkpoint is consistent with all before it (RFC 9162 section 2.1.4), shown by proofs over the log
as it is in the end.
"""

from __future__ import annotations

from pathlib import Path

from kill_rounds import rounds

ROUNDS = 20


async def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    found = await rounds(tmp_path / "evidence", tmp_path / "socket", ROUNDS, seed=6)
    assert found.kills == ROUNDS
    assert found.lost == [] and found.twice == [] and found.orderless == []
    assert found.acknowledged > ROUNDS and found.checkpoints > 2 and found.sealed > 2
    assert found.keeper_kills > 0
    assert not found.left_over, "drafts and strays go with the next pass"
