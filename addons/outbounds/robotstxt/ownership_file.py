"""`<data>/sites.json`: which accounts claim to own which sites, and what was found of the proofs.

Commands write the claims, and the proxy that looks for the proofs what it found, so that neither a
restart nor another worker has to look again; `settings.operator_file` says how. Times are ISO 8601
in UTC. The tokens are no secrets: each is published, and worth nothing to any other account.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec

from ..core.destination import BadHost
from ..core.site_claims import Proof, SiteClaim, parse_site
from ..settings.operator_file import OperatorFile

MAX_SIZE = 2 * 1024 * 1024  # bytes: some 6,000 claims, which take a worker 10 ms to take over

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Line = Annotated[str, msgspec.Meta(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
Token = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}$")]

Claims = tuple[SiteClaim, ...]


class SitesFileError(Exception):
    """The file cannot be read or written. The message names it, what is wrong, and the fix."""


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    account: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    host: str
    proof: Proof
    token: Token
    claimed: Moment
    by: Line = ""
    since: Moment | None = None
    found: Moment | None = None
    looked: Moment | None = None
    failures: Annotated[int, msgspec.Meta(ge=0)] = 0
    failure: Line = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sites: tuple[_Entry, ...]


def sites_path(data: Path) -> Path:
    """`data` is the folder of the run data (`settings.service.data`)."""
    return data / "sites.json"


def new_token() -> str:
    """128 bits that nobody can guess."""
    return secrets.token_hex(16)


def read_sites(path: Path) -> Claims:
    """What the file says; nothing is claimed where there is none. Raises SitesFileError."""
    content = _file(path).read()
    if content is None:
        return ()
    try:
        entries = msgspec.json.decode(content, type=_File).sites
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SitesFileError(f"{path}: {error}; mend the file, or move it away and claim the "
                             "sites again") from None
    for number, entry in enumerate(entries):
        _check_host(path, number, entry)
    _check_once(path, entries)
    return tuple(_claim(entry) for entry in entries)


def add_claim(path: Path, claim: SiteClaim) -> SiteClaim:
    """Write `claim` down; the one there is, unchanged, where the account claims the host already.

    Raises SitesFileError; also where the one there is is to be proved otherwise.
    """
    with _changing(path) as (claims, write):
        known = _find(claims, claim.account, claim.host)
        if known is None:
            write([*claims, claim])
            return claim
    if known.proof is not claim.proof:
        raise SitesFileError(f"{claim.host} is claimed already, by {known.proof}; remove that "
                             "claim first")
    return known


def remove_claim(path: Path, account_id: str, host: str) -> SiteClaim | None:
    """Remove exactly this claim; None if there is none. Raises SitesFileError."""
    with _changing(path) as (claims, write):
        known = _find(claims, account_id, host)
        if known is not None:
            write([each for each in claims if each is not known])
        return known


def write_looks(path: Path, looked: Sequence[SiteClaim]) -> None:
    """Write down what was found of claims. One that was removed since stays removed, also where
    the same is claimed anew. Raises SitesFileError."""
    found = {(each.account, each.host, each.token): each for each in looked}
    with _changing(path) as (claims, write):
        write([found.get((each.account, each.host, each.token), each) for each in claims])


def _find(claims: Claims, account_id: str, host: str) -> SiteClaim | None:
    return next((each for each in claims
                 if (each.account, each.host) == (account_id, host)), None)


# --- the form of the file -----------------------------------------------------------------------


def _file(path: Path) -> OperatorFile:
    return OperatorFile(path, SitesFileError, MAX_SIZE, "remove claims that nobody needs "
                        "(`outbounds sites remove`)")


def _check_host(path: Path, number: int, entry: _Entry) -> None:
    try:
        canonical = parse_site(entry.host, entry.proof).text
    except BadHost as error:
        raise SitesFileError(f"{path}: sites[{number}].host: {error} Mend or remove the entry."
                             ) from None
    if canonical != entry.host:
        raise SitesFileError(f"{path}: sites[{number}].host: {entry.host!r} is not as requests "
                             f"are compared; write {canonical!r}")


def _check_once(path: Path, entries: Sequence[_Entry]) -> None:
    seen: dict[tuple[str, str], int] = {}
    for number, entry in enumerate(entries):
        first = seen.setdefault((entry.account, entry.host), number)
        if first != number:
            raise SitesFileError(f"{path}: sites[{number}]: {entry.host!r} is claimed for "
                                 f"{entry.account!r} in sites[{first}] already; remove one of them")


def _claim(entry: _Entry) -> SiteClaim:
    return SiteClaim(entry.account, entry.host, entry.proof, entry.token,
                     entry.claimed.timestamp(), entry.by, _seconds(entry.since),
                     _seconds(entry.found), _seconds(entry.looked), entry.failures, entry.failure)


def _entry(claim: SiteClaim) -> _Entry:
    claimed = _moment(claim.claimed)
    assert claimed is not None
    return _Entry(claim.account, claim.host, claim.proof, claim.token, claimed, claim.by,
                  _moment(claim.since), _moment(claim.found), _moment(claim.looked),
                  claim.failures, claim.failure)


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _moment(seconds: float | None) -> datetime | None:
    """To the millisecond."""
    return None if seconds is None else datetime.fromtimestamp(int(seconds * 1000) / 1000, UTC)


@contextmanager
def _changing(path: Path) -> Iterator[tuple[Claims, Callable[[Iterable[SiteClaim]], None]]]:
    """What the file says, and how to replace it, with the lock held."""
    file = _file(path)

    def write(claims: Iterable[SiteClaim]) -> None:
        content = msgspec.json.encode(_File(tuple(map(_entry, claims))))
        try:  # what could not be read again would leave the proxies with what was there before
            msgspec.json.decode(content, type=_File)
        except msgspec.ValidationError as error:
            raise SitesFileError(f"{path}: not changed: {error}") from None
        file.replace(msgspec.json.format(content, indent=1) + b"\n")

    with file.changing():
        yield read_sites(path), write
