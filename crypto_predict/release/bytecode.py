"""Byte-compiles what a program imports, for an image in which nothing can be written when it runs.

``python bytecode.py FOLDER MODULE ...`` imports the modules and compiles whatever that loads, the standard library too,
into FOLDER: what ``PYTHONPYCACHEPREFIX`` has to name when the program is run. Official images of Python carry the
standard library without byte code, so that every start of a container would compile it again.

Run as a file of its own, it needs nothing else of this project, and so it leaves none of it in FOLDER.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import py_compile
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path


def main(arguments: Sequence[str]) -> int:
    """Compile what was asked for and say how many modules that were; returns the exit code."""
    parser = argparse.ArgumentParser(description="byte-compile all that importing these modules loads")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="what PYTHONPYCACHEPREFIX will name")
    parser.add_argument("modules", nargs="+", metavar="MODULE", help="what the program imports")
    options = parser.parse_args(arguments)
    compiled = compile_into(options.folder, sources_of(options.modules))
    print(f"compiled {compiled} modules into {options.folder}")  # noqa: T201 a command's output
    return 0


def sources_of(names: Iterable[str]) -> list[Path]:
    """The source files of every module that is loaded once these have been imported, this program itself excepted.

    Raises:
        ImportError: One of them cannot be imported.
    """
    for name in names:
        importlib.import_module(name)
    return sorted(set(_loaded_sources()))


def compile_into(folder: Path, sources: Iterable[Path]) -> int:
    """Byte-compile these files where Python looks for them when `folder` is its cache; returns how many they were.

    The byte code is taken as it is, whatever has become of the time of its source: copying files into an image may
    change that.

    Raises:
        py_compile.PyCompileError: One is no Python.
        OSError: One cannot be read, or `folder` cannot be written.
    """
    prefix, sys.pycache_prefix = sys.pycache_prefix, os.fspath(folder.absolute())
    try:
        return len([_compiled(source) for source in sources])
    finally:
        sys.pycache_prefix = prefix


def _loaded_sources() -> Iterator[Path]:
    for module in list(sys.modules.values()):
        spec = getattr(module, "__spec__", None)  # the program that runs has none
        if spec is not None and spec.has_location and str(spec.origin).endswith(".py"):
            yield Path(spec.origin)


def _compiled(source: Path) -> Path:
    target = importlib.util.cache_from_source(os.fspath(source))
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(os.fspath(source), target, doraise=True, invalidation_mode=mode)
    return Path(target)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
