"""That the records of a bundle are in the log, that they are those that were listed, and that their
details are theirs."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from hashlib import sha256

import msgspec

from ..line import fields, is_erased, leaf_of
from ..tlog.merkle import BadProof, verify_inclusion
from .container import BadFile, Container
from .findings import Result
from .statement import Leaf

Step = Callable[[int, int], None]
"""(records checked, of how many)."""

_INDEX = re.compile(rb"index (0|[1-9]\d{0,18})")


def check_records(bundle: Container, found: Result, step: Step) -> None:
    listed = {each.position: each for each in found.leaves}
    for name in sorted(bundle.names):
        folder, _, rest = name.partition("/")
        leaf = listed.get(int(rest[:12])) if rest[:12].isdecimal() else None
        if folder == "records" and leaf is None:
            found.say(name, "is not in leaves.txt")
        if folder == "details" and (leaf is None or leaf.detail != "here"):
            found.say(name, "is a detail that leaves.txt does not list")
    for done, leaf in enumerate(found.leaves, 1):
        with found.noted():
            _record(bundle, found, leaf)
        step(done, len(found.leaves))


def _record(bundle: Container, found: Result, leaf: Leaf) -> None:
    name = f"records/{leaf.position:012d}.json"
    octets = bundle.read(name)
    try:
        if leaf_of(octets) != leaf.hash:
            found.say(name, "is not the record that leaves.txt lists")
        record = {} if is_erased(octets) else fields(octets)
    except (ValueError, msgspec.MsgspecError) as error:
        raise BadFile(name, f"is no record: {error}") from None
    check_inclusion(bundle, found, name, leaf.position)
    possible = (("gone",) if is_erased(octets) else
                ("here", "erased") if "outbounds.detail.sha256" in record else ("none",))
    if leaf.detail not in possible:
        found.say(name, f"leaves.txt says {leaf.detail!r} of its detail, and that is not so")
    if record.get("event.id", leaf.event) != leaf.event:
        found.say(name, "is of another event than leaves.txt says")
    if (found.statement is not None
            and record.get("user.id", found.statement.accounts[0]) not in found.statement.accounts):
        found.say(name, "is of an account that statement.json does not name")
    if leaf.detail == "here":
        detail = f"details/{leaf.position:012d}.json"
        if sha256(bundle.read(detail)).hexdigest() != record.get("outbounds.detail.sha256"):
            found.say(detail, "is not the detail that its record speaks of")


def check_inclusion(bundle: Container, found: Result, record: str, position: int) -> None:
    """That `record`, a file of the bundle, is in the log at `position`. Raises BadFile."""
    proof = f"proofs/{position:012d}.tlog-proof"
    try:
        index, path, note = read_proof(bundle.read(proof))
    except ValueError as error:
        raise BadFile(proof, str(error)) from None
    if index != position or note != found.note:
        raise BadFile(proof, "is for another record, or for another checkpoint")
    if found.checkpoint is None:
        return
    try:
        verify_inclusion(leaf_of(bundle.read(record)), index, found.checkpoint.size, path,
                         found.checkpoint.root)
    except (BadProof, ValueError) as error:
        raise BadFile(record, f"is not in the log, or {proof} was changed: {error}") from None


def read_proof(octets: bytes) -> tuple[int, list[bytes], bytes]:
    """(index, audit path, checkpoint as signed) of a C2SP tlog-proof. Raises ValueError."""
    head, gap, note = octets.partition(b"\n\n")
    first, *rest = head.split(b"\n")
    found = _INDEX.fullmatch(rest[0]) if rest else None
    if not gap or first != b"c2sp.org/tlog-proof@v1" or found is None or len(rest) > 65:
        raise ValueError("is no proof (c2sp.org/tlog-proof@v1)")
    try:
        path = [base64.b64decode(each, validate=True) for each in rest[1:]]
    except binascii.Error:
        raise ValueError("has a line that is no hash") from None
    # not every base64 text is the one that an encoder writes, and no bit may change unseen
    if any(len(each) != 32 or base64.b64encode(each) != line
           for each, line in zip(path, rest[1:], strict=True)):
        raise ValueError("has a line that is no hash")
    return int(found[1]), path, note
