"""What retention looks at in a record."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from ..fields import FIELDS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NAMES = {"stamp": "timestamp", "event": "id", "type": "type", "account": "user_id",
          "verdict": "verdict", "duration": "duration", "outcome": "outcome", "detail": "detail"}


class Facts(msgspec.Struct, gc=False, rename={
        ours: FIELDS[attribute][0] for ours, attribute in _NAMES.items()}):
    """`duration` is in ns, of a closing; `detail` its hash, "" where a record has none."""

    stamp: datetime
    event: str
    type: str
    account: str = ""
    verdict: str = ""
    duration: int = 0
    outcome: str = ""
    detail: str = ""

    @property
    def at(self) -> int:
        """Unix µs."""
        return (self.stamp - _EPOCH) // _MICROSECOND


_decode = msgspec.json.Decoder(Facts).decode


def facts_of(envelope: bytes) -> Facts | None:
    """None for what cannot be read: nothing is removed that is not understood."""
    try:
        found = _decode(envelope)
    except msgspec.MsgspecError:
        return None
    return found if found.stamp.tzinfo is not None else None
