"""Byte code made while an image is built, as Python takes it when the image is run: in a folder it cannot write."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving import ROOT

PROGRAM = ROOT / "crypto_predict" / "release" / "bytecode.py"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A folder with a program of two modules, one of which uses the standard library."""
    folder = tmp_path / "program"
    (folder / "parts").mkdir(parents=True)
    (folder / "parts" / "__init__.py").write_text("")
    (folder / "parts" / "inner.py").write_text("import colorsys\nANSWER = 42\n")
    (folder / "outer.py").write_text("from parts.inner import ANSWER\nprint(ANSWER)\n")
    (folder / "unused.py").write_text("raise SystemExit('nobody imports this')\n")
    return folder


def python(*arguments: str, path: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Python with modules from this folder."""
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(path), **environ}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=variables, check=False)


def compiled(program: Path, into: Path, *modules: str) -> set[str]:
    """Compile what these modules import; the sources whose byte code was made."""
    done = python("-B", str(PROGRAM), str(into), *modules, path=program)
    assert done.returncode == 0, done.stderr
    return sources_in(into)


def sources_in(cache: Path) -> set[str]:
    """Which sources have byte code in there: ``outer``, for ``outer.cpython-311.pyc``."""
    return {str(path.relative_to(cache).with_suffix("").with_suffix("")) for path in cache.rglob("*.pyc")}


def test_everything_that_is_imported_is_compiled_and_nothing_else(program: Path, tmp_path: Path) -> None:
    """The standard library too: official images carry it without byte code."""
    made = compiled(program, tmp_path / "cache", "outer")
    ours = str(program).lstrip("/")
    assert {f"{ours}/outer", f"{ours}/parts/__init__", f"{ours}/parts/inner"} <= made
    assert any(name.endswith("/colorsys") for name in made)
    assert f"{ours}/unused" not in made
    assert not any(name.endswith("/bytecode") for name in made)
    assert list(program.rglob("*.pyc")) == []


def test_python_takes_it_and_compiles_nothing_again(program: Path, tmp_path: Path) -> None:
    """Where it may write: what it lacked would appear."""
    cache = tmp_path / "cache"
    before = compiled(program, cache, "outer")
    done = python("-c", "import outer", path=program, PYTHONPYCACHEPREFIX=str(cache))
    assert done.stdout == "42\n"
    assert sources_in(cache) == before


def test_it_is_taken_although_its_source_has_another_time_and_size(program: Path, tmp_path: Path) -> None:
    """Copying files into an image may change their times, and nothing in an image is ever edited."""
    cache = tmp_path / "cache"
    compiled(program, cache, "outer")
    (program / "parts" / "inner.py").write_text("ANSWER = 'of the source'\n")
    done = python("-c", "import outer", path=program, PYTHONPYCACHEPREFIX=str(cache))
    assert done.stdout == "42\n"


def test_the_same_sources_make_the_same_bytes(program: Path, tmp_path: Path) -> None:
    """So that two builds of one commit share their layers."""
    contents = []
    for name in ("one", "two"):
        compiled(program, tmp_path / name, "outer")
        made = sorted((tmp_path / name).rglob("*.pyc"))
        contents.append([path.read_bytes() for path in made])
        (program / "outer.py").touch()
    assert contents[0] == contents[1]


def test_a_module_that_is_not_there_ends_it(program: Path, tmp_path: Path) -> None:
    """A build that went on would make an image that starts slowly, and nobody would know why."""
    done = python(str(PROGRAM), str(tmp_path / "cache"), "outer", "no_such_module", path=program)
    assert done.returncode != 0
    assert "no_such_module" in done.stderr


def test_this_interpreter_keeps_its_own_cache(program: Path, tmp_path: Path) -> None:
    """Called as a function it leaves no trace."""
    from crypto_predict.release import bytecode  # noqa: PLC0415 the other tests run it as a file of its own

    before = importlib.util.cache_from_source("/app/api.py")
    assert bytecode.compile_into(tmp_path / "cache", [program / "outer.py"]) == 1
    assert importlib.util.cache_from_source("/app/api.py") == before
