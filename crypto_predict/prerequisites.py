"""Check the Python version and the packages before a command imports anything else, and import large ones quickly.

This file must run on older Python 3 versions too.
"""

import contextlib
import gc
import sys
from collections.abc import Iterator
from pathlib import Path

OLDEST = (3, 11)  # the Python that pyproject.toml names


@contextlib.contextmanager
def needed(program: str, requirements: str) -> Iterator[None]:
    """Exit with code 1 and one line if Python is too old or a package of the file `requirements` is missing."""
    advice = "type `make run`, which makes a virtual environment"
    interpreter = Path(".venv", "bin", "python")
    if (Path(__file__).parents[1] / interpreter).exists():
        advice = f"type `{interpreter} {program}`"
    if sys.version_info < OLDEST:
        sys.exit(f"{program}: error: this is Python {sys.version.split()[0]}, 3.11 or newer is needed; {advice}")
    try:
        yield
    except ModuleNotFoundError as error:
        missing = f"{sys.executable} does not have the package {error.name}"
        sys.exit(f"{program}: error: {missing}; {advice}, or install {requirements} with pip")


@contextlib.contextmanager
def quick_imports() -> Iterator[None]:
    """Import large libraries in two thirds of the time: without searches for garbage, of which an import makes little.

    What is imported stays until the process ends, so later searches, and the one at the end, leave it out.
    """
    enabled, loaded = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > loaded:
            gc.freeze()
        if enabled:
            gc.enable()


@contextlib.contextmanager
def without(library: str) -> Iterator[None]:
    """Import as if an optional library were not installed, unless it is imported already."""
    if library in sys.modules:
        yield
        return
    sys.modules[library] = None  # type: ignore[assignment]  # by which Python marks what cannot be imported
    try:
        yield
    finally:
        del sys.modules[library]
