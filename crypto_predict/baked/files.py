"""Files that are written whole or not at all, and the lock by which one process at a time writes them.

A file is written to a temporary one beside it (``.model.pkl.1a2b3c4d.tmp``), synced, and renamed; so is the folder
synced. The lock is advisory, on a file beside the output (``.model.pkl.lock``). The kernel releases it when its holder
dies, however that happens, so a lock file that was left behind keeps nobody out, and the next run removes it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import platform
import re
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from crypto_predict.errors import InvalidValue

Content = bytes | Iterable[bytes]

_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{8}\.tmp")
_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOSYS})

_log = logging.getLogger(__name__)


def real_path(path: Path) -> Path:
    """The file that a path leads to, all links followed; of a loop of links, the path itself."""
    return Path(os.path.realpath(path))  # Path.resolve raises errors of several types for a loop, by version


def temporary_for(path: Path) -> Path:
    """A new name for a temporary file beside a file."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def write_atomically(path: Path, content: Content) -> None:
    """Put `content` at `path`: all of it, or the file stays as it was, and nothing is left beside it.

    A symbolic link stays one: the file it leads to is replaced. A file keeps its mode and, where possible, its owner.

    Raises:
        OSError: The file cannot be written.
    """
    write_in_order({path: content})


def write_in_order(files: Mapping[Path, Content]) -> None:
    """The same for files that belong together, of which the last is the commit point.

    All are complete before the first is put in its place. If that fails in between, a file that was new is removed
    again, and one that replaced another stays.

    Raises:
        OSError: One cannot be written; the last stays as it was, unless its folder could not be synced.
    """
    temporaries: dict[Path, Path] = {}  # real path to temporary file
    new: list[Path] = []  # put in their places, where there was nothing
    try:
        for path, content in files.items():
            with _naming(path):
                real = real_path(path)
                temporaries[real] = temporary_for(real)
                _write_synced(temporaries[real], content, like=real)
        for real in list(temporaries):
            with _naming(real):
                if not os.path.lexists(real):
                    new.append(real)
                temporaries[real].replace(real)
                del temporaries[real]
                if not temporaries:
                    new.clear()  # committed
                _sync_folder(real.parent)
    except BaseException:
        for leftover in (*temporaries.values(), *new):
            with contextlib.suppress(OSError):
                leftover.unlink()
        raise


def keep_aside(path: Path, aside: Path) -> None:
    """Give the content of the file at `path` the further name `aside`, which outlives its replacement.

    Raises:
        OSError: That cannot be done.
    """
    real = real_path(path)
    if aside.exists():
        return
    with _naming(aside):
        try:
            aside.hardlink_to(real)
        except OSError:  # a file system without links, or one that reserves them to the owner
            temporary = temporary_for(real)
            with real.open("rb") as file:
                _write_synced(temporary, _chunks(file), like=real)
            temporary.replace(aside)


def stale_temporaries(path: Path) -> list[Path]:
    """The temporary files that killed processes left beside an output. Its lock must be held."""
    real = real_path(path)
    names = sorted(os.listdir(real.parent))  # noqa: PTH208 names are all that is needed
    return [real.parent / name for name in names if (found := _TEMPORARY.fullmatch(name)) and found[1] == real.name]


def remove_stale(path: Path) -> None:
    """Remove the temporary files that killed processes left beside an output. Its lock must be held."""
    for temporary in stale_temporaries(path):
        _log.warning("removing %s, which an earlier run left behind", temporary)
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: Path, name: str) -> Iterator[None]:
    """Hold the lock of an output, by whichever name it goes.

    Where the file system has no locks (some NFS mounts), a warning says so, and nothing is held.

    Args:
        path: The output.
        name: What an error calls it: the option that names it.

    Raises:
        InvalidValue: Another process holds the lock; who, where and since when.
        OSError: The lock file cannot be made.
    """
    real = real_path(path)
    lock = real.with_name(f".{real.name}.lock")
    with _naming(lock):
        descriptor = _acquired(lock)
    if descriptor is None:
        holder = _holder(lock)
        raise InvalidValue(name, str(path), f"free: {holder} writes it; wait until that ends, or name another file")
    try:
        since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        with contextlib.suppress(OSError):  # a full disk: the lock holds without its note
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {platform.node()} since {since}\n".encode(), 0)
        yield
    finally:
        with contextlib.suppress(OSError):
            lock.unlink()  # while it is held, or another's file might be removed
        os.close(descriptor)


def _acquired(lock: Path) -> int | None:
    """A descriptor of the lock file with the lock held; None where another process holds it."""
    while True:
        descriptor = _opened(lock)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                os.close(descriptor)
                raise
            _log.warning("%s cannot be locked (%s): let no other process write here", lock, error.strerror)
            return descriptor
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), lock.stat()):
                return descriptor
        os.close(descriptor)  # the holder before removed the file that was opened here


def _opened(lock: Path) -> int:
    flags = os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(lock, flags | os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:  # left behind by a process of another user
        return os.open(lock, flags | os.O_RDONLY)


def _holder(lock: Path) -> str:
    try:
        note = lock.read_bytes()[:200].decode("ascii", "replace").strip()
    except OSError:
        note = ""
    return note if note and note.isprintable() else "another process"


def _write_synced(path: Path, content: Content, *, like: Path) -> None:
    """Write a new file with the mode and the owner of the file that it will replace, if there is one."""
    try:
        before = like.stat()
    except FileNotFoundError:
        before = None
    created = 0o666 if before is None else 0o600  # nobody may read it before it has the mode of the other
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, created)
    with os.fdopen(descriptor, "wb") as file:
        if before is not None:
            if (before.st_uid, before.st_gid) != (os.getuid(), os.getgid()):
                with contextlib.suppress(OSError):  # only root may give files away
                    os.fchown(descriptor, before.st_uid, before.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
        for chunk in [content] if isinstance(content, bytes) else content:
            file.write(chunk)
        file.flush()
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    """Make the renames in a folder last, where the file system can do that for folders."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:  # a folder that may be written to but not listed
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    finally:
        os.close(descriptor)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(2**20):
        yield chunk


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let an error name this path rather than a temporary one, or none."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
