"""Real git repositories for tests, independent of the user's settings."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

_PERSON = {"NAME": "A Person", "EMAIL": "person@example.org", "DATE": "2024-05-18T12:10:47Z"}
_PERSONS = {f"GIT_{role}_{name}": value for role in ("AUTHOR", "COMMITTER") for name, value in _PERSON.items()}
OWN_SETTINGS = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository in `folder`."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, *messages: str) -> Repository:
        """Make a repository with a commit for each message."""
        folder.mkdir(parents=True)
        repository = cls(folder)
        repository.git("init", "--quiet", "--initial-branch=main")
        for message in messages:
            repository.commit(message)
        return repository

    def git(self, *words: str, given: bytes = b"") -> str:
        """Return the output of git."""
        return self.raw(*words, given=given).decode(errors="replace").rstrip("\n")

    def raw(self, *words: str, given: bytes = b"") -> bytes:
        """Return the output of git as bytes."""
        surroundings = {**os.environ, **_PERSONS, **OWN_SETTINGS}
        command = ["git", "-C", str(self.folder), *words]
        return subprocess.run(command, input=given, env=surroundings, capture_output=True, check=True).stdout

    def commit(self, message: str | bytes) -> str:
        """Make an empty commit with exactly this message; return its hash."""
        given = message if isinstance(message, bytes) else message.encode()
        options = ("--quiet", "--allow-empty", "--allow-empty-message", "--cleanup=verbatim")
        self.git("commit", *options, "-F-", given=given)
        return self.head()

    def put(self, message: bytes, headers: str = "") -> None:
        """Write a commit object directly, with additional headers or with bytes that `git commit` refuses."""
        person = "A Person <person@example.org> 1716034247 +0000"
        origin = f"tree {self.git('rev-parse', 'HEAD^{tree}')}\nparent {self.head()}\n"
        text = f"{origin}author {person}\ncommitter {person}\n{headers}\n".encode() + message
        made = self.git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", given=text)
        self.git("update-ref", "HEAD", made)

    def head(self) -> str:
        """Return the commit that is checked out."""
        return self.git("rev-parse", "HEAD")

    def tag(self, name: str, target: str = "HEAD", *, annotated: bool = False) -> None:
        """Put a tag on an object."""
        self.git("tag", *(["-a", "-m", "an annotation"] if annotated else []), name, target)

    def branch(self, name: str, start: str) -> None:
        """Create a branch at `start`, and check it out."""
        self.git("checkout", "--quiet", "-b", name, start)

    def orphan(self, name: str) -> None:
        """Create a branch without history."""
        self.git("checkout", "--quiet", "--orphan", name)

    def clone(self, folder: Path, *options: str) -> Repository:
        """Make a clone by the transport protocol."""
        self.git("clone", "--quiet", *options, f"file://{self.folder}", str(folder))
        return Repository(folder)
