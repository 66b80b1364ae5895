"""Moments as checkpoints and statements have them: RFC 3339, whole seconds, UTC."""

from __future__ import annotations

from datetime import UTC, datetime

_FORM = "%Y-%m-%dT%H:%M:%SZ"


def written(at: float) -> str:
    """`at` is Unix s."""
    return datetime.fromtimestamp(int(at), UTC).strftime(_FORM)


def read_moment(text: str) -> float:
    """Unix s. Raises ValueError."""
    return datetime.strptime(text, _FORM).replace(tzinfo=UTC).timestamp()
