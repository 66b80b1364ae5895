"""README.txt of a bundle: what is in it, and how somebody who trusts nobody here verifies it.

The commands need sh, sed, grep, cut, base64, sha256sum and openssl 3, nothing of ours. A test runs
exactly these lines. They stand in the text rather than in a script beside it, since whoever doubts
a bundle would be foolish to run a program out of it: here they are read before they are typed.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from string import Template

from ..tlog.checkpoint import Checkpoint
from ..tlog.note import Verifier
from .statement import Statement

_STAMPS = {
    "timestamp": """
   A time stamp authority (RFC 3161). ROOT.pem is the authority's root certificate: get it from
   the authority. The one beside the stamp is what the operator named.

     for reply in witness/*/*.tsr; do
       openssl ts -verify -data "${reply%.tsr}.stamped" -in "$reply" -CAfile ROOT.pem
     done
""",
    "url": """
   A witness that signed what it saw (*.cosigned, C2SP tlog-cosignature; not with openssl alone:
   `outbounds case verify` checks it, and so does any tool for C2SP checkpoints).
""",
    "file": """
   A file that the operator's checkpoints were appended to, elsewhere (*.note). It proves as much
   as that place was out of the operator's reach: ask whoever keeps it for theirs, and compare.
""",
}


def readme(stated: Statement, checkpoint: Checkpoint, key: Verifier, act: int,
           kinds: Sequence[str]) -> str:
    """`act` is the position of the record that says that the bundle was made; `kinds` are those of
    the witnesses' stamps."""
    witnessed = "".join(text for kind, text in _STAMPS.items() if kind in kinds) or (
        "\n   There are none: that the operator did not rewrite the whole log, before this bundle "
        "was\n   made, is the operator's word.\n")
    text = Template(files(__package__).joinpath("readme.txt").read_text("utf-8"))
    return text.substitute(
        case=stated.case, made=stated.made, operator=stated.made_by, records=stated.records,
        events=stated.events, log=stated.log, size=checkpoint.size, key=key, act=f"{act:012d}",
        account=", ".join(each or "(nobody known)" for each in stated.accounts),
        witnessed=witnessed, case_key=stated.key,
        encoded=str(key).split("+", 2)[2])  # base64 has "+", too
