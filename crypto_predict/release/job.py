"""The workflow's job around a command. On a terminal there is none, and everything goes to the terminal."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crypto_predict.errors import InvalidValue


@dataclass(frozen=True, slots=True)
class Job:
    """What a command knows of its surroundings: the environment, and where results go.

    GitHub names the files for outputs and summary in the environment; see "Workflow commands for GitHub Actions" in its
    documentation.
    """

    environ: Mapping[str, str]

    def set_outputs(self, outputs: Mapping[str, str]) -> None:
        """Hand values on to later steps as ``steps.ID.outputs.NAME``; outside of a job nobody reads them."""
        if path := self.environ.get("GITHUB_OUTPUT"):
            _append(Path(path), "".join(_output(name, value) for name, value in outputs.items()))

    def add_summary(self, markdown: str, *, is_the_result: bool = False) -> None:
        """Show Markdown on the run's page. Outside of a job it is told, or printed where it is what was asked for."""
        if path := self.environ.get("GITHUB_STEP_SUMMARY"):
            _append(Path(path), f"{markdown.rstrip()}\n\n")
        else:
            print(markdown, file=sys.stdout if is_the_result else sys.stderr)

    def warn(self, message: str) -> None:
        """Say what a person should see though nothing failed; in a job it is shown on the run's page."""
        if self.environ.get("GITHUB_ACTIONS") == "true":
            print(f"::warning::{_escaped(message)}", flush=True)  # noqa: T201 how a workflow is spoken to
        else:
            print(f"warning: {message}", file=sys.stderr)  # noqa: T201 a command's output

    def required(self, name: str, purpose: str) -> str:
        """The value of an environment variable that there must be.

        Raises:
            InvalidValue: It is absent or empty; `purpose` says what it is needed for.
        """
        if value := self.environ.get(name):
            return value
        raise InvalidValue(name, "", f"set, though it is needed {purpose}")


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def _output(name: str, value: str) -> str:
    """One output as GitHub reads it; a value of several lines stands between marks that it cannot contain by chance."""
    if "\n" not in value and "\r" not in value:
        return f"{name}={value}\n"
    mark = f"end_{secrets.token_hex(16)}"
    return f"{name}<<{mark}\n{value}\n{mark}\n"


def _escaped(message: str) -> str:
    """A message on one line, as workflow commands want it."""
    return message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
