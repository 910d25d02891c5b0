"""What a release asks of a git repository."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crypto_predict.errors import ReleaseFailed
from crypto_predict.release.programs import ProgramFailed, output_of

_TAGS = "refs/tags/"
_PEELED = "^{}"  # how git marks the line that tells what an annotated tag leads to


@dataclass(frozen=True, slots=True)
class Repository:
    """A git repository with all its history, the working tree of which `folder` is or lies in."""

    folder: Path

    def require_whole(self) -> None:
        """Refuse what no version can be read from.

        Raises:
            ReleaseFailed: There is no repository, no commit, no git, or only the newest part of the history.
        """
        if self._ask("rev-parse", "--is-shallow-repository") == "true":
            raise ReleaseFailed(
                f"the clone in {self.folder} is shallow: it lacks the tags and commits that decide the version; "
                "check out with fetch-depth: 0, or run git fetch --unshallow --tags"
            )

    def head(self) -> str:
        """The commit that is checked out.

        Raises:
            ReleaseFailed: There is no repository, or no commit in it.
        """
        try:
            return self._ask("rev-parse", "--verify", "HEAD^{commit}")
        except ProgramFailed as error:
            raise ReleaseFailed(f"{self.folder} has no commit that is checked out: {error.complaint}") from error

    def tags(self) -> Mapping[str, str]:
        """Every tag by its name, and the object that it leads to, through annotations: as a rule a commit.

        Raises:
            ReleaseFailed: There is no repository.
        """
        try:
            lines = self._ask("show-ref", "--tags", "--dereference").splitlines()
        except ProgramFailed as error:
            if error.code == 1 and not error.complaint:  # there are none
                return {}
            raise
        found = (line.partition(" ") for line in lines)
        return {name.removeprefix(_TAGS).removesuffix(_PEELED): target for target, _, name in found}

    def is_commit(self, target: str) -> bool:
        """Whether a tag's object is one.

        Raises:
            ReleaseFailed: There is no such object.
        """
        return self._ask("cat-file", "-t", target) == "commit"

    def messages(self, since: str | None) -> list[str]:
        """The messages of all commits that lead to what is checked out, the newest first.

        Args:
            since: A commit; what leads to it is left out. None: nothing is.

        Raises:
            ReleaseFailed: There is no such commit.
        """
        reach = "HEAD" if since is None else f"{since}..HEAD"
        # Whatever the user's git is set to show beside a message, it must not be taken for one.
        plain = ("--no-show-signature", "--encoding=UTF-8")
        # NUL stands in no message, and every message ends with it.
        return self._ask("log", "-z", "--format=tformat:%B", *plain, reach, "--").split("\0")[:-1]

    def _ask(self, *words: str) -> str:
        """What git answers, without the line break at its end."""
        return output_of("git", "-C", str(self.folder), *words).rstrip("\n")
