"""Check what the commands need before they import anything else: Python 3.11 and the locked packages.

The syntax of this file is that of older Python 3 versions, which must be able to run it.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

OLDEST = (3, 11)  # the Python that pyproject.toml names

_ROOT = Path(__file__).parents[1]


@contextlib.contextmanager
def needed(program: str, requirements: str) -> Iterator[None]:
    """Exit with code 1 and one line if Python is too old or a package is missing.

    Args:
        program: The command, as in ``train.py``.
        requirements: The file that locks its packages.
    """
    if sys.version_info < OLDEST:
        sys.exit(
            f"{program}: error: this is Python {sys.version.split()[0]}, 3.11 or newer is needed; {_advice(program)}"
        )
    try:
        yield
    except ModuleNotFoundError as error:
        sys.exit(
            f"{program}: error: {sys.executable} does not have the package {error.name}; {_advice(program)},"
            f" or install {requirements} with pip"
        )


def _advice(program: str) -> str:
    interpreter = Path(".venv", "bin", "python")
    if (_ROOT / interpreter).exists():
        return f"type `{interpreter} {program}`"
    return "type `make run`, which makes a virtual environment"
