"""One record of evidence: flat JSON under Elastic Common Schema names, integers and strings only.

Everything that happens leaves records with the same `event.id`: an opening (`event.type` "start"),
safe on disk before anything reaches the target; a "connection" for each connection to the target
that was made for it, with the egress address and port, so that a tunnel which is still open can be
found by them; and a closing ("end") that says what came of it. The opening says who, what and
under which rule; the others add only what was not yet known. Fields that are empty or 0 are left
out.

A record is an *envelope* (who, when, where, verdict), which is what the log hashes, and a *detail*
(`fields.DETAIL`: path, user agent and the like), which can be erased without touching the log: the
envelope holds the SHA-256 of the detail's bytes, and the detail begins with a salt of 128 bits, so
that nobody who is left with the hash can guess what was hashed. An envelope without a detail has
a salt of its own, since its hash outlives it, too. `line` says how the two are stored.

The bytes made here are the bytes stored and the bytes hashed: no reader re-encodes them. Nearly
every record is clean: all of its text printable ASCII, and within its bounds. So it is encoded
first and the bytes are looked at, all at once; text is cleaned one by one only where they are not.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Any

import msgspec
from msgspec.structs import astuple

from ..core.request import METHODS
from .fields import DETAIL, FIELDS
from .identifier import is_session, salt, timestamp
from .privacy import Hasher, printable, scrubbed_agent, scrubbed_reason

START = "start"
CONNECTION = "connection"
END = "end"

class Record(
    msgspec.Struct,
    kw_only=True,
    omit_defaults=True,
    gc=False,
    rename=lambda name: FIELDS[name][0],
):
    """One line, before it is encoded. `timestamp` as `identifier.timestamp` writes it, `id` from
    `identifier.new_id`. Text is given as it came: `Encoder.encode` cleans and bounds it."""

    timestamp: str
    id: str
    type: str
    kind: str
    action: str
    session: str = ""
    begin: str = ""
    outcome: str = ""
    reason: str = ""
    duration: int = 0
    user_id: str = ""
    operator: str = ""
    source_ip: str = ""
    source_port: int = 0
    source_bytes: int = 0
    source_nat_ip: str = ""
    source_nat_port: int = 0
    destination_domain: str = ""
    destination_ip: str = ""
    destination_port: int = 0
    destination_bytes: int = 0
    network_transport: str = ""
    network_protocol: str = ""
    http_request_method: str = ""
    http_version: str = ""
    url_scheme: str = ""
    url_path: str = ""
    url_query: str = ""
    url_fragment: str = ""
    user_agent: str = ""
    http_request_bytes: int = 0
    http_response_status_code: int = 0
    http_response_bytes: int = 0
    tls_server_name: str = ""
    tls_ja4: str = ""
    tls_version: str = ""
    tls_cipher: str = ""
    tls_next_protocol: str = ""
    rule_id: str = ""
    rule_ruleset: str = ""
    rule_reference: str = ""
    verdict: str = ""
    wait: int = 0
    way: str = ""
    connection: str = ""
    visibility: str = ""
    policy_version: str = ""
    lists_version: str = ""
    rule_category: str = ""
    robots_sha256: str = ""
    robots_line: int = 0
    robots_state: str = ""
    robots_scope: str = ""
    robots_age: int = 0
    robots_agent: str = ""
    robots_exempt: str = ""
    robots_usage: str = ""
    robots_tag: str = ""
    robots_content_usage: str = ""
    exception: str = ""
    observed: str = ""
    cut: str = ""
    trace_id: str = ""
    parent_id: str = ""
    clock_offset: int = 0
    clock_error: int = 0
    case: str = ""
    scope: str = ""
    count: int = 0
    salt: str = ""
    detail: str = ""


class Detail(
    msgspec.Struct,
    omit_defaults=True,
    gc=False,
    rename=lambda name: FIELDS[name][0] if name in FIELDS else name,
):
    """The erasable part of a record. `salt` comes first."""

    salt: str = msgspec.field(name="salt")
    url_path: str = ""
    url_query: str = ""
    url_fragment: str = ""
    user_agent: str = ""
    robots_tag: str = ""
    robots_content_usage: str = ""
    trace_id: str = ""
    parent_id: str = ""


# any other, in any case of letters, may be what was never meant to be one: it is hashed
_METHODS = frozenset({"", *METHODS, *(each.lower() for each in METHODS),
                      *(each.capitalize() for each in METHODS)})
_encode = msgspec.json.Encoder().encode


def bounded(name: str, attributes: tuple[str, ...]) -> type[msgspec.Struct]:
    """A type of these attributes that nothing beyond a bound is of; all of them may be missing."""
    def type_of(bound: int) -> Any:
        return Annotated[str, msgspec.Meta(max_length=bound)] if bound else int
    return msgspec.defstruct(name, [
        (each, type_of(FIELDS[each][1]), "" if FIELDS[each][1] else 0) for each in attributes],
        rename={each: FIELDS[each][0] for each in attributes}, gc=False)


_check_envelope = msgspec.json.Decoder(
    bounded("Envelope", tuple(each for each in FIELDS if each not in DETAIL))).decode
_check_detail = msgspec.json.Decoder(bounded("Detail", DETAIL)).decode


def _clean(line: bytes, envelope: bytes, detail: bytes) -> bool:
    """Whether all text is printable ASCII and within its bounds. JSON escapes what is not, and
    quotes, which are looked at, too; but not DEL."""
    if not line.isascii() or line.find(92) >= 0 or line.find(127) >= 0:
        return False
    try:
        _check_envelope(envelope)
        if detail:
            _check_detail(detail)
    except msgspec.ValidationError:
        return False
    return True


class Encoder:
    """Makes the lines of one proxy process. `session` names that run (1 to 64 letters, digits and
    hyphens; `new_id` makes a good one), `key` is `privacy.load_key`'s."""

    def __init__(self, session: str, key: bytes) -> None:
        if not is_session(session):
            raise ValueError(f"session {session!r}: must be 1 to 64 letters, digits and hyphens")
        self.session = session
        self._hash = Hasher(key)

    def encode(self, record: Record, target: str = "") -> bytes:
        """`record` as one line (see `line`), ending in a newline; changes `record` on the way: its
        detail is moved out of it.

        `target` is the request target as received (origin or absolute form, with its query):
        it alone fills `url.path`, `url.query` and `url.fragment`, so that no caller can put a
        query value into a record. Never raises for any text.
        """
        record.session = self.session
        cut = self._split(record, target)
        if record.reason:
            record.reason = scrubbed_reason(record.reason)
        if record.observed:
            record.observed = scrubbed_reason(record.observed)
        if record.http_request_method not in _METHODS:
            record.http_request_method = self._hash(record.http_request_method)
        if record.robots_tag:
            record.robots_tag = scrubbed_agent(record.robots_tag[:1024])
        if record.robots_content_usage:
            record.robots_content_usage = scrubbed_agent(record.robots_content_usage[:1024])
        if record.user_agent:
            record.user_agent = scrubbed_agent(record.user_agent[:1024])
        if record.robots_agent:
            record.robots_agent = scrubbed_agent(record.robots_agent[:1024])
        if "@" in record.destination_domain:
            record.destination_domain = record.destination_domain.rpartition("@")[2]
        record.cut = "url.query" if cut else ""
        record.salt = record.detail = ""
        held = _held(record)
        try:
            envelope, detail = _parts(record, held)
            line = b"%b\t%b\n" % (envelope, detail) if detail else envelope + b"\n"
            if _clean(line, envelope, detail):
                return line
        except UnicodeEncodeError:
            pass  # a surrogate, from `surrogateescape`
        for name, text in zip(DETAIL, held, strict=True):
            setattr(record, name, text)
        _bound(record, cut)
        envelope, detail = _parts(record, _held(record))
        return b"%b\t%b\n" % (envelope, detail) if detail else envelope + b"\n"

    def _split(self, record: Record, target: str) -> bool:
        """Fills the three fields of the URL; whether the query was cut."""
        path, _, fragment = target.partition("#")
        path, _, query = path.partition("?")
        record.url_path = self._hash.path(path)
        record.url_fragment = self._hash(fragment) if fragment else ""
        if not query:
            record.url_query = ""
            return False
        record.url_query, cut = self._hash.query(query)
        return cut


def _bound(record: Record, query_cut: bool) -> None:
    cut = ["url.query"] if query_cut else []
    for (name, (key, bound)), text in zip(FIELDS.items(), astuple(record), strict=True):
        if text and bound:
            text, was_cut = printable(text, bound)
            setattr(record, name, text)
            if was_cut:
                cut.append(key)
    record.cut = " ".join(cut)[:FIELDS["cut"][1]]


def orphan(id: str, action: str, session: str, at: int, reason: str) -> bytes:
    """The closing line that the collector itself writes for an opening whose maker is gone."""
    record = Record(timestamp=timestamp(at), id=id, type=END, kind="event", action=action,
                    session=session, outcome="unknown", reason=reason)
    return _parts(record, _held(record))[0] + b"\n"


def _held(record: Record) -> tuple[str, ...]:
    """What the detail is to hold: the attributes in `DETAIL`, in that order."""
    return (record.url_path, record.url_query, record.url_fragment, record.user_agent,
            record.robots_tag, record.robots_content_usage, record.trace_id, record.parent_id)


def _parts(record: Record, held: tuple[str, ...]) -> tuple[bytes, bytes]:
    """(envelope, detail), `held` being moved from the one to the other; the detail is b"" where
    there is nothing to hold."""
    if not any(held):
        record.salt, record.detail = salt(), ""
        return _encode(record), b""
    detail = _encode(Detail(salt(), *held))
    record.url_path = record.url_query = record.url_fragment = record.user_agent = ""
    record.robots_tag = record.robots_content_usage = record.trace_id = record.parent_id = ""
    record.salt, record.detail = "", sha256(detail).hexdigest()
    return _encode(record), detail
