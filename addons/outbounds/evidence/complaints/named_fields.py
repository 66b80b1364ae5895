"""A sighting out of named fields, whatever the program that wrote them calls them.

JSON access logs, XARF reports, firewall lines (SRC=… SPT=…), CSV tables and "Source-IP: …" all name
the same eight things in a hundred ways. `ROLES` lists the names, in lower case and without anything
but letters and digits; a nested name (`request.remote_ip`) also goes by its last parts. Where two
names of one role are there, the one that stands first in the table counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from .addresses import canonical, find, port_of, refanged
from .moments import Clock, Stated, read
from .sighting import Complaint, Moment, Sighting, unread

ROLES: dict[str, tuple[str, ...]] = {role: tuple(names.split()) for role, names in {
    "address": "sourceip srcip sourceidentifier sourceaddress sourceaddr srcaddr saddr src source "
               "clientip ipsrc clientaddr clientaddress clienthost remoteaddr remoteaddress "
               "remoteip remotehost xclientip cip attackerip attackingip attacker offender "
               "offendingip abuserip abuseip sip hostip client ip ipaddress ipv4 ipv6 address addr",
    "port": "sourceport srcport spt sport srcprt clientport remoteport clientsrcport cport "
            "attackerport portsrc",
    "either_port": "port",
    "target": "host httphost servername vhost virtualhost requesthost destinationdomain urldomain "
              "serverhostname targethost destinationhost dsthost desthost destinationhostname "
              "domain cshost targeturl destinationip dstip dstaddr daddr destip dst destination "
              "dest destinationaddress dip targetip target serverip serveraddr serveraddress "
              "localaddr localip sip victim victimip server",
    "target_port": "destinationport dstport destport dpt dport targetport serverport localport "
                   "portdst",
    "time": "timestamp time datetime timeiso8601 timelocal ts msec date eventtime eventtimestamp "
            "detectedat detected detecttime lastdetected detectiontime observed observedat utc "
            "timeutc utctime rt arrivaldate receiveddate timestamputc datetimeutc starttime "
            "timestart startedat requesttimestamp logdate epoch",
    "since": "firstseen since from begin start first eventstart windowstart",
    "until": "lastseen until lastseenat end endtime last eventend windowend",
    "zone": "timezone tz zone",
    "method": "requestmethod httpmethod httprequestmethod csmethod method verb",
    "path": "requesturi requestpath uripath csuristem urlpath uri path urloriginal url requesturl "
            "targetpath",
    "request": "request requestline httprequest firstline",
    "status": "httpresponsestatuscode responsestatuscode responsestatus httpstatus httpstatuscode "
              "statuscode scstatus responsecode status httpresponsecode",
}.items()}
_ROLE = {name: (role, rank) for role, names in reversed(ROLES.items())
         for rank, name in enumerate(names)}
_NESTED_ONLY_IN_FULL = frozenset((
    "ip", "port", "address", "addr", "host", "source", "src", "first", "last", "start", "end",
    "from", "status", "server", "domain", "url", "path", "client", "target"))
_NOT_OURS = ("reporter", "sender", "evidence", "attachment", "samples", "contact", "geo",
             "useragent", "destinationgeo")


def role_of(name: str) -> tuple[str, int]:
    """(role, how far down its list) of a field's name; ("", 0) where it has none.

    "Source.IP" and "request.remote_ip" are found by their last parts; a last part as vague as "ip"
    only where nothing stands before it.
    """
    parts = [re.sub(r"[^a-z0-9]", "", part) for part in name.lower().split(".")[-4:]]
    if len(parts) > 1 and any(part.startswith(_NOT_OURS) for part in parts[:-1]):
        return "", 0
    for start in range(len(parts)):
        joined = "".join(parts[start:])
        vague = start > 0 and start == len(parts) - 1 and joined in _NESTED_ONLY_IN_FULL \
            and parts[0] not in ("request", "report", "connection", "event", "transaction")
        if joined in _ROLE and not vague:
            return _ROLE[joined]
    return "", 0


def roles(fields: Iterable[tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Role to (name, value): the best name of each role that has a value."""
    best: dict[str, tuple[int, str, str]] = {}
    for name, value in fields:
        role, rank = role_of(name)
        value = value.strip().strip('"')
        if role and value not in ("", "-", "null", "None", "unknown", "n/a", "N/A") and \
                (role not in best or rank < best[role][0]):
            best[role] = (rank, name, value)
    return {role: (name, value) for role, (_, name, value) in best.items()}


def sighting_of(fields: Iterable[tuple[str, str]], clock: Clock, source: str, *, text: str = "",
                extra: Mapping[str, str] | None = None,
                stated: tuple[tuple[Moment, ...], tuple[str, ...]] = ((), ())) -> Complaint:
    """The sighting that `fields` (name, value) tell of, or why there is none. `text` is how they
    stood in the complaint. `extra` (role to value) and `stated` (moments, notes) are what was
    found without a name; they count where no field says it."""
    fields = list(fields)
    known = roles(fields)
    for role, value in (extra or {}).items():
        known.setdefault(role, (role, value))
    if "address" not in known:
        return unread(source, text, "no field names the address that did it")
    name, value = known["address"]
    found = list(find(refanged(value)))
    address = found[0].address if found else canonical(value)
    if not address:
        return unread(source, text or value,
                      f"{name}: {value[:80]!r} is no address, and names are not looked up")
    notes: list[str] = []
    port = found[0].port if found else None
    if "port" in known:
        port = port_of(known["port"][1])
        if port is None:
            notes.append(f"{known['port'][0]}: {known['port'][1][:20]!r} is no port")
    target, target_port = _target(known)
    if "either_port" in known and port is None:
        port, target_port = _either(known["either_port"][1], target_port, notes)
    about_time: list[str] = []
    moments = _moments(known, _day_and_time(fields), clock, about_time)
    if not moments and stated[0]:
        moments, about_time = stated[0], list(stated[1])
    notes += about_time
    request = known.get("request", ("", ""))[1]
    method, path = request_line(request) if request else ("", "")
    return Complaint("", (Sighting(
        address=address, port=port, moments=moments, target=target, target_port=target_port,
        method=known.get("method", ("", method))[1][:32].upper(),
        path=_path(known.get("path", ("", ""))[1]) or path,
        status=_status(known.get("status", ("", ""))[1]), source=source, notes=tuple(notes)),))


def request_line(text: str) -> tuple[str, str]:
    """(method, path) of a request line (RFC 9112 section 3); empty where it is none."""
    words = text.split(" ")
    if not re.fullmatch(r"[A-Z][A-Z_-]{1,30}", words[0]) or len(words) < 2:
        return "", ""
    return words[0], _path(words[1])


def _path(text: str) -> str:
    """The path of a request target or a URL, without its query; "" for another form."""
    text = text.partition("?")[0].partition("#")[0]
    if "://" in text[:12]:
        text = "/" + text.partition("://")[2].partition("/")[2]
    return text if text.startswith("/") else ""


def _target(known: Mapping[str, tuple[str, str]]) -> tuple[str, int | None]:
    target, port = "", None
    if "target" in known:
        target, port = host_and_port(known["target"][1])
    elif "://" in known.get("path", ("", ""))[1][:12]:
        target, port = host_and_port(known["path"][1])
    if "target_port" in known:
        port = port_of(known["target_port"][1]) or port
    return target, port


def host_and_port(text: str) -> tuple[str, int | None]:
    """A host in lower case, or an address, and its port, out of a URL, a Host field, an address;
    ("", None) where it is none of them."""
    text = refanged(text.strip())
    if address := canonical(text):
        return address, None
    try:
        parts = urlsplit(text if "://" in text[:12] else f"//{text}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "", None
    if address := canonical(host):
        return address, port
    return (host.rstrip("."), port) if re.fullmatch(
        r"(?=.{1,253}$)[\w-]{1,63}(?:\.[\w-]{1,63}){0,30}\.?", host) else ("", None)


def _either(text: str, target_port: int | None, notes: list[str]) -> tuple[int | None, int | None]:
    """A field that is just called "port": some mean the attacker's, some the service's."""
    port = port_of(text)
    if port is None or port == target_port:
        return None, target_port
    if port < 1024:
        if target_port is None:
            notes.append(f"port {port} is taken for the port of the service that was reached")
        return None, port if target_port is None else target_port
    notes.append(f"port {port} is taken for the source's")
    return port, target_port


def _status(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[1-5]\d\d", text) else None


def _day_and_time(fields: Iterable[tuple[str, str]]) -> str:
    """The two joined, where they have a field each: date=2026-11-21 time=12:03:07."""
    named = {name.lower(): value for name, value in fields}
    return f"{named['date']} {named['time']}" if "date" in named and "time" in named else ""


def _moments(known: Mapping[str, tuple[str, str]], joined: str, clock: Clock,
             notes: list[str]) -> tuple[Moment, ...]:
    if "zone" in known:
        clock = Clock(clock.now, known["zone"][1], "as the complaint says", clock.mail)

    def of(role: str) -> tuple[Moment, ...]:
        if role not in known:
            return ()
        name, value = known[role]
        stated: Stated | None = read(value, clock)
        if stated is None:
            notes.append(f"{name}: {value[:40]!r} is no time that is understood here")
            return ()
        notes.extend(stated.notes)
        return stated.moments

    if joined and (whole := read(joined, clock)) is not None:
        notes.extend(whole.notes)
        return whole.moments
    since, until = of("since"), of("until")
    if since and until:
        return tuple(Moment(a.earliest, b.latest, a.note or b.note)
                     for a, b in zip(since, until, strict=False) if a.earliest <= b.latest)
    return of("time") or since or until
