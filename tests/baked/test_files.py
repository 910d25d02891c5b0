"""Atomic writes, and the lock of one writer at a time."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from crypto_predict.baked.files import (
    keep_aside,
    locked,
    real_path,
    remove_stale,
    stale_temporaries,
    temporary_for,
    write_atomically,
    write_in_order,
)
from crypto_predict.errors import InvalidValue
from tests.support.processes import child, line


@pytest.mark.parametrize("bits", [None, 0o600, 0o640, 0o444, 0o664])
def test_a_file_that_is_replaced_keeps_its_mode_and_owner(bits: int | None, tmp_path: Path) -> None:
    """A private file stays so, and a server keeps its own if root trains. A new file has the mode of the umask."""
    path, owner = tmp_path / "model.pkl", 65_532 if os.geteuid() == 0 else os.geteuid()  # only root may change it
    (tmp_path / "other").touch()
    expected = (tmp_path / "other").stat()
    if bits is not None:
        path.touch()
        path.chmod(bits)
        os.chown(path, owner, -1)
        expected = path.stat()
    write_atomically(path, (b"%d\n" % number for number in range(3)))
    assert path.read_bytes() == b"0\n1\n2\n"
    assert (path.stat().st_mode, path.stat().st_uid) == (expected.st_mode, expected.st_uid)


def test_a_failing_piece_leaves_all_files_unchanged(tmp_path: Path) -> None:
    """Both temporary files are complete before the first is renamed."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"old")

    def broken() -> bytes:
        raise ValueError("nothing more")

    with pytest.raises(ValueError, match="nothing more"):
        write_in_order({first: b"new", second: (broken() for _ in range(1))})
    assert first.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["first"]


def test_a_new_file_is_removed_again_if_the_last_one_cannot_be_renamed(tmp_path: Path) -> None:
    """The last is the commit point."""
    (tmp_path / "model.pkl").mkdir()
    with pytest.raises(OSError, match="Is a directory") as error:
        write_in_order({tmp_path / "ledger.jsonl": b"new", tmp_path / "model.pkl": b"new"})
    assert error.value.filename == str(tmp_path / "model.pkl"), "an error names the output, not a temporary file"
    assert [path.name for path in tmp_path.iterdir()] == ["model.pkl"]


def make_loop(path: Path) -> None:
    path.symlink_to(path.with_name("other"))
    path.with_name("other").symlink_to(path)


@pytest.mark.parametrize("make", [make_loop, Path.mkdir, lambda path: path.symlink_to("missing/folder/file")])
def test_a_path_that_cannot_be_replaced_raises_an_os_error(make: Callable[[Path], None], tmp_path: Path) -> None:
    """Not a RuntimeError, which some versions of Python raise for a loop of links."""
    path = tmp_path / "model.pkl"
    make(path)
    assert make is not make_loop or real_path(path) == real_path(tmp_path) / path.name
    before = sorted(os.listdir(tmp_path))  # noqa: PTH208 names are all that is needed
    with pytest.raises(OSError, match=r"model\.pkl"):
        write_atomically(path, b"new")
    assert sorted(os.listdir(tmp_path)) == before  # noqa: PTH208 as above


def test_temporary_files_of_a_killed_process_are_found_and_removed(tmp_path: Path) -> None:
    """Only those of this output: another training may be writing another file beside it."""
    path = tmp_path / "model.pkl"
    mine, others = temporary_for(path), temporary_for(tmp_path / "other.pkl")
    for left in (mine, others):
        left.touch()
    assert stale_temporaries(path) == [mine]
    remove_stale(path)
    assert list(tmp_path.iterdir()) == [others]


def test_a_file_that_is_kept_aside_survives_its_replacement(tmp_path: Path) -> None:
    path, aside = tmp_path / "ledger.jsonl", tmp_path / "ledger.1.jsonl"
    path.write_bytes(b"old")
    keep_aside(path, aside)
    keep_aside(path, aside)
    write_atomically(path, b"new")
    assert (path.read_bytes(), aside.read_bytes()) == (b"new", b"old")


HOLD = """
import sys
from pathlib import Path
from crypto_predict.baked.files import locked
with locked(Path(sys.argv[1]), "--output"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("alias", ["model.pkl", "link.pkl", "folder/model.pkl"])
def test_all_links_to_an_output_share_its_lock(alias: str, tmp_path: Path) -> None:
    path, name = tmp_path / "model.pkl", tmp_path / alias
    (tmp_path / "link.pkl").symlink_to(path)
    (tmp_path / "folder").symlink_to(tmp_path)
    with child(HOLD, str(path)) as holder:
        assert line(holder) == "held"
        message = rf"is not free: process {holder.pid} on .+ since 2\d\d\d-.+ UTC writes it"
        with pytest.raises(InvalidValue, match=message), locked(name, "--output"):
            pass
        with locked(tmp_path / "other.pkl", "--output"):
            pass
        holder.communicate()  # it ends with its standard input
        with locked(name, "--output"):
            pass
    assert not list(tmp_path.glob(".*"))


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path: Path) -> None:
    """The lock file that is left behind locks nothing."""
    path = tmp_path / "model.pkl"
    with child(HOLD, str(path)) as holder:
        assert line(holder) == "held"
        holder.kill()
    assert [left.name for left in tmp_path.iterdir()] == [".model.pkl.lock"]
    with locked(path, "--output"):
        pass
    assert list(tmp_path.iterdir()) == []


COUNT = """
import sys, time
from pathlib import Path
from crypto_predict.baked.files import locked
from crypto_predict.errors import InvalidValue
path, done = Path(sys.argv[1]), 0
while done < 30:
    try:
        with locked(path, "--output"):
            count = int(path.read_text())
            time.sleep(0.001)
            path.write_text(str(count + 1))
            done += 1
    except InvalidValue:
        pass
"""


def test_two_processes_never_hold_the_lock_at_once(tmp_path: Path) -> None:
    """The lock file is removed and created again all the time; still only one process holds the lock."""
    path = tmp_path / "count"
    path.write_text("0")
    with ExitStack() as stack:
        workers = [stack.enter_context(child(COUNT, str(path))) for _ in range(3)]
        assert [worker.wait(timeout=100) for worker in workers] == [0, 0, 0]
    assert path.read_text() == "90"
