import itertools
import re

import argon2
import bcrypt
import pytest

from outbounds.identity import passwords
from outbounds.identity.passwords import UnusableHash, UnusablePassword

CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def cheap_bcrypt(password: bytes) -> str:
    return bcrypt.hashpw(password, bcrypt.gensalt(4)).decode()


def test_new_hash_is_the_documented_argon2id() -> None:
    made = passwords.hash_password("sesame")
    assert made.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert passwords.verify(made, "sesame")
    assert not passwords.verify(made, "Sesame")
    assert not passwords.needs_rehash(made)
    assert passwords.hash_password("sesame") != made


@pytest.mark.parametrize("variant", ["$2a$", "$2b$", "$2y$"])
def test_bcrypt_variants(variant: str) -> None:
    made = variant + cheap_bcrypt("gehëim".encode())[4:]
    assert passwords.verify(made, "gehëim")
    assert not passwords.verify(made, "gehëin")
    assert passwords.needs_rehash(made)


def test_cheap_argon2_needs_rehash() -> None:
    assert passwords.needs_rehash(CHEAP.hash("x"))


def test_bcrypt_never_matches_what_it_would_cut() -> None:
    cut = cheap_bcrypt(b"a" * 72)  # what `htpasswd -B` makes of 80 letters, too
    assert passwords.verify(cut, "a" * 72)
    assert not passwords.verify(cut, "a" * 73)
    assert not passwords.verify(cut, "a" * 80)
    # 72 bytes that end within a character
    assert not passwords.verify(cheap_bcrypt(("a" * 71 + "é").encode()[:72]), "a" * 71 + "é")


def test_bcrypt_never_matches_a_repeated_key() -> None:
    short = cheap_bcrypt(b"a")
    assert bcrypt.checkpw(b"a\0a", short.encode()), "the trap this guards against is gone"
    assert not passwords.verify(short, "a\0a")


def test_argon2_reads_all_bytes() -> None:
    made = CHEAP.hash("a" * 80)
    assert passwords.verify(made, "a" * 80)
    assert not passwords.verify(made, "a" * 79)


def test_lone_surrogates_are_only_wrong() -> None:
    assert not passwords.verify(CHEAP.hash("a"), "\udc80")
    assert not passwords.verify(cheap_bcrypt(b"a"), "\udc80")


@pytest.mark.parametrize(("password", "why"), [
    ("", "empty"),
    ("a" * 73, "73 bytes; use at most 72"),
    ("é" * 37, "74 bytes; use at most 72"),
    ("a\nb", "control character"),
    ("a\x00b", "control character"),
    ("\udc80", "control character"),
])
def test_unusable_password(password: str, why: str) -> None:
    with pytest.raises(UnusablePassword, match=why) as raised:
        passwords.hash_password(password)
    assert not password or password not in str(raised.value)


GOOD_ARGON = CHEAP.hash("x")
GOOD_BCRYPT = cheap_bcrypt(b"x")


@pytest.mark.parametrize(("password_hash", "why"), [
    ("$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/", "MD5 ($apr1$)"),
    ("$1$abc$HqJZimcKQFAMYayBlzkrA/", "MD5 crypt"),
    ("$5$salt$hash", "SHA-256 crypt"),
    ("$6$salt$hash", "SHA-512 crypt"),
    ("$y$j9T$salt$hash", "yescrypt"),
    ("{SHA}fEqNCco3Yq9h5ZUglD3CZJT4lBs=", "SHA-1"),
    ("{SSHA}fEqNCco3Yq9h5ZUglD3CZJT4lBs=", "salted SHA-1"),
    ("rqXexS6ZhobKA", "DES crypt, or plain"),
    ("hunter2", "plain text"),
    ("", "plain text"),
    ("$2x$" + GOOD_BCRYPT[4:], "broken variant"),
    ("$argon2i$" + GOOD_ARGON[10:], "argon2i or argon2d"),
    (GOOD_BCRYPT[:-1], "cut short"),
    (GOOD_BCRYPT + "\n", "cut short"),
    (GOOD_BCRYPT[:28] + "B" + GOOD_BCRYPT[29:], "cut short"),
    (GOOD_BCRYPT.replace("$04$", "$03$"), "cost 3"),
    (GOOD_BCRYPT.replace("$04$", "$15$"), "cost 15"),
    # two characters: with one, one hash in sixteen is still whole base64 of a shorter digest
    (GOOD_ARGON[:-2], "cut short"),
    (GOOD_ARGON.replace("m=8,", "m=999999999,"), "beyond"),
    (GOOD_ARGON.replace("t=1,", "t=11,"), "beyond"),
    (GOOD_ARGON.replace("p=1$", "p=2$"), "beyond"),
], ids=itertools.count())  # hashes are salted: as ids they would differ from run to run
def test_unusable_hash_is_named_but_never_shown(password_hash: str, why: str) -> None:
    with pytest.raises(UnusableHash, match=re.escape(why)) as raised:
        passwords.check_hash(password_hash)
    assert not password_hash or password_hash[-12:] not in str(raised.value)
    assert not passwords.is_usable(password_hash)
    with pytest.raises(UnusableHash):
        passwords.verify(password_hash, "x")


@pytest.mark.parametrize("real", [GOOD_ARGON, GOOD_BCRYPT, passwords.default_dummy()],
                         ids=["argon2id", "bcrypt", "default"])
def test_dummy_costs_the_same_and_never_matches(real: str) -> None:
    dummy = passwords.dummy_like(real)
    cost = real.rsplit("$", 2)[0] if "argon2" in real else "$2b$04$"
    assert dummy.startswith(cost) and len(dummy) == len(real) and dummy != real
    assert not passwords.verify(dummy, "x")
    assert passwords.dummy_like(real) != dummy


def test_default_dummy_is_like_a_new_hash() -> None:
    new, dummy = passwords.hash_password("x"), passwords.default_dummy()
    assert dummy.rsplit("$", 2)[0] == new.rsplit("$", 2)[0] and len(dummy) == len(new)


def test_random_password_needs_no_quoting() -> None:
    made = passwords.random_password()
    assert re.fullmatch(r"[A-Za-z0-9_-]{24}", made) and made != passwords.random_password()
