"""What may be written down, and how: every text of a record passes through here.

Evidence must say enough to name an account and a moment, and must not become the place from which
credentials leak. So:

- A query keeps its keys. Each value becomes `h:` and a keyed hash of 64 bits: two requests with
  the same value can be recognised, and without the key nobody can try values against it.
- A part of the query without `=` may be a bare token, so it counts as a value. So does a long key
  with an empty value: `?c2VjcmV0IHRva2Vu==` is base64 with its padding, not a parameter.
- A method that nobody has registered may be anything: hashed.
- A fragment never belongs in a request (RFC 9110 section 4.2.5), but browsers' OAuth tokens live
  there and broken clients send them: hashed whole. So is userinfo in a URL inside a path.
- Reasons may quote what a client sent (parsers do). Quoted bytes, URLs and anything that looks
  like a credential are cut out of them.
- Every text is printable and bounded. What cannot be printed is percent-encoded as UTF-8, except
  surrogates from `surrogateescape`, which become the byte they stood for. The reader's terminal
  is an attack surface: a control character or a bidi override never reaches it.

- A part of the path that looks like a token (`looks_like_token`: a JWT, a UUID, a long run of hex
  or base64) is hashed, too: `/reset/h:…`. What is hashed in vain, such as the digest in the name
  of a style sheet, can still be compared, and looked for by who has the key. A short secret in a
  path (`/invite/K7Q2`) is not recognised: nothing tells it from a name.
"""

from __future__ import annotations

import hashlib
import os
import re
from functools import lru_cache
from pathlib import Path

from .directory import fsync_directory

MAX_PARAMETERS = 64
MAX_KEY = 64          # characters of a query key; more is not a name
MAX_EMPTY_KEY = 16    # a longer key with nothing after "=" is taken for a bare token
MAX_QUERY = 2048      # characters of the written shape

_USERINFO = re.compile(r"(?:(?<=//)|^)[^/]*@|(?<=/)[^/:]*:[^/]*@")

_MAY_BE_TOKEN = re.compile(r"eyJ[\w-]{8,}(?:\.[\w-]*)+|[\w~+%-]{20,}=*", re.ASCII)
_UUID = re.compile(r"(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_WORDS = re.compile(r"%[0-9A-Fa-f]{2}|[^A-Za-z0-9]+")

# Anchored or bounded on the left, each of them, so that no text makes the search quadratic.
_SECRET = re.compile(
    r"""(?isx)
      \b(?:basic|bearer|digest|negotiate|ntlm)\s+\S{8,}          # an auth scheme and its token
    | \b[\w-]{0,32}(?:authorization|cookie)\s*[:=].*            # a field that holds credentials
    | \b[\w-]{0,32}(?:passw(?:or)?d|secret|token|api[_-]?key|session)[\w-]{0,32}\s*[:=]\s*\S+
    """
)
_URL_SECRET = re.compile(r"(?<=://)[^\s/@]{1,256}@|\?[^\s)]+")
_QUOTED = re.compile(
    r"""(?isx)
      \bb['"].*                     # bytes that a parser quotes, and all that follows
    | (?<!\S)\S*(?:://|@)\S*        # a URL, or userinfo
    | \?\S+                         # a query
    """
)


def load_key(directory: Path) -> bytes:
    """The installation's 32-byte hashing key: read from `directory`/query.key, made if missing.

    The file has mode 0600. Losing it loses only the power to compare hashes made before and
    after. Raises OSError, or ValueError where the file is not a key or others can read it.
    """
    path = directory / "query.key"
    if not path.exists():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = directory / f".query.key.{os.getpid()}.{os.urandom(4).hex()}"
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, os.urandom(32))
            os.fsync(fd)
        finally:
            os.close(fd)
        try:
            # link, not rename: where two processes start at once, the first key stays
            os.link(draft, path)
        except FileExistsError:
            pass
        os.unlink(draft)
        fsync_directory(directory)
    key = path.read_bytes()
    if len(key) != 32:
        raise ValueError(f"{path}: {len(key)} bytes, must be 32; remove it to have a new one made")
    if path.stat().st_mode & 0o077:
        raise ValueError(f"{path}: readable by others; run: chmod 600 {path}")
    return key


def _bytes(text: str) -> bytes:
    """UTF-8; escaped surrogates give back their byte, any other surrogate its three bytes."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def printable(text: str, bound: int) -> tuple[str, bool]:
    """`text` with only printable characters and at most `bound` bytes (UTF-8), and "was it cut"."""
    cut = len(text) > bound
    if cut:
        text = text[:bound]
    if text.isascii() and text.isprintable():
        return text, cut
    if not text.isprintable():
        text = "".join(
            c if c.isprintable() else "".join(f"%{b:02X}" for b in _bytes(c)) for c in text)
    encoded = text.encode()
    if len(encoded) > bound:
        return encoded[:bound].decode("utf-8", "ignore"), True
    return text, cut


def scrubbed_reason(reason: str) -> str:
    """`reason` without quoted input, URLs and credentials: each is replaced by `…`."""
    # bounded first, so that a parser's message about a megabyte of header costs nothing
    return _SECRET.sub("…", _QUOTED.sub("…", reason[:1024]))


@lru_cache(maxsize=2048)
def scrubbed_agent(agent: str) -> str:
    """A User-Agent, or what else a program says of itself, without credentials. It may name URLs:
    crawlers say there who they are. What such a URL has for userinfo or a query goes."""
    return _SECRET.sub("…", _URL_SECRET.sub("…", agent))


def looks_like_token(run: str) -> bool:
    """Whether `run`, letters, digits and `-_~+=%.` of a path, is more likely a secret, or random,
    than a name. Random text mixes digits and both cases within one word, or is one long word with
    digits; titles and file names are short words with separators between."""
    if run.startswith("eyJ") and "." in run:  # a JSON object in base64url: RFC 7519 section 3
        return True
    if _UUID.search(run):
        return True
    for word in _WORDS.split(run):
        if len(word) < 12 or word.isalpha():
            continue
        if len(word) >= 32:
            return True
        if len(word) >= (12 if len(run) >= 32 else 20) and not (
                word.islower() or word.isupper() or word.isdigit()):
            return True
    return False


class Hasher:
    """Keyed BLAKE2b (RFC 7693 section 2.9), 64 bits, in hexadecimal."""

    def __init__(self, key: bytes) -> None:
        if len(key) < 16:
            raise ValueError(f"the hashing key has {len(key)} bytes, must have at least 16")
        self._base = hashlib.blake2b(key=key, digest_size=8)

    def __call__(self, value: str) -> str:
        digest = self._base.copy()
        digest.update(value.encode() if value.isascii() else _bytes(value))
        return "h:" + digest.hexdigest()

    def path(self, path: str) -> str:
        """`path` with the userinfo of any URL inside it hashed, and what looks like a token.

        A search for a path that a complaint names finds it when it is looked for as this makes it.
        """
        if "@" in path:
            path = _USERINFO.sub(lambda found: self(found[0][:-1]) + "@", path)
        if len(path) >= 20 and max(map(len, path.split("/"))) >= 20:  # short words need no look
            path = _MAY_BE_TOKEN.sub(self._token, path)
        return path

    def _token(self, found: re.Match[str]) -> str:
        return self(found[0]) if looks_like_token(found[0]) else found[0]

    def query(self, query: str) -> tuple[str, bool]:
        """The shape of `query` (without its `?`): keys as sent, values hashed; "was it cut"."""
        parts = query.split("&", MAX_PARAMETERS)
        shapes = [self._parameter(part) for part in parts[:MAX_PARAMETERS]]
        shape = "&".join(shapes)
        if len(parts) <= MAX_PARAMETERS and len(shape) <= MAX_QUERY:
            return shape, False
        while len(shape) > MAX_QUERY - 32:
            shapes.pop()
            shape = "&".join(shapes)
        rest = query.split("&", len(shapes))[-1]
        return f"{shape}&{self(rest)}", True

    def _parameter(self, part: str) -> str:
        key, equals, value = part.partition("=")
        if value and value[0] != "=" and len(key) <= MAX_KEY:
            return f"{key}={self(value)}"
        if not equals:
            return self(part) if part else ""
        padding = bool(value) and not value.strip("=")
        if len(key) > MAX_KEY or padding or (not value and len(key) > MAX_EMPTY_KEY):
            return self(part)
        return f"{key}={self(value)}" if value else f"{key}="
