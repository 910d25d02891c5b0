"""What the commands need before they can import anything else: Python 3.11 and the locked packages.

Written so that an older Python 3 can read it, too.
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
    """End the process with 1 and one line where Python is too old or a package is missing.

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
