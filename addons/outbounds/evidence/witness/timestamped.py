"""An RFC 3161 time stamp authority, over HTTP (section 3.4)."""

from __future__ import annotations

from http import HTTPStatus

from ...settings.evidence import Witness
from .exchange import NoAnswer, post
from .stamps import Stamp
from .timestamp_token import BadToken, request, token_time
from .view import Answer, Refused, View, timely

EVERY = 3600  # s after which a log that did not grow is stamped again
_REPLY = "application/timestamp-reply"


def ask(view: View, witness: Witness, before: Stamp | None) -> Answer | None:
    """As `view.Ask`. Over the whole checkpoint note, signature included."""
    url, ca = witness.timestamp, witness.ca
    assert url is not None and ca is not None
    if before and before.size == view.tree.size and view.now - before.at < EVERY:
        return None
    note = view.tree.note.encode()
    asked = request(note)
    try:
        reply = post(url, asked.as_bytes(), "application/timestamp-query")
    except NoAnswer as error:
        raise Refused(str(error)) from None
    if reply.status != HTTPStatus.OK or reply.content_type != _REPLY:
        raise Refused(f"{url}: status {reply.status}, {reply.content_type or 'no type'} "
                      f"({reply.said}); is this an RFC 3161 authority?")
    try:
        at = token_time(reply.body, note, [ca.read_bytes()], asked)
    except BadToken as error:
        raise Refused(f"{url}: {error}") from None
    return Answer(timely(at, view), (note, asked.as_bytes(), reply.body))
