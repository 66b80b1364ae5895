"""Making a bundle: what a court is given.

    README.txt               how a stranger verifies it, with openssl and sha256sum
    report.html              for people: what happened, how sure, what is proved
    statement.json           scope and count (`statement`); leaves.txt, the records it counts
    records/NNN.json         the exact octets of a record's envelope; NNN is its position in the log
    details/NNN.json         those of its detail, if it has one
    acts/NNN.json            records of the log that say what was done in this case, the last of
                             them that this bundle was made, with the statement's SHA-256
    proofs/NNN.tlog-proof    that a record is in the log (C2SP tlog-proof), all for one checkpoint
    log/checkpoint           that checkpoint; log/keys, the statements about the log's keys;
                             log/key.pem, the one that signed it
    custody.jsonl            who did what in the case (`custody`)
    witness/NAME/…           what witnesses saw, and that this log extends it (*.consistency)
    case-key.pem             the case's public key
    SHA256SUMS, SHA256SUMS.sig   of all other files, and the case's signature (Ed25519) of that

The order of things: the statement, then its record in the log, then the wait for a checkpoint that
covers that record. A crash anywhere leaves a draft, which the next export to the same place
removes, and a log that says that a bundle was about to be made.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ...settings.evidence import Witness
from ..archive.reading import Stored, fetch
from ..identifier import timestamp
from ..search import Query, search
from ..tlog.checkpoint import Checkpoint
from ..tlog.keys import read_keys
from ..tlog.log_tree import LogTree
from ..tlog.merkle import inclusion_proof
from ..tlog.note import Verifier, open_note
from ..tlog.verified import read_checkpoint
from ..witness.stamps import Stamp, stamps
from . import statement as statements
from .container import refuse_existing, writing
from .custody import Exported
from .desk import Desk
from .material import Material, gather
from .readme import readme
from .report import Page, report
from .statement import Statement

COVERED_WITHIN = 15.0  # s: the collector signs every second

Say = Callable[[str], None]


class NotCovered(Exception):
    """No checkpoint covers what was just recorded. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Log:
    """Where the log is, and the witnesses it has."""

    directory: Path
    witnesses: tuple[Witness, ...] = ()


def export(desk: Desk, id: str, log: Log, out: Path, *, account: str | None = None,
           mixed: bool = False, say: Say = lambda _: None) -> Statement:
    """Write the bundle of case `id` to `out` (see `container.writing`): of `account`, of the only
    one there is, or of all (`mixed`). Raises what `Desk`, `gather`, `LogTree.open` and `writing`
    raise, and NotCovered; then there is no bundle."""
    refuse_existing(out)
    with desk.cases.change(id) as change:
        material = gather(change.case, account, mixed, lambda query: search(log.directory, query),
                          lambda positions: fetch(log.directory, positions))
        leaves = statements.write_leaves(material.records)
        keys = read_keys(log.directory / "log" / "keys")
        made = time.time_ns()
        stated = statements.make(material, leaves, made=timestamp(made), made_by=desk.operator,
                                 log=keys[0].verifier.name)
        octets = statements.write(stated)
        content = Exported(account=account or (material.accounts[0] if not mixed else ""),
                           records=stated.records, statement=sha256(octets).hexdigest())
        with desk.act(change, content, statements.scope_of(octets, stated),
                      count=stated.records) as act:
            say("waiting for the log to sign the record of this export")
            mine = _covered(log.directory, act.id)
            parts = _Parts(material, stated, octets, leaves, [*material.acts, mine],
                           LogTree.open(log.directory), log)
            signer = change.case.signer()
            sums: list[str] = []
            with writing(out, id, made // 1_000_000_000) as put:
                for name, each in parts.files():
                    put(name, each)
                    sums.append(f"{sha256(each).hexdigest()}  {name}\n")
                listed = "".join(sums).encode()
                put("SHA256SUMS", listed)
                put("SHA256SUMS.sig", signer.key.sign(listed))
    return stated


def _covered(directory: Path, id: str) -> Stored:
    """The opening record of the act `id`, once a checkpoint covers it."""
    position = min(position for event in search(directory, Query(ids=(id,)))
                   for position in event.positions)
    verifiers = [each.verifier for each in read_keys(directory / "log" / "keys")]
    deadline = time.monotonic() + COVERED_WITHIN
    while read_checkpoint(directory / "log" / "checkpoint", verifiers).size <= position:
        if time.monotonic() > deadline:
            raise NotCovered(f"{directory}/log/checkpoint: has not grown for {COVERED_WITHIN:.0f} "
                             "s; is the collector running, and its disk not full?")
        time.sleep(0.05)
    return fetch(directory, [position])[0]


class _Parts:
    """The files of a bundle, one after the other."""

    def __init__(self, material: Material, stated: Statement, statement: bytes, leaves: bytes,
                 acts: list[Stored], tree: LogTree, log: Log) -> None:
        self._material, self._stated, self._statement = material, stated, statement
        self._leaves, self._acts, self._tree, self._log = leaves, acts, tree, log
        # proofs of neighbours share most of their hashes, and each is some of a tile's 256
        self._read = lru_cache(maxsize=1 << 18)(tree)
        self._folder = log.directory / "log"

    def files(self) -> Iterator[tuple[str, bytes]]:
        checkpoint = self._tree.checkpoint
        keys = read_keys(self._folder / "keys")
        signed_by = open_note(self._tree.note, [each.verifier for each in keys])[1][0]
        kept = choose(stamps(self._log.directory), [each.position for each in
                                                    self._material.records], checkpoint)
        case_key = Verifier.parse(self._stated.key)
        yield "README.txt", readme(self._stated, checkpoint, signed_by, self._acts[-1].position,
                                   [each.kind for each in kept]).encode()
        yield "report.html", report(Page(self._stated, self._material, checkpoint, signed_by,
                                         kept)).encode()
        yield "statement.json", self._statement
        yield "leaves.txt", self._leaves
        yield "custody.jsonl", b"".join(bytes(line) for line in self._material.lines)
        yield "case-key.pem", pem(case_key)
        yield "log/checkpoint", self._tree.note.encode()
        yield "log/keys", (self._folder / "keys").read_bytes()
        yield "log/key.pem", pem(signed_by)
        for folder, records in (("records", self._material.records), ("acts", self._acts)):
            for stored in records:
                yield f"{folder}/{number(stored.position)}.json", stored.envelope
        for stored in self._material.records:
            if stored.detail:
                yield f"details/{number(stored.position)}.json", stored.detail
        for position in sorted({each.position for each in
                                [*self._material.records, *self._acts]}):
            yield f"proofs/{number(position)}.tlog-proof", proof(
                position, inclusion_proof(position, checkpoint.size, self._read), self._tree.note)
        trust = {each.name: each for each in self._log.witnesses}
        for stamp in kept:
            yield from self._witnessed(stamp, trust.get(stamp.name))

    def _witnessed(self, stamp: Stamp, witness: Witness | None) -> Iterator[tuple[str, bytes]]:
        for path in stamp.files:
            yield f"witness/{stamp.name}/{path.name}", path.read_bytes()
        stem = f"witness/{stamp.name}/{stamp.files[0].stem}"
        yield f"{stem}.consistency", b"".join(
            base64.b64encode(each) + b"\n" for each in self._tree.consistency(stamp.size))
        if witness is not None and witness.key:
            yield f"{stem}.key", f"{witness.key}\n".encode()
        if witness is not None and witness.ca is not None:
            yield f"{stem}.ca.pem", witness.ca.read_bytes()


def choose(found: Sequence[Stamp], positions: Sequence[int],
           checkpoint: Checkpoint) -> list[Stamp]:
    """Of each witness, the first stamp that covers the last record, which binds all of them; the
    newest where none does yet. Only those that `checkpoint` extends."""
    last = max(positions)
    chosen: dict[str, Stamp] = {}
    for stamp in found:
        before = chosen.get(stamp.name)
        if stamp.size <= checkpoint.size and (before is None or before.size <= last):
            chosen[stamp.name] = stamp
    return list(chosen.values())


def number(position: int) -> str:
    """As names of files have it: in the order of the log, however they are sorted."""
    return f"{position:012d}"


def pem(verifier: Verifier) -> bytes:
    """The public key as openssl reads it."""
    return Ed25519PublicKey.from_public_bytes(verifier.key).public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def proof(position: int, path: Sequence[bytes], note: str) -> bytes:
    """C2SP tlog-proof."""
    lines = "".join(base64.b64encode(each).decode() + "\n" for each in path)
    return f"c2sp.org/tlog-proof@v1\nindex {position}\n{lines}\n{note}".encode()
