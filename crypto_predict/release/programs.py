"""Running the programs that a release needs: git, docker, skopeo."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from crypto_predict.errors import ReleaseFailed

MOST_SHOWN = 2_000  # characters of what a program complained


class ProgramFailed(ReleaseFailed):
    """A program ended with an exit code other than 0; `complaint` is the end of what it wrote to standard error."""

    def __init__(self, words: Sequence[str], code: int, complaint: str) -> None:
        super().__init__(f"{' '.join(words[:3])} ... ended with {code}: {complaint}")
        self.code = code
        self.complaint = complaint


def output_of(*words: str, seconds: float = 120, folder: Path | None = None, both: bool = False) -> str:
    """What a program writes to standard output.

    Args:
        words: The program and its arguments, none of them secret.
        seconds: After which it is ended.
        folder: Where it runs; None: here.
        both: What it writes to standard error is wanted too, after the rest.

    Raises:
        ProgramFailed: It ended with another code than 0.
        ReleaseFailed: It is not installed, or took too long.
    """
    try:
        done = subprocess.run(  # noqa: S603 no shell reads the words
            words, capture_output=True, text=True, errors="replace", timeout=seconds, check=False, cwd=folder
        )
    except FileNotFoundError as error:
        raise ReleaseFailed(f"{words[0]} is needed and not installed") from error
    except subprocess.TimeoutExpired as error:
        raise ReleaseFailed(f"{' '.join(words[:3])} ... did not end within {seconds:.0f} s") from error
    if done.returncode:
        raise ProgramFailed(words, done.returncode, done.stderr.strip()[-MOST_SHOWN:])
    return done.stdout + done.stderr if both else done.stdout
