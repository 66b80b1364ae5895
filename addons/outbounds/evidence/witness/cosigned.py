"""A witness that answers over HTTP (C2SP tlog-witness, `add-checkpoint`).

    old SIZE            the size that the witness saw last
    BASE64              each hash of the proof that the log since then only grew
                        (an empty line)
    CHECKPOINT          as the log signed it

It answers 200 with its signature lines, or 409 with the size that it really saw last, which is
where the second and last try begins.
"""

from __future__ import annotations

import base64
from http import HTTPStatus

from ...settings.evidence import Witness
from ..tlog.cosignature import Cosigner, open_cosigned
from ..tlog.note import BadNote, split
from .exchange import NoAnswer, Reply, post
from .stamps import Stamp
from .view import FIX, Answer, Refused, Rewritten, View, timely

_SIZE = "text/x.tlog.size"
_MAX_DIGITS = 20


def ask(view: View, witness: Witness, before: Stamp | None) -> Answer:
    """As `view.Ask`."""
    assert witness.url is not None
    try:
        cosigner = Cosigner.parse(witness.key)
    except BadNote as error:
        raise Refused(f"its key: {error}") from None
    old = before.size if before else 0
    reply = _send(view, witness.url, old)
    if reply.status == HTTPStatus.CONFLICT:
        old = _known(view, witness.url, reply)
        reply = _send(view, witness.url, old)
    if reply.status == HTTPStatus.UNPROCESSABLE_ENTITY:
        raise Rewritten(f"{witness.url} saw {old} records, and what the log has now does not "
                        f"extend them ({reply.said}): {FIX}")
    if reply.status != HTTPStatus.OK:
        raise Refused(_why(view, witness.url, reply))
    return _cosigned(view, reply, cosigner)


def _send(view: View, url: str, old: int) -> Reply:
    lines = [f"old {old}", *(base64.b64encode(each).decode() for each in
                             view.tree.consistency(old)), "", view.tree.note]
    try:
        return post(f"{url}/add-checkpoint", "\n".join(lines).encode(), "text/plain")
    except NoAnswer as error:
        raise Refused(str(error)) from None


def _known(view: View, url: str, reply: Reply) -> int:
    text = reply.body.decode("ascii", "replace").removesuffix("\n")
    if reply.content_type != _SIZE or not (text.isdecimal() and len(text) <= _MAX_DIGITS):
        raise Refused(f"{url}: 409 without the size that it saw ({reply.said}); is this a C2SP "
                      "tlog-witness?")
    known = int(text)
    if known > view.tree.size:
        raise Rewritten(f"{url} saw {known} records, and the log has {view.tree.size}: {FIX}")
    return known


def _cosigned(view: View, reply: Reply, cosigner: Cosigner) -> Answer:
    """The checkpoint's note with the witness's signature added, and no others."""
    try:
        added = reply.body.decode("utf-8")
        text, _ = split(view.tree.note)
        _, signatures = split(f"{text}\n{added}")
        lines = [line for (name, key_id, _), line in zip(signatures, added.splitlines(True),
                                                         strict=True)
                 if (name, key_id) == (cosigner.name, cosigner.id)]
        note = view.tree.note + "".join(lines)
        _, at = open_cosigned(note, cosigner)
    except (BadNote, ValueError) as error:
        raise Refused(f"no good cosignature of its own is in its answer: {error}") from None
    return Answer(timely(at, view), (note.encode(),))


def _why(view: View, url: str, reply: Reply) -> str:
    text = f"{url}: status {reply.status} ({reply.said})"
    if reply.status == HTTPStatus.NOT_FOUND:
        return (f"{text}; it does not know this log: give its operator the key "
                f"{view.keys[-1]}, or mend the URL, which ends before /add-checkpoint")
    if reply.status == HTTPStatus.FORBIDDEN:
        return f"{text}; it does not know the log's key: give its operator {view.keys[-1]}"
    if 300 <= reply.status < 400:
        return f"{text}; redirects are not followed: configure the URL that it leads to"
    return text
