"""What a release asks of a git repository."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crypto_predict.errors import ReleaseFailed
from crypto_predict.release.programs import ProgramFailed, output_of

MAIN = "refs/remotes/origin/main"  # where actions/checkout with fetch-depth: 0 puts the tip of main
_TAGS = "refs/tags/"
_PEELED = "^{}"  # ends the line that names the target of an annotated tag


@dataclass(frozen=True, slots=True)
class Repository:
    """A git repository; `folder` is its working tree or lies in it."""

    folder: Path

    def require_whole(self) -> None:
        """Raise `ReleaseFailed` if this is not a repository, or only a shallow clone."""
        if self.ask("rev-parse", "--is-shallow-repository") == "true":
            raise ReleaseFailed(
                f"the clone in {self.folder} is shallow: it lacks the tags and commits that decide the version; "
                "check out with fetch-depth: 0, or run git fetch --unshallow --tags"
            )

    def head(self) -> str:
        """Return the commit that is checked out; raise `ReleaseFailed` if there is none."""
        return self.ask("rev-parse", "HEAD^{commit}")

    def main(self) -> str | None:
        """Return the tip of main as it was fetched; None if it was not."""
        return self.ask("for-each-ref", "--format=%(objectname)", MAIN) or None

    def tags(self) -> Mapping[str, str]:
        """Return every tag by name, and the object that it points to, usually a commit."""
        # With --head there is always something to show, and the command does not fail if there are no tags.
        lines = self.ask("show-ref", "--head", "--tags", "--dereference").splitlines()
        found = (line.partition(f" {_TAGS}") for line in lines)
        return {name.removesuffix(_PEELED): target for target, _, name in found if name}

    def is_commit(self, target: str) -> bool:
        """Return whether the object exists and is a commit."""
        return self._succeeds("cat-file", "-e", f"{target}^{{commit}}")

    def contains(self, commit: str, ancestor: str) -> bool:
        """Return whether `ancestor` is `commit` or comes before it; False for an unknown ancestor."""
        return self._succeeds("merge-base", "--is-ancestor", ancestor, commit)

    def messages(self, since: str | None) -> list[str]:
        """Return the messages of the commits after `since` up to HEAD, newest first; of all if `since` is None."""
        reach = "HEAD" if since is None else f"{since}..HEAD"
        # NUL cannot stand in a message, and each message ends with it. Signatures must not be read as messages.
        plain = ("-z", "--format=tformat:%B", "--no-show-signature", "--encoding=UTF-8")
        return self.ask("log", *plain, reach, "--").split("\0")[:-1]

    def _succeeds(self, *words: str) -> bool:
        try:
            self.ask(*words)
        except ProgramFailed:
            return False
        return True

    def ask(self, *words: str, environ: Mapping[str, str] | None = None) -> str:
        """Return the output of a git command without the line break at its end."""
        return output_of("git", "-C", str(self.folder), *words, environ=environ).rstrip("\n")
