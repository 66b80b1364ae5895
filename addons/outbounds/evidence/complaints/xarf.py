"""XARF 3 and 4 (xarf.org): a report in JSON.

A report names one source and a span of time, and carries the log lines that it is made of as
evidence, in base64: those are read as the text they are, since they say more exactly when. What is
in JSON and no XARF is read as a log.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any

from .json_form import parse_entry, parse_json
from .moments import Clock
from .sighting import Complaint, unread
from .text import parse_text

MAX_EVIDENCE = 1024 * 1024  # octets of one piece
_EVIDENCE = ("evidence", "Samples", "Attachment")  # version 4, and two spellings of version 3


def parse_xarf(text: str, clock: Clock) -> Complaint:
    """The reports of a JSON text, or the entries of a log."""
    return parse_json(text, clock, entry=_report)


def _report(report: dict[str, Any], clock: Clock, source: str) -> Complaint:
    if "xarf_version" in report:
        form, inner = f"XARF {str(report['xarf_version'])[:8]}", report
    elif isinstance(report.get("Report"), dict):
        form, inner = f"XARF {str(report.get('Version', 3))[:8]}", report["Report"]
    else:
        return parse_entry(report, clock, source)
    found = parse_entry(inner, clock, source)
    ours = frozenset(each.address for each in found.sightings)
    for number, piece in enumerate(_pieces(inner), 1):
        found += _evidence(piece, clock, ours).placed(
            f"{source}, evidence {number}" if source else f"evidence {number}")
    return Complaint(form, found.sightings, found.unread, found.notes)


def _pieces(report: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name in _EVIDENCE:
        pieces = report.get(name)
        if isinstance(pieces, list):
            yield from (piece for piece in pieces[:100] if isinstance(piece, dict))


def _evidence(piece: dict[str, Any], clock: Clock, ours: frozenset[str]) -> Complaint:
    kind = str(piece.get("content_type") or piece.get("ContentType") or "text/plain")[:80]
    data = piece.get("payload") or piece.get("Payload") or piece.get("Data")
    if not isinstance(data, str):
        return Complaint("")
    if not kind.startswith(("text/", "message/", "application/json")):
        return unread("", "", f"evidence of type {kind} is not read")
    if len(data) > MAX_EVIDENCE * 4 // 3:
        return unread("", "", f"evidence of more than {MAX_EVIDENCE:,} octets is not read")
    try:
        octets = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        octets = data.encode("utf-8", "replace")  # version 3 also has it as it is
    # the report has said who and when: an excerpt that says nothing more is no fault
    return Complaint("", parse_text(octets.decode("utf-8", "replace"), clock, ours).sightings)
