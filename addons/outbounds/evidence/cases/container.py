"""A bundle as files: in a folder, a zip or a tar, written whole or not at all, read with care.

What is written is deterministic: one order, one time, one mode. What is read is somebody else's: no
name leads out of the bundle, no file is larger than `MAX_FILE`, nothing is unpacked to disk.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import stat
import tarfile
import time
import zipfile
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from ..directory import fsync_directory

MAX_FILE = 256 * 1024 * 1024
MAX_FILES = 1_000_000
_ZIP_EPOCH = 315_532_800  # 1980-01-01, Unix s


class BadContainer(Exception):
    """Not a bundle, or one that nobody should open. The message says why."""


class BadFile(BadContainer):
    """`file` of the bundle is not as it should be: `problem`."""

    def __init__(self, file: str, problem: str) -> None:
        super().__init__(f"{file}: {problem}")
        self.file, self.problem = file, problem


# --- writing ------------------------------------------------------------------------------------

Put = Callable[[str, bytes], None]
"""(name, content) into the bundle, with "/" between folders."""


@contextmanager
def writing(out: Path, top: str, at: int) -> Iterator[Put]:
    """A bundle at `out`, which its suffix makes a zip (.zip), a tar (.tar) or else a folder;
    archives have everything under the folder `top`. `at` is Unix s. The name is there when the
    block ends without an exception, and not before. Raises OSError; FileExistsError where there is
    something already."""
    refuse_existing(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(out)
    draft = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        kind = {".zip": _zip, ".tar": _tar}.get(out.suffix)
        with kind(draft, top, at) if kind else _folder(draft) as put:
            yield put
        _sync(draft)
        if kind:
            os.link(draft, out)  # unlike rename: never over what another made meanwhile
            draft.unlink()
        else:
            os.rename(draft, out)
    except BaseException:
        _remove(draft)
        raise
    fsync_directory(out.parent)


def refuse_existing(out: Path) -> None:
    """Raises FileExistsError where there is something at `out`."""
    if os.path.lexists(out):
        raise FileExistsError(errno.EEXIST, "there is something already; name another, or remove "
                              "it", str(out))


def _remove_abandoned(out: Path) -> None:
    """What an export that was killed has left."""
    for path in out.parent.glob(f".{out.name}.*.part"):
        number = path.name.removesuffix(".part").rpartition(".")[2]
        if number.isdecimal():
            try:
                os.kill(int(number), 0)
            except ProcessLookupError:
                _remove(path)
            except PermissionError:
                continue


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync(draft: Path) -> None:
    fd = os.open(draft, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def _folder(draft: Path) -> Iterator[Put]:
    draft.mkdir(mode=0o700)

    def put(name: str, octets: bytes) -> None:
        path = draft / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(octets)

    yield put


@contextmanager
def _zip(draft: Path, top: str, at: int) -> Iterator[Put]:
    moment = time.gmtime(max(at, _ZIP_EPOCH))[:6]
    with _private(draft) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        def put(name: str, octets: bytes) -> None:
            info = zipfile.ZipInfo(f"{top}/{name}", moment)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (stat.S_IFREG | 0o600) << 16
            archive.writestr(info, octets)

        yield put


@contextmanager
def _tar(draft: Path, top: str, at: int) -> Iterator[Put]:
    with _private(draft) as file, tarfile.open(fileobj=file, mode="w",
                                               format=tarfile.PAX_FORMAT) as archive:
        def put(name: str, octets: bytes) -> None:
            info = tarfile.TarInfo(f"{top}/{name}")
            info.size, info.mtime, info.mode = len(octets), at, 0o600
            archive.addfile(info, io.BytesIO(octets))

        yield put


def _private(draft: Path) -> AbstractContextManager[io.BufferedWriter]:
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    return os.fdopen(fd, "wb")


# --- reading ------------------------------------------------------------------------------------


class Container:
    """The files of a bundle by their names."""

    def __init__(self, names: list[str]) -> None:
        if len(names) > MAX_FILES:
            raise BadContainer(f"it has {len(names)} files; more than {MAX_FILES} are not read")
        seen: set[str] = set()
        for name in names:
            if name in seen:
                raise BadContainer(f"{name}: is there twice")
            seen.add(name)
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or "\\" in name or not name.isprintable():
                raise BadContainer(f"{name[:80]!r}: is no name of a file in a bundle")
        # an archive has a folder around everything
        first = next((name for name in sorted(names, key=len)
                      if PurePosixPath(name).name == "SHA256SUMS"), None)
        if first is None:
            raise BadContainer("it has no SHA256SUMS: not a bundle of a case, or not all of it")
        top = first.removesuffix("SHA256SUMS")
        outside = next((name for name in names if not name.startswith(top)), None)
        if outside is not None:
            raise BadContainer(f"{outside}: lies outside of the bundle")
        self._top = top
        self.names = frozenset(name.removeprefix(top) for name in names)

    def read(self, name: str) -> bytes:
        """Raises BadFile, also where there is no such file."""
        if name not in self.names:
            raise BadFile(name, "is missing")
        try:
            with self._open(self._top + name) as file:
                octets = file.read(MAX_FILE + 1)
        except Exception as error:  # those of archives and their compressions have no common class
            raise BadFile(name, f"cannot be read: {error}") from None
        if len(octets) > MAX_FILE:
            raise BadFile(name, f"is larger than {MAX_FILE} octets")
        return octets

    @abstractmethod
    def _open(self, name: str) -> AbstractContextManager[IO[bytes]]: ...


@contextmanager
def reading(path: Path) -> Iterator[Container]:
    """The bundle at `path`. Raises BadContainer, OSError."""
    with contextlib.ExitStack() as stack:
        try:
            if path.is_dir():
                found: Container = _Folder(path)
            elif zipfile.is_zipfile(path):
                found = _Zip(stack.enter_context(zipfile.ZipFile(path)))
            else:
                path.stat()
                found = _Tar(stack.enter_context(tarfile.open(path, "r:")))
        except (tarfile.TarError, zipfile.BadZipFile, EOFError, ValueError) as error:
            raise BadContainer(f"neither a folder nor a zip nor a tar: {error}") from None
        yield found


class _Folder(Container):
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        names = []
        for root, folders, files in os.walk(folder):
            for name in [*folders, *files]:
                each = Path(root, name)
                mode = each.lstat().st_mode
                if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                    raise BadContainer(f"{each}: neither a file nor a folder")
                if stat.S_ISREG(mode):
                    names.append(each.relative_to(folder).as_posix())
        super().__init__(names)

    def _open(self, name: str) -> AbstractContextManager[IO[bytes]]:
        return (self._folder / name).open("rb")


class _Zip(Container):
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        super().__init__([each.filename for each in archive.infolist() if not each.is_dir()])

    def _open(self, name: str) -> AbstractContextManager[IO[bytes]]:
        return self._archive.open(name)


class _Tar(Container):
    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        members = [each for each in archive.getmembers() if not each.isdir()]
        strange = next((each.name for each in members if not each.isreg()), None)
        if strange is not None:
            raise BadContainer(f"{strange}: not a file")
        super().__init__([each.name for each in members])

    def _open(self, name: str) -> AbstractContextManager[IO[bytes]]:
        file = self._archive.extractfile(name)
        assert file is not None
        return file
