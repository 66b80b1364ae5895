"""Orders to capture: each for one account, one case, and a time that ends."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from outbounds.evidence.captures.orders import (
    CaptureOrder,
    CapturesFileError,
    add_order,
    captures_path,
    read_orders,
    remove_orders,
)

NOW = datetime.now(UTC).replace(microsecond=0)
RECIPIENT = "age1" + "q" * 58


def order(case: str = "C-1", account: str = "a1", days: float = 7, **more: Any) -> CaptureOrder:
    return CaptureOrder(case=case, account=account, recipient=RECIPIENT, since=NOW,
                        until=NOW + timedelta(days=days), each=1000, most=5000, by="kim", **more)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return captures_path(tmp_path)


def test_none_until_there_is_a_file(path: Path) -> None:
    assert read_orders(path) == ()


def test_one_of_a_case_and_account(path: Path) -> None:
    add_order(path, order())
    add_order(path, order(account="a2"))
    add_order(path, order(days=3))  # replaces the first
    assert read_orders(path) == (order(account="a2"), order(days=3))
    assert path.stat().st_mode & 0o077 == 0


def test_removed_by_account_or_all(path: Path) -> None:
    for account in ("a1", "a2", "a3"):
        add_order(path, order(account=account))
    add_order(path, order("C-2"))
    assert remove_orders(path, "C-1", "a2") == (order(account="a2"),)
    assert remove_orders(path, "C-1") == (order(), order(account="a3"))
    assert remove_orders(path, "C-1") == ()
    assert read_orders(path) == (order("C-2"),)


def test_an_order_that_cannot_be_changes_nothing(path: Path) -> None:
    add_order(path, order())
    for wrong in (order(account="a2", days=93), order(account="")):
        with pytest.raises(CapturesFileError):
            add_order(path, wrong)
    assert read_orders(path) == (order(),)


def test_in_force_from_since_to_until() -> None:
    start, end = NOW.timestamp(), (NOW + timedelta(days=7)).timestamp()
    assert [order().in_force(at) for at in (start - 1, start, end - 1, end)] == [
        False, True, True, False]


def test_what_has_ended_goes_with_the_next_change(path: Path) -> None:
    old = CaptureOrder(case="C-0", account="a0", recipient=RECIPIENT,
                       since=NOW - timedelta(days=9), until=NOW - timedelta(days=2), each=1,
                       most=1, by="kim")
    path.write_bytes(json.dumps({"captures": [json.loads(_json(old))]}).encode())
    assert read_orders(path) == (old,)
    add_order(path, order())
    assert read_orders(path) == (order(),)


@pytest.mark.parametrize(("change", "message"), [
    ({"case": "../x"}, r"captures\[0\].case"),
    ({"account": ""}, r"captures\[0\].account"),
    ({"recipient": "age1short"}, r"captures\[0\].recipient"),
    ({"until": NOW.isoformat()}, r"captures\[0\].until: must come after since"),
    ({"until": (NOW + timedelta(days=93)).isoformat()}, "92 days at most"),
    ({"since": "2026-11-21T12:00:00"}, r"captures\[0\].since"),  # no time zone
    ({"each": 17 * 1024 * 1024}, r"captures\[0\].each"),
    ({"most": 0}, r"captures\[0\].most"),
    ({"for ever": True}, "unknown field"),
])
def test_a_file_that_is_wrong_says_where(path: Path, change: dict[str, Any], message: str) -> None:
    path.write_text(json.dumps({"captures": [json.loads(_json(order())) | change]}))
    with pytest.raises(CapturesFileError, match=message) as error:
        read_orders(path)
    assert str(path) in str(error.value)


def _json(one: CaptureOrder) -> bytes:
    return msgspec.json.encode(one)
