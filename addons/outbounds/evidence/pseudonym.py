"""Accounts by another name: who looks for a pattern need not know whose it is.

A pseudonym is a keyed hash of the account's id, so that it is the same in every search and report
of one installation, and nobody without its key (`privacy.load_key`) can try ids against it. It is
no secret from whoever may read the log itself: it keeps names out of screens, tickets and exports
that need none.
"""

from __future__ import annotations

import hashlib
import re

_PSEUDONYM = re.compile(r"acct-[0-9a-f]{12}", re.ASCII)


def pseudonym(key: bytes, account: str) -> str:
    """`acct-` and 12 hexadecimal digits: keyed BLAKE2b (RFC 7693 section 2.9) of the account's id,
    48 bits. "" for no account."""
    if not account:
        return ""
    digest = hashlib.blake2b(account.encode(), key=key, digest_size=6, person=b"account")
    return "acct-" + digest.hexdigest()


def is_pseudonym(text: str) -> bool:
    """Whether `text` has the form of one; an account's id may have it, too."""
    return _PSEUDONYM.fullmatch(text) is not None
