"""What witnesses saw, as a bundle has it: stamped, and extended by the log of the bundle."""

from __future__ import annotations

import base64
import binascii
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..tlog.checkpoint import Checkpoint
from ..tlog.cosignature import Cosigner
from ..tlog.merkle import BadProof, verify_consistency
from ..tlog.note import BadNote, Verifier
from ..witness.stamps import SUFFIXES, BadStamp, Stamp, Trusted, check, read_stamp
from .container import BadContainer, Container


@dataclass(frozen=True, slots=True)
class Trust:
    """Keys of witnesses and roots of time stamp authorities (PEM) that the caller has from
    elsewhere; those that the bundle names are believed only where there are none."""

    cosigners: tuple[Cosigner, ...] = ()
    roots: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Witnessed:
    """That `name` saw the log with `size` records at `at` (Unix s). `problem` is "" where that
    holds; `named_here`: its key is only the bundle's word."""

    file: str
    name: str
    kind: str
    size: int
    at: int
    named_here: bool
    problem: str = ""


def check_witnesses(bundle: Container, checkpoint: Checkpoint, keys: Sequence[Verifier],
                    trust: Trust) -> Iterator[Witnessed]:
    """Each stamp of the bundle; `keys` are the log's. Raises BadContainer."""
    last = {suffixes[-1]: kind for kind, suffixes in SUFFIXES.items()}
    for name in sorted(bundle.names):
        path = PurePosixPath(name)
        if path.parts[0] == "witness" and path.suffix in last:
            yield _checked(bundle, path, last[path.suffix], checkpoint, keys, trust)


def _checked(bundle: Container, path: PurePosixPath, kind: str, checkpoint: Checkpoint,
             keys: Sequence[Verifier], trust: Trust) -> Witnessed:
    # stamps are checked as files, under the name of their witness
    with tempfile.TemporaryDirectory(prefix="outbounds-") as folder:
        try:
            stamp = _unpacked(bundle, path, kind, Path(folder))
            trusted, named_here = _believed(bundle, path, kind, keys, trust)
            check(stamp, trusted)
            proof = [base64.b64decode(line, validate=True) for line in
                     bundle.read(str(path.with_suffix(".consistency"))).split(b"\n")[:-1]]
            verify_consistency(stamp.size, stamp.root, checkpoint.size, checkpoint.root, proof)
        except (BadStamp, BadNote, BadProof, BadContainer, binascii.Error, OSError) as error:
            return Witnessed(str(path), path.parent.name, kind, 0, 0, True,
                             str(error).replace(f"{folder}/", "witness/"))
    return Witnessed(str(path), stamp.name, kind, stamp.size, stamp.at, named_here)


def _unpacked(bundle: Container, path: PurePosixPath, kind: str, folder: Path) -> Stamp:
    into = folder / path.parent.name
    into.mkdir()
    for suffix in SUFFIXES[kind]:
        each = path.with_suffix(suffix)
        (into / each.name).write_bytes(bundle.read(str(each)))
    return read_stamp(into / path.name, kind)


def _believed(bundle: Container, path: PurePosixPath, kind: str, keys: Sequence[Verifier],
              trust: Trust) -> tuple[Trusted, bool]:
    """Whom to believe, and whether that is only the bundle's word. A file has no key of its own:
    what it proves is where it was, and that is not in the bundle."""
    if kind == "url" and not trust.cosigners:
        key = bundle.read(str(path.with_suffix(".key"))).decode("utf-8", "replace")
        return Trusted(keys, (Cosigner.parse(key),)), True
    if kind == "timestamp" and not trust.roots:
        return Trusted(keys, (), (bundle.read(str(path.with_suffix(".ca.pem"))),)), True
    return Trusted(keys, trust.cosigners, trust.roots), kind == "file"
