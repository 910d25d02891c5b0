"""The workflow job around a command: its outputs, its log, and its page, in Markdown as GitHub shows it.

`environ` is the environment of the command; GitHub documents its variables under "Workflow commands for GitHub
Actions". On a terminal all is printed. What comes from outside is text on the page and in the log, never markup.
"""

import re
import secrets
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from crypto_predict.errors import InvalidValue

Environ = Mapping[str, str]

# Every character that may begin markup somewhere: all but letters, digits and harmless ones, a full stop outside of a
# number (lists, addresses), and a hyphen in front (lists, lines).
_MARKUP = re.compile(r"""[^\w ,;:=?%'"(.-]|_|(?<![0-9])\.|\.(?![0-9])|^-""")


def set_outputs(environ: Environ, outputs: Mapping[str, str]) -> None:
    """Pass values to later steps as ``steps.ID.outputs.NAME``."""
    if path := environ.get("GITHUB_OUTPUT"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.writelines(_output(name, value) for name, value in outputs.items())


def add_summary(environ: Environ, markdown: str) -> None:
    """Show Markdown on the run's page."""
    if path := environ.get("GITHUB_STEP_SUMMARY"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{markdown.rstrip()}\n\n")
    else:
        print(markdown, file=sys.stderr)  # noqa: T201 a command's output


def warn(environ: Environ, message: str) -> None:
    """Show a warning on the run's page."""
    if environ.get("GITHUB_ACTIONS") == "true":
        escaped = message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        print(f"::warning::{escaped}", flush=True)  # noqa: T201 a workflow command
    else:
        print(f"warning: {message}", file=sys.stderr)  # noqa: T201 a command's output


def required(environ: Environ, name: str) -> str:
    """Return the value of an environment variable; raise `InvalidValue` if it is not set, or empty."""
    if value := environ.get(name, "").strip():
        return value
    raise InvalidValue(name, "", "set: this command needs it")


def one_line(text: str, most: int = 200) -> str:
    """Return text from outside as one printable line for the log, cut after `most` characters."""
    line = "".join(letter if letter.isprintable() else " " for letter in text[:most]).strip()
    # A runner executes `##[command]` at any position of a log line.
    return line.replace("##[", "## [") + ("..." if len(text) > most else "")


def escape(text: str, most: int = 300) -> str:
    """Return the text on one line, as text: without markup, links, mentions or invisible characters, cut at `most`."""
    line = _visible(text)
    cut = line if len(line) <= most else f"{line[: most - 3]}..."
    return _MARKUP.sub(lambda match: f"&#{ord(match[0])};", cut)


def code(text: str) -> str:
    """Return the text as code; nothing in it can end the code."""
    return f"`{_visible(text)[:300].replace('`', chr(39)).replace('|', '/') or '?'}`"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], aligned: str) -> str:
    """Return a table; `aligned` has ``<`` or ``>`` for each column. Cells are Markdown already."""
    rule = ["---:" if side == ">" else "---" for side in aligned]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def bullets(items: Sequence[str]) -> str:
    """Return a list; items are Markdown already."""
    return "\n".join(f"- {item}" for item in items)


def _output(name: str, value: str) -> str:
    """Return one output as GitHub reads it; several lines stand between random marks that no value can contain."""
    if "\n" not in value and "\r" not in value:
        return f"{name}={value}\n"
    mark = f"end_{secrets.token_hex(16)}"
    return f"{name}<<{mark}\n{value}\n{mark}\n"


def _visible(text: str) -> str:
    """Return the text on one line, with ``?`` for every character of the Unicode categories C."""
    line = " ".join(text.split())
    return "".join("?" if unicodedata.category(character).startswith("C") else character for character in line)
