"""What came of each task of the keeper: DIR/kept.json, for the metrics and for `evidence status`.

    {"seal": {"at": 1795000000.5, "ok": true, "fault": "", "sealed": 3}, …}

`at` is when it last ran, Unix s; `good` when it last ran without a fault (absent if never). What
else there is are the task's own numbers.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from ..directory import replace_file

type Outcome = dict[str, int | float | str | bool]

_decode = msgspec.json.Decoder(dict[str, dict[str, bool | int | float | str]]).decode


def load_kept(directory: Path) -> dict[str, Outcome]:
    """Task to what came of it; empty where no pass has run, or the file is damaged: it is about the
    last pass only, and the next one writes it anew. Raises OSError."""
    try:
        return _decode((directory / "kept.json").read_bytes())
    except FileNotFoundError:
        return {}
    except msgspec.MsgspecError:
        return {}


def save_kept(directory: Path, kept: dict[str, Outcome]) -> None:
    """Raises OSError."""
    replace_file(directory / "kept.json", msgspec.json.encode(kept))
