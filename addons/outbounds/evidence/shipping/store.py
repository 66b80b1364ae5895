"""The bucket: what is asked of an S3-compatible store, and what its errors mean for an operator."""

from __future__ import annotations

import io
import ssl
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.datatypes import Object
from minio.error import MinioException, S3Error
from minio.retention import Retention

from ...settings.evidence import ObjectStore
from .credentials import read_credentials

PART_OCTETS = 64 * 1024 * 1024
"""Octets sent in one request; a larger object is sent in several (multipart upload)."""
_CHUNK = 1024 * 1024
_SHA256 = "x-amz-meta-sha256"
_LOCKED = "x-amz-object-lock-retain-until-date"
_VERSION = "x-amz-version-id"
_UNVERSIONED = "null"
_ABSENT = frozenset({"NoSuchKey", "NoSuchObject", "NotFound", "404"})
_NO_LOCK = frozenset({"ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration",
                      "NotImplemented", "MethodNotAllowed"})

_MEANING: Mapping[str, str] = {
    "NoSuchBucket": "the bucket is not there; create it, with object lock if `lock` is set",
    "AccessDenied": "these credentials may not do this; they need to list, read, write and delete "
                    "objects and versions, to read the bucket's lock configuration, and to set "
                    "objects' retention",
    "InvalidAccessKeyId": "the store does not know this access key; mend `credentials`",
    "SignatureDoesNotMatch": "the secret key is not the access key's; mend `credentials`, or "
                             "`region`",
    "AuthorizationHeaderMalformed": "mend `region`: the store is in another",
    "RequestTimeTooSkewed": "the clock of this machine is not that of the store; set both by NTP",
    "InvalidRequest": "the store refuses the request; a bucket without object lock refuses objects "
                      "with one",
    "SlowDown": "the store is busy; the next pass goes on",
}


class StoreFault(Exception):
    """The store cannot do what it should. The message names the object, the code and the fix, and
    no secret."""


@dataclass(frozen=True, slots=True)
class Held:
    """An object as the store has it: `octets`, the SHA-256 (hex) it was sent with, until when
    (Unix s) it is locked, 0.0 for not, and which `version` this is."""

    octets: int
    sha256: str
    locked: float
    version: str


@dataclass(frozen=True, slots=True)
class Version:
    """A version of an object. A marker says that the object was deleted."""

    name: str
    id: str
    marker: bool


class Store:
    """Names are those below the prefix. Everything raises StoreFault. Safe to use from several
    threads."""

    def __init__(self, settings: ObjectStore) -> None:
        parts = urlsplit(settings.endpoint)
        access, secret = read_credentials(settings.credentials)
        self.settings = settings
        self._bucket = settings.bucket
        self._prefix = settings.prefix.rstrip("/") + "/" if settings.prefix else ""
        # no redirects: where this goes is the operator's choice alone
        retries = urllib3.Retry(total=3, redirect=False, backoff_factor=0.2,
                                status_forcelist=[500, 502, 503, 504])
        pool = urllib3.PoolManager(timeout=urllib3.Timeout(connect=10.0, read=60.0), maxsize=8,
                                   retries=retries, ssl_context=ssl.create_default_context())
        try:
            self._client = Minio(parts.netloc + parts.path, access, secret, region=settings.region,
                                 secure=parts.scheme == "https", http_client=pool)
        except ValueError as error:
            raise StoreFault(f"{settings.endpoint}: {error}") from None

    @property
    def identity(self) -> str:
        """Which objects are meant: the endpoint, the bucket and the prefix."""
        return f"{self.settings.endpoint}/{self._bucket}/{self._prefix}"

    def check(self, lock: bool) -> None:
        """That the bucket is there, that it can lock if it must, and that it locks nothing by
        itself."""
        try:
            # the first request of a pass, and not a HEAD: that has no body to say what is wrong
            with self._explained("the bucket", _NO_LOCK):
                found = self._client.get_object_lock_config(self._bucket)
        except _Absent:
            if lock:
                raise StoreFault(
                    f"{self.identity}: the bucket was created without object lock, and `lock` "
                    "is set. Name a bucket that was created with it (it cannot be had later "
                    "everywhere), or remove `lock`") from None
            return
        if found.duration:
            raise StoreFault(
                f"{self.identity}: the bucket locks everything for {found.duration} "
                f"{found.duration_unit} by default, "
                "and details must stay erasable. Remove the default retention; records are "
                "locked one by one")

    def head(self, name: str) -> Held | None:
        """None where there is no such object."""
        try:
            with self._explained(name, _ABSENT):
                found = self._client.stat_object(self._bucket, self._prefix + name)
        except _Absent:
            return None
        return _held(found)

    def put(self, name: str, content: Path | bytes, sha256: str, lock: float) -> None:
        """`lock` is until when, Unix s; 0.0 for not."""
        with self._explained(name), _opened(content) as (file, octets):
            one = octets <= PART_OCTETS
            # the store compares what arrives with the checksum; of several requests it cannot
            # before the last, so there reading back alone finds a difference
            checked = {"x-amz-sdk-checksum-algorithm": "SHA256",
                       "x-amz-checksum-sha256": b64encode(bytes.fromhex(sha256)).decode()}
            self._client.put_object(
                self._bucket, self._prefix + name, file, octets,
                metadata={"sha256": sha256, **(checked if one else {})},
                part_size=PART_OCTETS, num_parallel_uploads=1,
                retention=self._retention(lock) if lock else None)

    def lock(self, name: str, until: float) -> None:
        """Lock what is there; `until` is Unix s, and no earlier than it is locked already."""
        with self._explained(name):
            self._client.set_object_retention(self._bucket, self._prefix + name,
                                              self._retention(until))

    def read(self, name: str, offset: int = 0, length: int = 0) -> Iterator[bytes]:
        """Its content, or `length` octets of it. What is not there is a fault."""
        with self._explained(name):
            response = self._client.get_object(self._bucket, self._prefix + name, offset, length)
            try:
                yield from response.stream(_CHUNK)
            finally:
                response.close()
                response.release_conn()

    def listed(self, beginning: str) -> dict[str, str]:
        """The objects whose names begin so: name to entity tag, another for another content."""
        with self._explained(beginning):
            return {(each.object_name or "").removeprefix(self._prefix): each.etag or ""
                    for each in self._client.list_objects(
                        self._bucket, self._prefix + beginning, recursive=True)}

    def versions(self, beginning: str) -> list[Version]:
        """All versions of the objects whose names begin so."""
        with self._explained(beginning):
            return [Version((each.object_name or "").removeprefix(self._prefix),
                            each.version_id or _UNVERSIONED, each.is_delete_marker)
                    for each in self._client.list_objects(
                        self._bucket, self._prefix + beginning, recursive=True,
                        include_version=True)]

    def remove(self, version: Version) -> float:
        """Remove one version; where it is locked it stays, and this is until when, Unix s."""
        name = self._prefix + version.name
        with self._explained(version.name):
            try:
                self._client.remove_object(self._bucket, name, version_id=version.id)
            except S3Error:
                if version.marker:
                    raise
                found = self._client.stat_object(self._bucket, name, version_id=version.id)
                locked = _held(found).locked
                if locked <= time.time():
                    raise
                return locked
        return 0.0

    def _retention(self, until: float) -> Retention:
        return Retention(self.settings.mode.upper(), datetime.fromtimestamp(int(until), UTC))

    @contextmanager
    def _explained(self, name: str, absent: frozenset[str] = frozenset()) -> Iterator[None]:
        where = f"{self.identity}: {name}"
        try:
            yield
        except S3Error as error:
            code = error.code or "no code"
            if code in absent:
                raise _Absent from None
            meaning = _MEANING.get(code) or error.message or "the store says no more"
            raise StoreFault(f"{where}: {code}: {meaning}") from None
        except MinioException as error:
            raise StoreFault(f"{where}: not an S3 reply: {str(error)[:200]}") from None
        except urllib3.exceptions.HTTPError as error:
            raise StoreFault(f"{where}: no answer: {_reason(error)}") from None


class _Absent(Exception):
    """The store has none of it."""


def _reason(error: urllib3.exceptions.HTTPError) -> str:
    inner = getattr(error, "reason", None) or error
    return str(inner).rpartition(": ")[2][:200]


def _held(found: Object) -> Held:
    more = {key.lower(): value for key, value in (found.metadata or {}).items()}
    locked = more.get(_LOCKED, "")
    return Held(found.size or 0, more.get(_SHA256, ""),
                datetime.fromisoformat(locked).timestamp() if locked else 0.0,
                more.get(_VERSION) or _UNVERSIONED)


@contextmanager
def _opened(content: Path | bytes) -> Iterator[tuple[BinaryIO, int]]:
    if isinstance(content, bytes):
        yield io.BytesIO(content), len(content)
        return
    with content.open("rb") as file:
        octets = file.seek(0, io.SEEK_END)
        file.seek(0)
        yield file, octets
