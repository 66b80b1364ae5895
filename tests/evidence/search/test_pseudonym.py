"""Pseudonyms: the same for one installation, nothing without its key."""

from __future__ import annotations

import hashlib

import pytest

from outbounds.evidence.pseudonym import is_pseudonym, pseudonym

KEY = b"k" * 32


def test_is_a_keyed_hash() -> None:
    found = pseudonym(KEY, "acct_ab2cd3ef4gh5")
    assert is_pseudonym(found)
    assert found == pseudonym(KEY, "acct_ab2cd3ef4gh5")
    assert found != pseudonym(b"l" * 32, "acct_ab2cd3ef4gh5")
    assert found != pseudonym(KEY, "acct_ab2cd3ef4gh6")
    # nobody can try ids against it who has not got the key
    assert hashlib.blake2b(b"acct_ab2cd3ef4gh5", digest_size=6).hexdigest() not in found


def test_no_account_has_none() -> None:
    assert pseudonym(KEY, "") == ""


@pytest.mark.parametrize("text", ["acct_ab2cd3ef4gh5", "acct-", "acct-0123456789abc",
                                  "acct-0123456789aB", "bob", "", "acct-٠١٢٣٤٥٦٧٨٩ab"])
def test_what_is_none(text: str) -> None:
    assert not is_pseudonym(text)
