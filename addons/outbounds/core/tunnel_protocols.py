"""Which protocol a tunnel turns out to carry, from the first octets of both directions.

A port says little: mail goes to 443 as well as to 25, if its server listens there. What cannot be
disguised is how a conversation begins, because the other side is a stranger who knows only the
protocol: the client of each one here has a word to say before anything can be done with it, and
most servers greet first. `Opening` is fed what arrives, says how much of it may be passed on, and
ends with `found` (a protocol) or `over` (none of those asked for).

What is recognised, and what has been passed on by then:

ssh    `SSH-` at the start of a line, from either side (RFC 4253 section 4.2: a server may send
       other lines first; those are passed on).
smtp   a greeting 220 that says SMTP or LMTP; or EHLO, HELO, LHLO or MAIL at the start of a line of
       the client's (RFC 5321 section 3.1, RFC 2033 section 4.1).
ftp    a greeting 220 that says FTP; or a command that no other protocol has (RFC 959).
nntp   a greeting 200 or 201 that says so (RFC 3977 section 5.1); or a command of its own.
irc    NICK or CAP from the client (RFC 2812 section 3.1), NOTICE or a numeric from the server.
http   a request line (RFC 9112 section 3) as the first thing that the client says.

Of these nothing of the line that gives them away is passed on, and nothing after it. One case
needs more: a greeting 220, 200 or 201 that does not name itself. Clients wait for it, so it is
passed on, and the client's first word, which is not, decides: a word that only FTP has, or only
SMTP, means that; anything else means the first that is refused, because nobody answers such a
greeting without meaning it. (DICT, RFC 2229, greets with 220 too, and is refused with the others.)

Lines are looked at wherever they start until the server has spoken, not the first alone: mail can
be sent blind, in one go before any greeting, behind a line of rubbish that its server forgives, or
inside a field of a ClientHello that no TLS server will ever read. An operator who refuses smtp and
not ftp, or the other way round, leaves one gap: behind a greeting that does not name itself, a
client may feign the permitted one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from .case import Case
from .verdict import Kind, Verdict, refuse

# octets; an incomplete request line that is longer than this is none (a head's bound is lower)
MAX_LINE = 65_536
# octets of a client that are searched while its server is silent
MAX_CLIENT = 65_536
# RFC 5321 section 4.5.3.1.5 bounds a reply line at 512; a greeting of many lines is longer
MAX_GREETING = 4096
# octets of a server, of no known kind, after which a silent client is not waited for any longer
MAX_SERVER = 65_536
MAX_BLANK = 512  # white space in front of a command

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"  # RFC 9110 section 5.6.2
# RFC 9112 section 2.2: servers ignore empty lines in front
_REQUEST = re.compile(rb"(?:\r?\n)*%b+ [^\n]* HTTP/[^\n]*\n" % _TOKEN)
_REQUEST_YET = re.compile(rb"(?:\r?\n)*(?:\r?|%b{1,64}(?: [^\n]*)?)" % _TOKEN)


def request_line(octets: bytes) -> bool | None:
    """Whether a stream begins with the request line of HTTP/1; None while it may still."""
    if _REQUEST.match(octets):
        return True
    if len(octets) < MAX_LINE and _REQUEST_YET.fullmatch(octets):
        return None
    return False


# How lines begin, in upper case, that belong to one protocol. None is shorter than four octets:
# within 64 KiB of noise one is then met less than once in a hundred thousand tunnels.
_CLIENT_LINES: Mapping[str, tuple[bytes, ...]] = {
    "ssh": (b"SSH-",),
    "smtp": (b"EHLO", b"HELO", b"LHLO", b"MAIL "),
    "ftp": (b"EPSV", b"PASV", b"SYST\r", b"SYST\n", b"FEAT\r", b"FEAT\n", b"STOR ", b"TYPE A",
            b"TYPE I", b"CWD /"),
    "irc": (b"NICK ", b"CAP LS", b"CAP REQ", b"CAP END"),
    "nntp": (b"MODE READER", b"AUTHINFO ", b"CAPABILITIES\r", b"CAPABILITIES\n", b"IHAVE <",
             b"TAKETHIS <", b"ARTICLE ", b"NEWGROUPS ", b"XOVER ", b"POST\r", b"POST\n"),
}
_SERVER_LINES: Mapping[str, tuple[bytes, ...]] = {
    "ssh": (b"SSH-",),
    "irc": (b"NOTICE AUTH ", b"NOTICE * "),
}
_IRC_REPLY = re.compile(rb":\S{1,255} (?:NOTICE|[0-9]{3}) ")

# The greetings: code, and what they may be, each with the words by which it names itself
_GREETINGS: Mapping[bytes, tuple[tuple[str, re.Pattern[bytes]], ...]] = {
    b"220": (("smtp", re.compile(rb"SMTP|LMTP", re.I)), ("ftp", re.compile(rb"FTP", re.I))),
    b"200": (_NEWS := (("nntp", re.compile(rb"NNTP|NNRP|InterNetNews|\bINN\b", re.I)),)),
    b"201": _NEWS,
}
# commands that only one of the two that greet with 220 has
_WORDS: Mapping[bytes, str] = {
    **dict.fromkeys((b"EHLO", b"HELO", b"LHLO", b"MAIL", b"RCPT", b"VRFY", b"EXPN", b"RSET",
                     b"STARTTLS", b"XCLIENT"), "smtp"),
    **dict.fromkeys((b"USER", b"PASS", b"ACCT", b"FEAT", b"SYST", b"HOST", b"CLNT", b"OPTS",
                     b"PBSZ", b"PROT"), "ftp"),
}
_TLS_RECORD = (b"\x14", b"\x15", b"\x16", b"\x17")  # RFC 8446 section 5.1
_WORD = re.compile(rb"\s*([A-Za-z]{1,8})(?=[^A-Za-z])")
_WORD_YET = re.compile(rb"\s*[A-Za-z]{0,8}")


class _Lines:
    """Searches a stream for lines that begin in one of some ways.

    `held` is how many of the last octets may still become such a beginning. White space in front
    of a command does not count: servers skip it.
    """

    def __init__(self, lines: Mapping[str, tuple[bytes, ...]], wanted: Collection[str]) -> None:
        self._openers = {opener: name for name, openers in lines.items() if name in wanted
                         for opener in openers}
        self._search = re.compile(rb"(?:\A|[\r\n])[ \t]*(%b)" % b"|".join(
            map(re.escape, self._openers)), re.I).search if self._openers else None
        self._line: bytes | None = b""  # the line under way; None: no opener, whatever follows
        self.held = 0

    def feed(self, data: bytes) -> str:
        """The protocol of the first line that gives one away, or ""."""
        if self._search is None:
            return ""
        if self._line is None:
            starts = [at for at in (data.find(b"\n"), data.find(b"\r")) if at >= 0]
            if not starts:
                return ""
            text = data[min(starts):]
        else:
            text = self._line + data
        found = self._search(text)
        if found:
            return self._openers[found[1].upper()]
        line = text[max(text.rfind(b"\n"), text.rfind(b"\r")) + 1:]
        begun = line.lstrip(b" \t").upper()
        self._line = line if len(line) <= MAX_BLANK and any(
            each.startswith(begun) for each in self._openers) else None
        self.held = len(line) if self._line is not None else 0
        return ""


class Opening:
    """The opening of a tunnel, as it comes in.

    `refused` are the names of the protocols asked for. `found` is one of them, or "http", which is
    always looked for: what carries it is judged request by request where it is not refused.
    `over` says that it can be none of them any more. Until one of the two is set, no more than
    `client_passable` octets of the client's may be passed on, and `server_passable` of the
    server's, counted from the start. Not a word is said about time: how long octets may be held
    is for the caller to bound, and recognition goes on with what it passed on meanwhile.
    """

    def __init__(self, refused: Collection[str]) -> None:
        self._refused = refused = frozenset(refused)
        self._client_lines = _Lines(_CLIENT_LINES, refused)
        self._server_lines = _Lines(_SERVER_LINES, refused)
        self._client = b""           # its first octets
        self._server = b""           # its greeting, as long as it may be one
        self._possible: tuple[str, ...] = ()  # by a greeting that did not name itself
        self._request: bool | None = None     # whether the client sends HTTP
        self._greets: bool | None = None if refused - {"http"} else False
        self._client_total = self._server_total = 0
        self.client_passable = self.server_passable = 0
        self.found = ""
        self.over = False

    def from_client(self, data: bytes, *, tls: bool = False) -> None:
        """`tls`: the octets are a ClientHello, which no request line and no word begins."""
        if self.found or self.over or not data:
            return
        searched = max(0, MAX_CLIENT - self._client_total)
        self._client_total += len(data)
        # a request line that has a space has nothing to decide before its end
        long = len(self._client) > 128 and b"\n" not in data
        self._client += data[:max(0, MAX_LINE - len(self._client))]
        if tls or self._request is False:
            self._request = False
        elif not long or self._client_total >= MAX_LINE:
            self._request = request_line(self._client)
        if self._request and (not self._server_total or "http" in self._refused):
            self.found = "http"
            return
        self._find(self._client_lines.feed(data[:searched]))
        if searched <= len(data) or tls:
            self._client_lines.held = 0
        self._settle()

    def from_server(self, data: bytes) -> None:
        if self.found or self.over or not data:
            return
        searched = max(0, MAX_GREETING - self._server_total)
        self._server_total += len(data)
        self._find(self._server_lines.feed(data[:searched]))
        if searched <= len(data):
            self._server_lines.held = 0
        if self._greets is None:
            self._server += data
            self._greeting(self._server)
        if "http" not in self._refused:
            self._request = False  # who is greeted is no HTTP server's client
        self._settle()

    def _find(self, name: str) -> None:
        if name in self._refused:
            self.found = self.found or name

    def _greeting(self, text: bytes) -> None:
        """Sets `_greets`: False if this is no greeting, True if it is one and complete."""
        code = text[:3]
        if text[:1] == b":" and "irc" in self._refused:
            if _IRC_REPLY.match(text):
                self._find("irc")
            elif b"\n" in text or len(text) > MAX_GREETING:
                self._greets = False
        elif len(text) < 4:
            if not any(each.startswith(text) for each in _GREETINGS):
                self._greets = False
        elif code not in _GREETINGS or text[3:4] not in b" -\r\n":
            self._greets = False
        elif re.search(rb"^%b(?: .*)?\r?\n" % code, text, re.M) or len(text) > MAX_GREETING:
            self._greets = True
            kinds = _GREETINGS[code]
            named = [name for name, words in kinds if words.search(text)]
            if len(named) == 1:
                self._find(named[0])
                self._greets = bool(self.found)
            else:
                self._possible = tuple(name for name, _ in kinds if name in self._refused)
                self._greets = bool(self._possible)

    def _settle(self) -> None:
        if self._possible and not self.found:
            self._by_word()
        if self.found:
            return
        greeted = self._greets is False and self._server_total > 0
        spoken = self._client_total and not self._client_lines.held and self._request is not None
        alone = self._server[:1] in _TLS_RECORD or self._server_total > MAX_SERVER
        nothing_else = self._request is False and not self._refused - {"http"}
        self.over |= bool((greeted and (spoken or alone)) or nothing_else)
        if self.over:
            self.client_passable, self.server_passable = self._client_total, self._server_total
            return
        if self._greets is not None:
            self.server_passable = self._server_total - self._server_lines.held
        held_by_greeting = self._greets or (self._greets is None and self._server_total)
        if self._request is False and not held_by_greeting:
            self.client_passable = max(self.client_passable,
                                       self._client_total - self._client_lines.held)

    def _by_word(self) -> None:
        """Behind a greeting that may be one of several, by the client's first word."""
        word = _WORD.match(self._client)
        if word is None and _WORD_YET.fullmatch(self._client):
            return
        name = _WORDS.get(word[1].upper()) if word and "nntp" not in self._possible else None
        self._find(name or self._possible[0])
        self.over = not self.found


def refusal(case: Case, name: str) -> Verdict | None:
    """Why the tunnel of `case` may not carry the protocol `name`, or None.

    The rule is `tunnel/<name>`; a dated exception lifts it.
    """
    clauses = case.policy.protocol.refused_in_tunnels
    rule = f"tunnel/{name}"
    if name not in clauses or case.lift(rule):
        return None
    return refuse("protocol", Kind.PROTOCOL,
                  f"The tunnel turned out to carry {name.upper()}, which is not offered.",
                  rule=rule, clause=clauses[name])
