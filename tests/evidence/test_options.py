"""What a proxy gives the collector that it starts is what the collector understands."""

from __future__ import annotations

from pathlib import Path

import pytest

from outbounds.evidence.options import parse, words
from outbounds.lists.rules_file import parse_rules
from outbounds.settings import load
from wire.harness import make_config


@pytest.mark.parametrize(("more", "every"), [
    ("", 3600.0), ("witness_every: 30s", 3600.0),
    ("witness_every: 30s\nwitnesses: [{name: other-disk, file: /mnt/elsewhere/checkpoints}]", 30.0),
])
def test_the_collector_is_started_as_configured(tmp_path: Path, more: str, every: float) -> None:
    config = make_config(tmp_path / "config", [])
    (config / "evidence.yaml").write_text(
        "directory: evidence\ncollector: spawn\nsocket: collector.sock\nack_timeout: 2s\n"
        "segment_size: 5MiB\nname: proxy1.example.net\nkey_valid: 30day\nreserve: 3MiB\n" + more)
    found = parse(["--dir", "d", "--socket", "s", *words(load(config, parse_rules))])
    assert (found.segment_size, found.name, found.key_valid, found.reserve, found.keep_every) == (
        5 << 20, "proxy1.example.net", 30 * 86_400, 3 << 20, every)
    assert found.config == config.absolute() and found.keep_after == 10.0
