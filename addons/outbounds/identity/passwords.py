"""Password hashes: which are accepted, how they are made, and how long a check takes.

New hashes are argon2id with the second recommended option of RFC 9106 section 4: 64 MiB, three
passes, four lanes. One check takes 85 ms on two 2020s server cores and needs its 64 MiB only
meanwhile, so the number of workers that check at once bounds the memory.

bcrypt is accepted for the sake of `htpasswd -B` files, never made. It reads 72 bytes and no
further: `htpasswd` cuts a longer password silently, and anything that begins with those 72 bytes
would then match. So passwords longer than that are refused when they are set, whatever the scheme
(an account can move to a htpasswd file and back), and never match a bcrypt hash; the customer of
such an account needs a new password. A NUL is the same trap: bcrypt repeats its key with a NUL
after it, so that "a\\0a" would open what "a" does.

Hashes that are cheap to guess from (MD5, SHA-1, crypt) or absurdly dear to check (which would let
one wrong password hold a worker for a minute) are refused where they are read. No message here
ever holds a hash or a password.
"""

from __future__ import annotations

import base64
import re
import secrets
import unicodedata
from collections.abc import Callable

import argon2
import bcrypt
from argon2.exceptions import VerifyMismatchError
from argon2.low_level import Type, verify_secret

MAX_PASSWORD_BYTES = 72
MAX_BCRYPT_COST = 14          # about 0.8 s a check
MAX_ARGON2_KIB = 256 * 1024
MAX_ARGON2_PASSES = 10
MAX_ARGON2_LANES = 16

_HASHER = argon2.PasswordHasher.from_parameters(argon2.profiles.RFC_9106_LOW_MEMORY)
_BCRYPT_ALPHABET = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
# 16 bytes of salt are 21 characters and two bits of a 22nd
_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
_ARGON2ID = re.compile(
    r"(\$argon2id\$v=19\$m=(\d{1,9}),t=(\d{1,9}),p=(\d{1,9}))"
    r"\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})")

# how each scheme's hashes begin, the most telling first; what matches nothing is a plain password
_SCHEMES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), name) for pattern, name in (
        (r"\$argon2id\$", "argon2id"),
        (r"\$2[aby]\$", "bcrypt"),
        (r"\$2x?\$", "a broken variant of bcrypt"),
        (r"\$argon2", "argon2i or argon2d"),
        (r"\$apr1\$", "MD5 ($apr1$)"),
        (r"\$1\$", "MD5 crypt ($1$)"),
        (r"\$5\$", "SHA-256 crypt ($5$)"),
        (r"\$6\$", "SHA-512 crypt ($6$)"),
        (r"\$g?y\$", "yescrypt"),
        (r"\{SHA\}", "SHA-1 ({SHA})"),
        (r"\{SSHA\}", "salted SHA-1 ({SSHA})"),
        (r"[./A-Za-z0-9]{13}\Z", "DES crypt, or plain text"),
    )
)


class UnusableHash(ValueError):
    """Not a hash that passwords are checked against. The message names the scheme, not the hash."""


class UnusablePassword(ValueError):
    """A password that cannot be set. The message never holds it."""


def scheme_of(password_hash: str) -> str:
    """The scheme's name for messages, judged by how the hash begins."""
    for pattern, name in _SCHEMES:
        if pattern.match(password_hash):
            return name
    return "plain text or unknown"


def check_hash(password_hash: str) -> str:
    """Return the hash if it can be used; raise `UnusableHash` naming scheme and fault otherwise."""
    scheme = scheme_of(password_hash)
    if scheme not in _USED:
        raise UnusableHash(f"scheme {scheme} is not accepted")
    _USED[scheme](password_hash)
    return password_hash


def is_usable(password_hash: str) -> bool:
    """Would `check_hash` accept it?"""
    try:
        check_hash(password_hash)
    except UnusableHash:
        return False
    return True


def _check_bcrypt(password_hash: str) -> None:
    match = _BCRYPT.fullmatch(password_hash)
    if match is None:
        raise UnusableHash("the bcrypt hash is cut short or damaged")
    if not 4 <= int(match[1]) <= MAX_BCRYPT_COST:
        raise UnusableHash(f"bcrypt cost {int(match[1])} is not between 4 and {MAX_BCRYPT_COST}")


def _check_argon2id(password_hash: str) -> None:
    match = _ARGON2ID.fullmatch(password_hash)
    if match is None or not (_whole_base64(match[5]) and _whole_base64(match[6])):
        raise UnusableHash("the argon2id hash is cut short or damaged")
    memory, passes, lanes = int(match[2]), int(match[3]), int(match[4])
    if not (8 * lanes <= memory <= MAX_ARGON2_KIB and 1 <= passes <= MAX_ARGON2_PASSES
            and 1 <= lanes <= MAX_ARGON2_LANES):
        raise UnusableHash(
            f"argon2id with m={memory},t={passes},p={lanes} is beyond m={MAX_ARGON2_KIB} KiB, "
            f"t={MAX_ARGON2_PASSES}, p={MAX_ARGON2_LANES}")


def _whole_base64(text: str) -> bool:
    """libargon2 refuses leftover bits at the end of a field, but only once a password is checked"""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return False
    return base64.b64encode(raw).decode().rstrip("=") == text


_USED: dict[str, Callable[[str], None]] = {"bcrypt": _check_bcrypt, "argon2id": _check_argon2id}


def hash_password(password: str) -> str:
    """An argon2id hash. Raises `UnusablePassword` for what no client could send or bcrypt cuts."""
    if not password:
        raise UnusablePassword("the password is empty")
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in password):
        raise UnusablePassword("the password holds a control character (RFC 7617 section 2)")
    size = len(password.encode())
    if size > MAX_PASSWORD_BYTES:
        raise UnusablePassword(
            f"the password has {size} bytes; use at most {MAX_PASSWORD_BYTES}, beyond which "
            "bcrypt reads nothing")
    return _HASHER.hash(password)


def verify(password_hash: str, password: str) -> bool:
    """Is this the password? Takes as long for a wrong one. Raises `UnusableHash` for a bad hash.

    Holds neither the GIL nor the event loop if called in a thread.
    """
    check_hash(password_hash)
    secret = password.encode("utf-8", "surrogatepass")
    if _BCRYPT.fullmatch(password_hash):
        whole = len(secret) <= MAX_PASSWORD_BYTES and b"\0" not in secret
        # checked even when it cannot match, so that the answer takes as long
        matches = bcrypt.checkpw(secret[:MAX_PASSWORD_BYTES], password_hash.encode())
        return matches and whole
    try:
        return verify_secret(password_hash.encode(), secret, Type.ID)
    except VerifyMismatchError:
        return False


def needs_rehash(password_hash: str) -> bool:
    """Was this made with anything but today's scheme and parameters?"""
    match = _ARGON2ID.fullmatch(password_hash)
    return match is None or _HASHER.check_needs_rehash(password_hash)


def dummy_like(password_hash: str) -> str:
    """A hash of the same scheme, cost and lengths that no password matches. Costs no hashing."""
    check_hash(password_hash)
    bcrypt_match = _BCRYPT.fullmatch(password_hash)
    if bcrypt_match:
        digest = "".join(secrets.choice(_BCRYPT_ALPHABET) for _ in range(31))
        return bcrypt.gensalt(int(bcrypt_match[1])).decode() + digest
    match = _ARGON2ID.fullmatch(password_hash)
    assert match is not None
    return f"{match[1]}${_random_base64(len(match[5]))}${_random_base64(len(match[6]))}"


def _random_base64(length: int) -> str:
    return base64.b64encode(secrets.token_bytes(length * 3 // 4)).decode().rstrip("=")


def default_dummy() -> str:
    """A hash as `hash_password` makes them that no password matches."""
    p = argon2.profiles.RFC_9106_LOW_MEMORY
    return (f"$argon2id$v=19$m={p.memory_cost},t={p.time_cost},p={p.parallelism}"
            f"${_random_base64(22)}${_random_base64(43)}")


def random_password() -> str:
    """144 random bits in 24 characters that need no quoting in a shell or a URL."""
    return secrets.token_urlsafe(18)
