"""The built files of the page, which ``make page`` writes. Their names have a hash of the content.

Without them the page has neither scripts nor style; it is readable, since everything important is in its text.
"""

import re
from dataclasses import dataclass
from pathlib import Path

BUILT = Path(__file__).parent / "built"

NOTICE = "NOTICE"  # the file with the notice

# The system's own table of types would depend on the machine.
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}

_NAME = re.compile(r"(?P<name>[a-z]+)-[A-Z0-9]{8}(?P<type>\.[a-z]+)")


@dataclass(frozen=True, slots=True)
class Assets:
    """The built files of a folder."""

    folder: Path
    files: dict[str, str]  # by the name without the hash: {"main.js": "main-4TRZXC7Q.js"}
    notice: str = ""  # that the libraries in them ask a page to show

    def read(self, file: str) -> tuple[bytes, bytes | None]:
        """Return a file, and its Brotli (RFC 7932) if that was made; raise `OSError` if a new build has removed it."""
        compressed = self.folder / f"{file}.br"
        return (self.folder / file).read_bytes(), compressed.read_bytes() if compressed.exists() else None


def find(folder: Path = BUILT) -> Assets:
    """Return the built files of a folder; none if nothing has been built."""
    names = sorted(path.name for path in folder.glob("*")) if folder.is_dir() else []
    matches = [match for match in map(_NAME.fullmatch, names) if match and match["type"] in TYPES]
    notice = (folder / NOTICE).read_text(encoding="utf-8") if NOTICE in names else ""
    return Assets(folder, {match["name"] + match["type"]: match[0] for match in matches}, notice.strip())
