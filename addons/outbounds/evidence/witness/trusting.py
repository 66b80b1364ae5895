"""What a configured witness is believed by."""

from __future__ import annotations

from collections.abc import Sequence

from ...settings.evidence import Witness
from ..tlog.cosignature import Cosigner
from ..tlog.note import Verifier
from .stamps import Trusted


def trusting(log: Sequence[Verifier], witness: Witness) -> Trusted:
    """For `stamps.check`: the `log`'s keys, and the key or the root that `witness` is configured
    with. Raises BadNote, OSError."""
    return Trusted(log, [Cosigner.parse(witness.key)] if witness.url else [],
                   [witness.ca.read_bytes()] if witness.ca else [])
