"""An S3 server of the tests, in this process, on a real socket (moto), and a log to send to it."""

from __future__ import annotations

import contextlib
import itertools
import logging
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import msgspec
from minio import Minio
from moto.server import ThreadedMotoServer
from written import Written

from outbounds.evidence.archive.layout import Segment, all_segments
from outbounds.evidence.archive.seal import Index, load_seal, save_seal
from outbounds.evidence.keeper.task import Keeping
from outbounds.evidence.shipping import ship
from outbounds.settings.evidence import Evidence, ObjectStore

DAY = 86_400.0
ACCESS, SECRET = "AKIDEXAMPLE0CANARY", "wJalrXUtnFEMI/CANARY/bPxRfiCYEXAMPLEKEY"


class Bucket:
    """A bucket of its own at `endpoint`, and how Outbounds is told of it."""

    _numbers = itertools.count()

    def __init__(self, endpoint: str, folder: Path, lock: bool = True) -> None:
        self.client = Minio(endpoint.removeprefix("http://"), ACCESS, SECRET, secure=False,
                            region="us-east-1")
        self.name = f"evidence-{next(self._numbers)}"
        self.client.make_bucket(self.name, object_lock=lock)
        self.credentials = folder / "store.credentials"
        self.credentials.write_text(f"{ACCESS}\n{SECRET}\n")
        self.credentials.chmod(0o600)
        self.endpoint = endpoint

    def settings(self, **more: object) -> ObjectStore:
        known: dict[str, object] = {
            "endpoint": self.endpoint, "bucket": self.name, "prefix": "proxy1",
            "credentials": self.credentials, "lock": 100 * DAY, **more}
        return ObjectStore.model_construct(**known)  # type: ignore[arg-type]

    def names(self) -> list[str]:
        return [str(each.object_name) for each in
                self.client.list_objects(self.name, recursive=True)]

    def content(self, name: str) -> bytes:
        return self.client.get_object(self.name, name).read()

    def header(self, name: str, header: str) -> str:
        found = self.client.stat_object(self.name, name).metadata
        assert found is not None
        return str(found.get(header, ""))

    def download(self, folder: Path) -> None:
        """All of it, as any S3 tool does."""
        for name in self.names():
            self.client.fget_object(self.name, name, str(folder / name))


@contextlib.contextmanager
def s3() -> Iterator[str]:
    """The endpoint of a server."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def sealed_log(directory: Path) -> Written:
    """Three sealed segments of 600, 300 and 200 records, with indexes, and a hot one."""
    written = Written(directory)
    for count in (600, 300, 200, 50):
        written.run(count)
    written.seal()
    for segment in all_segments(directory)[:-1]:
        index(segment, b"PAR1 of " + segment.stem.encode())
    return written


def index(segment: Segment, content: bytes) -> None:
    """An index for `segment`: to whoever copies it, octets."""
    segment.index.write_bytes(content)
    save_seal(segment.seal, msgspec.structs.replace(load_seal(segment.seal), index=Index(
        segment.index.name, len(content), sha256(content).hexdigest())))


class Pass:
    """What a pass said and counted."""

    def __init__(self, directory: Path, store: ObjectStore | None, now: float | None = None,
                 **more: float) -> None:
        self.said: list[str] = []
        say: Callable[[str], None] = self.said.append
        self.keeping = Keeping(directory, directory.parent, Evidence.model_construct(store=store),
                               time.time() if now is None else now, say)
        ship.run(self.keeping, **more)

    @property
    def status(self) -> dict[str, int | float | str]:
        return self.keeping.status
