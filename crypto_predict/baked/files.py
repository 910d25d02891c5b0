"""Reading and atomic writing of files, and the lock that lets one process at a time write them.

The content is written to a temporary file beside the target (``.model.pkl.1a2b3c4d.tmp``), synced, and renamed; then
the folder is synced. The lock is on a file beside it (``.model.pkl.lock``).
"""

import contextlib
import glob
import logging
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

from crypto_predict import locks
from crypto_predict.errors import InvalidValue

Content = bytes | Iterable[bytes]

_log = logging.getLogger(__name__)


def real_path(path: Path) -> Path:
    """Follow all symbolic links of a path; of a loop of links return the path itself."""
    return Path(os.path.realpath(path))  # Path.resolve raises for a loop, in some versions a RuntimeError


def temporary_for(path: Path) -> Path:
    """Return a new name for a temporary file beside `path`."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


@contextlib.contextmanager
def opened(
    path: Path, kind: str, most_bytes: int, if_absent: str, unusable: Callable[[str], Exception]
) -> Iterator[IO[bytes]]:
    """Open a regular file of at most `most_bytes`; raise `unusable(reason)` if it cannot be opened or read.

    The reason names the `kind` of file ("model"), and the advice `if_absent`.
    """
    try:
        status = path.stat()  # before opening, which waits for the writer of a pipe
        if not stat.S_ISREG(status.st_mode):
            raise unusable("it is not a regular file")
        if status.st_size > most_bytes:
            raise unusable(f"{status.st_size:,} bytes are more than a {kind} can have ({most_bytes:,})")
        with path.open("rb") as file:
            yield file
    except FileNotFoundError as error:
        raise unusable(f"the file does not exist; {if_absent}") from error
    except OSError as error:
        raise unusable(f"it cannot be read: {error.strerror}") from error


def write_atomically(path: Path, content: Content) -> None:
    """Write `content` to `path`. After an `OSError` the file is unchanged, and no temporary file is left.

    Of a symbolic link the target is replaced. A file keeps its mode and, where possible, its owner.
    """
    write_in_order({path: content})


def write_in_order(files: Mapping[Path, Content]) -> None:
    """Write files that belong together, like `write_atomically`; renaming the last one commits them.

    All temporary files are complete before the first is renamed. If a later rename fails, the files that did not exist
    before are removed again, and those that have been replaced stay. After an `OSError` the last one is unchanged,
    unless only syncing its folder failed.
    """
    temporaries: dict[Path, Path] = {}  # real path to temporary file
    new: list[Path] = []  # renamed, did not exist before
    try:
        for path, content in files.items():
            with _errors_name(path):
                real = real_path(path)
                temporaries[real] = temporary_for(real)
                _write_synced(temporaries[real], content, like=real)
        for real in list(temporaries):
            with _errors_name(real):
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
    """Keep the content of `path` under the name `aside` too, by a hard link or else by a copy."""
    real = real_path(path)
    if aside.exists():
        return
    with _errors_name(aside):
        try:
            aside.hardlink_to(real)
        except OSError:  # hard links are not supported, or only allowed to the owner
            temporary = temporary_for(real)
            with real.open("rb") as file:
                _write_synced(temporary, iter(lambda: file.read(2**20), b""), like=real)
            temporary.replace(aside)


def stale_temporaries(path: Path) -> list[Path]:
    """Return the temporary files of killed processes beside an output. Its lock must be held."""
    real = real_path(path)
    return sorted(real.parent.glob(f".{glob.escape(real.name)}.{'[0-9a-f]' * 8}.tmp"))


def remove_stale(path: Path) -> None:
    """Remove the `stale_temporaries` of an output."""
    for temporary in stale_temporaries(path):
        _log.warning("removing %s, which an earlier run left behind", temporary)
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: Path, name: str) -> Iterator[None]:
    """Hold the lock of an output, which all links to a file share; `name` is the option that names it, for errors.

    If another process holds it, `InvalidValue` names process, host and time; `OSError`: the file cannot be made.
    """
    real = real_path(path)

    def refused(holder: str) -> Exception:
        expected = f"free: {holder} writes it; wait until that process ends, or name another file"
        return InvalidValue(name, str(path), expected)

    with locks.holding(real.with_name(f".{real.name}.lock"), refused):
        yield


def _write_synced(path: Path, content: Content, *, like: Path) -> None:
    """Write a new file with the mode and the owner of the file that it will replace, if that exists."""
    before = None
    with contextlib.suppress(FileNotFoundError):
        before = like.stat()
    created = 0o666 if before is None else 0o600  # private until the mode is set below
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, created)
    with os.fdopen(descriptor, "wb") as file:
        if before is not None:
            if (before.st_uid, before.st_gid) != (os.getuid(), os.getgid()):
                with contextlib.suppress(OSError):  # only root may change the owner
                    os.fchown(descriptor, before.st_uid, before.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
        for chunk in [content] if isinstance(content, bytes) else content:
            file.write(chunk)
        file.flush()
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    """Make the renames in a folder durable, if the file system supports that."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:  # a folder that can be written to but not read
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in locks.UNSUPPORTED:
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _errors_name(path: Path) -> Iterator[None]:
    """Raise errors with this path instead of that of a temporary file."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
