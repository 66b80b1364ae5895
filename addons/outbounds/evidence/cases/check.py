"""Verifying a bundle, with nothing but the bundle and keys that are trusted.

Every step is made whatever the others found, as far as it can be: who looks for what was changed
wants to know all of it. A finding names the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ..tlog.checkpoint import BadCheckpoint
from ..tlog.keys import parse_keys
from ..tlog.note import BadNote, Verifier, open_note
from ..tlog.verified import parse_signed
from . import statement as statements
from .bundle import pem
from .check_acts import check_acts
from .check_records import Step, check_records
from .check_witness import Trust, check_witnesses
from .container import BadFile, Container
from .findings import Finding, Result
from .statement import BadStatement

__all__ = ["Finding", "Result", "Step", "Trust", "check"]

_UNLISTED = ("SHA256SUMS", "SHA256SUMS.sig")
_NAMES = re.compile(
    r"README\.txt|report\.html|statement\.json|leaves\.txt|custody\.jsonl|case-key\.pem"
    r"|log/(?:checkpoint|keys|key\.pem)|(?:records|details|acts)/\d{12}\.json"
    r"|proofs/\d{12}\.tlog-proof|witness/[^/]+/[^/]+")


def check(bundle: Container, trusted: Sequence[Verifier] = (), trust: Trust | None = None,
          step: Step = lambda done, of: None) -> Result:
    """`trusted` are keys of the log, `trust` those of witnesses; without them those that the bundle
    names are believed. `step` is told how far it is."""
    found = Result(bool(trusted))
    steps: tuple[Callable[[], None], ...] = (
        lambda: _files(bundle, found),
        lambda: _log(bundle, found, trusted),
        lambda: _statement(bundle, found),
        lambda: _signature(bundle, found),
        lambda: check_records(bundle, found, step),
        lambda: check_acts(bundle, found),
        lambda: _witnesses(bundle, found, trust or Trust()),
    )
    for each in steps:
        with found.noted():
            each()
    return found


def _files(bundle: Container, found: Result) -> None:
    listed: dict[str, str] = {}
    for at, line in enumerate(bundle.read("SHA256SUMS").split(b"\n")[:-1], 1):
        text = line.decode("utf-8", "replace")
        if re.fullmatch(r"[0-9a-f]{64}  [^ ].*", text):
            listed[text[66:]] = text[:64]
        else:
            found.say("SHA256SUMS", f"line {at} is no checksum")
    for name in sorted(bundle.names - {*_UNLISTED}):
        with found.noted():
            if name not in listed:
                raise BadFile(name, "is not listed in SHA256SUMS")
            if not _NAMES.fullmatch(name):
                raise BadFile(name, "does not belong in a bundle")
            if sha256(bundle.read(name)).hexdigest() != listed[name]:
                raise BadFile(name, "was changed: its checksum in SHA256SUMS is another")
    for name in sorted(listed.keys() - bundle.names):
        found.say(name, "is missing")


def _log(bundle: Container, found: Result, trusted: Sequence[Verifier]) -> None:
    found.note = bundle.read("log/checkpoint")
    try:
        found.keys = parse_keys(bundle.read("log/keys").decode("utf-8"), trusted)
    except (BadNote, UnicodeDecodeError, ValueError) as error:
        raise BadFile("log/keys", str(error)) from None
    verifiers = [each.verifier for each in found.keys]
    try:
        text = found.note.decode("utf-8")
        checkpoint = parse_signed(text, verifiers)
        signers = open_note(text, verifiers)[1]
    except (BadNote, BadCheckpoint, UnicodeDecodeError) as error:
        raise BadFile("log/checkpoint", str(error)) from None
    found.checkpoint = checkpoint
    found.key = key = next(each for each in found.keys if each.verifier in signers)
    if checkpoint.at is None or not key.in_force(checkpoint.at):
        found.say("log/checkpoint", "was not made in the time that its key was in force")
    if bundle.read("log/key.pem") != pem(key.verifier):
        found.say("log/key.pem", "is not the key that signed log/checkpoint")


def _statement(bundle: Container, found: Result) -> None:
    try:
        stated = found.statement = statements.read(bundle.read("statement.json"))
    except BadStatement as error:
        raise BadFile("statement.json", str(error)) from None
    octets = bundle.read("leaves.txt")
    if sha256(octets).hexdigest() != stated.leaves:
        found.say("leaves.txt", "is not the list that statement.json speaks of")
    try:
        found.leaves = statements.read_leaves(octets)
    except BadStatement as error:
        raise BadFile("leaves.txt", str(error)) from None
    if found.checkpoint is not None and stated.log != found.checkpoint.origin:
        found.say("statement.json", "is about another log")
    states = [each.detail for each in found.leaves]
    counts = (len(states), states.count("gone"), states.count("erased"))
    if counts != (stated.records, stated.erased_records, stated.erased_details):
        found.say("statement.json", "counts {} records, {} of them removed and {} without their "
                  "details; leaves.txt lists {}, {} and {}".format(
                      stated.records, stated.erased_records, stated.erased_details, *counts))
    if len({each.event for each in found.leaves} - {"-"}) > stated.events:
        found.say("statement.json", "counts fewer events than there are")


def _signature(bundle: Container, found: Result) -> None:
    """That of the case, over all files."""
    if found.statement is None:
        return
    try:
        key = Verifier.parse(found.statement.key)
        Ed25519PublicKey.from_public_bytes(key.key).verify(
            bundle.read("SHA256SUMS.sig"), bundle.read("SHA256SUMS"))
    except BadNote as error:
        raise BadFile("statement.json", f"the case's key: {error}") from None
    except InvalidSignature:
        raise BadFile("SHA256SUMS", "is not signed with the case's key: it was changed, or "
                      "SHA256SUMS.sig was") from None
    if bundle.read("case-key.pem") != pem(key):
        found.say("case-key.pem", "is not the case's key, which statement.json names")


def _witnesses(bundle: Container, found: Result, trust: Trust) -> None:
    if found.checkpoint is None:
        return
    keys = [each.verifier for each in found.keys]
    for seen in check_witnesses(bundle, found.checkpoint, keys, trust):
        if seen.problem:
            found.say(seen.file, seen.problem)
        else:
            found.witnessed.append(seen)
