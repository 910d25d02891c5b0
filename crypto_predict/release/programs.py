"""Run the programs that a release needs: git, docker, gh, curl."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

from crypto_predict.errors import ReleaseFailed

MOST_SHOWN = 2_000  # characters of what a program wrote to standard error


class ProgramFailed(ReleaseFailed):
    """A program ended with an exit code other than 0; `complaint` is the end of what it wrote to standard error."""

    def __init__(self, words: Sequence[str], code: int, complaint: str) -> None:
        super().__init__(f"{' '.join(words[:3])} ... ended with {code}: {complaint}")
        self.code = code
        self.complaint = complaint


def output_of(
    *words: str, seconds: float = 120, stdin: str = "", environ: Mapping[str, str] | None = None, both: bool = False
) -> str:
    """Return what a program writes to standard output.

    Args:
        words: The program and its arguments. Every user of the machine can see them: pass secrets by `stdin`.
        seconds: Time limit.
        stdin: What the program reads from standard input.
        environ: Variables in addition to this process's own.
        both: Append what the program writes to standard error.

    Raises:
        ProgramFailed: The program ended with a code other than 0.
        ReleaseFailed: The program is not installed, or exceeded the time limit.
    """
    env = {**os.environ, **(environ or {})}
    try:
        done = subprocess.run(  # noqa: S603 no shell reads the words
            words, input=stdin, capture_output=True, text=True, errors="replace", timeout=seconds, check=False, env=env
        )
    except FileNotFoundError as error:
        raise ReleaseFailed(f"{words[0]} is needed and not installed") from error
    except subprocess.TimeoutExpired as error:
        raise ReleaseFailed(f"{' '.join(words[:3])} ... did not end within {seconds:.0f} s") from error
    if done.returncode:
        raise ProgramFailed(words, done.returncode, done.stderr.strip()[-MOST_SHOWN:])
    return done.stdout + done.stderr if both else done.stdout
