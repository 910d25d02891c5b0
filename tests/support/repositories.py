"""Real git repositories for tests, the same whoever runs them."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

_PERSON = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (
        ("NAME", "A Person"),
        ("EMAIL", "person@example.org"),
        ("DATE", "2024-05-18T12:10:47Z"),
    )
}
_OWN_SETTINGS = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository in `folder`."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, *messages: str) -> Repository:
        """A new one, with a commit for each message."""
        folder.mkdir(parents=True)
        repository = cls(folder)
        repository.git("init", "--quiet", "--initial-branch=main")
        for message in messages:
            repository.commit(message)
        return repository

    def git(self, *words: str, given: bytes = b"") -> str:
        """What git answers."""
        return self.raw(*words, given=given).decode(errors="replace").rstrip("\n")

    def raw(self, *words: str, given: bytes = b"") -> bytes:
        """The bytes that git answers."""
        surroundings = {**os.environ, **_PERSON, **_OWN_SETTINGS}
        command = ["git", "-C", str(self.folder), *words]
        return subprocess.run(command, input=given, env=surroundings, capture_output=True, check=True).stdout

    def commit(self, message: str | bytes) -> str:
        """Commit nothing but this message, to the byte; the commit's name."""
        given = message if isinstance(message, bytes) else message.encode()
        self.git(
            "commit", "--quiet", "--allow-empty", "--allow-empty-message", "--cleanup=verbatim", "-F-", given=given
        )
        return self.head()

    def put(self, message: bytes, headers: str = "") -> None:
        """Commit as whoever writes objects by hand can, with more headers or with bytes that git would not let pass."""
        person = "A Person <person@example.org> 1716034247 +0000"
        origin = f"tree {self.git('rev-parse', 'HEAD^{tree}')}\nparent {self.head()}\n"
        text = f"{origin}author {person}\ncommitter {person}\n{headers}\n".encode() + message
        made = self.git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", given=text)
        self.git("update-ref", "HEAD", made)

    def head(self) -> str:
        """The commit that is checked out."""
        return self.git("rev-parse", "HEAD")

    def tag(self, name: str, target: str = "HEAD", *, annotated: bool = False) -> None:
        """Tag something."""
        self.git("tag", *(["-a", "-m", "an annotation"] if annotated else []), name, target)

    def branch(self, name: str, start: str) -> None:
        """Begin a branch somewhere, and check it out."""
        self.git("checkout", "--quiet", "-b", name, start)

    def orphan(self, name: str) -> None:
        """Begin a branch that has nothing to do with the others."""
        self.git("checkout", "--quiet", "--orphan", name)

    def clone(self, folder: Path, *options: str) -> Repository:
        """A clone, made as over a network."""
        self.git("clone", "--quiet", *options, f"file://{self.folder}", str(folder))
        return Repository(folder)
