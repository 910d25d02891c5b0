"""Locks between processes, on files that name their holder.

A lock is advisory. The kernel releases it when the process that holds it ends, so a lock file that is left behind locks
nothing, and the next holder removes it.
"""

import contextlib
import errno
import fcntl
import logging
import os
import platform
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOSYS})

_log = logging.getLogger(__name__)


def process_name() -> str:
    """Return the name of this process in messages to others: ``process 1234 on example``."""
    return f"process {os.getpid()} on {platform.node()}"


@contextlib.contextmanager
def holding(lock: Path, refused: Callable[[str], Exception]) -> Iterator[None]:
    """Hold a lock file inside the context; it is removed afterwards.

    If the file system does not support locks (some NFS mounts), log a warning and go on without one. `refused` returns
    the error to raise if the lock is held already, from its holder: process, host and time. An `OSError` names the
    file, if it cannot be made.
    """
    try:
        descriptor = _acquire(lock)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(lock)) from error
    if descriptor is None:
        raise refused(_holder(lock))
    try:
        since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        with contextlib.suppress(OSError):  # on a full disk the lock is held without a note
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{process_name()} since {since}\n".encode(), 0)
        yield
    finally:
        with contextlib.suppress(OSError):
            lock.unlink()  # while the lock is held: otherwise the file of the next holder might be removed
        os.close(descriptor)


def _acquire(lock: Path) -> int | None:
    """Lock the file and return its descriptor; None if another process holds the lock."""
    flags = os.O_CLOEXEC | os.O_NOFOLLOW
    while True:
        try:
            descriptor = os.open(lock, flags | os.O_RDWR | os.O_CREAT, 0o666)
        except PermissionError:  # left by a process of another user
            descriptor = os.open(lock, flags | os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                os.close(descriptor)
                raise
            _log.warning("%s cannot be locked (%s): make sure that no other process writes here", lock, error.strerror)
            return descriptor
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), lock.stat()):
                return descriptor
        os.close(descriptor)  # the previous holder has removed this file: try again


def _holder(lock: Path) -> str:
    with contextlib.suppress(OSError):
        note = lock.read_bytes()[:200].decode("ascii", "replace").strip()
        if note and note.isprintable():
            return note
    return "another process"
