"""The version of a commit, from tags and Conventional Commits, and the build: the version and one timestamp."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from crypto_predict.errors import ReleaseFailed
from crypto_predict.release.commits import Bump, bump_of, subject_of
from crypto_predict.release.git import Repository
from crypto_predict.release.sanitize import one_line
from crypto_predict.settings import instant_of_epoch
from crypto_predict.version import __version__
from crypto_predict.wording import counted

MOST_CHANGES = 30  # lines

_TAG = re.compile(r"v(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A semantic version, ordered as https://semver.org orders them."""

    major: int
    minor: int
    patch: int

    @classmethod
    def from_tag(cls, name: str) -> Version | None:
        """Return the version that a tag such as ``v0.3.1`` names; None for any other tag."""
        match = _TAG.fullmatch(name)
        return cls(*map(int, match.groups())) if match else None

    def raised(self, bump: Bump) -> Version:
        """Return the next version."""
        if bump is Bump.PATCH:
            return Version(self.major, self.minor, self.patch + 1)
        return Version(self.major, self.minor + 1, 0) if bump is Bump.MINOR else Version(self.major + 1, 0, 0)

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


FIRST = Version.from_tag(f"v{__version__}") or Version(0, 1, 0)  # of a repository without versions


def timestamp(environ: Mapping[str, str]) -> datetime:
    """Return the release's one timestamp, UTC in whole seconds: ``SOURCE_DATE_EPOCH`` if set, else now.

    Raises:
        InvalidValue: ``SOURCE_DATE_EPOCH`` is not a timestamp.
    """
    return instant_of_epoch(environ.get("SOURCE_DATE_EPOCH")) or datetime.now(UTC).replace(microsecond=0)


def release_of(repository: Repository, at: datetime) -> dict[str, str]:
    """Return what the commit that is checked out is released as, for the workflow to hand on.

    `tagged` is whether it bears its version's tag already, which proves that its tests passed; `changes` are the
    subjects of the commits since the highest tag, newest first, one a line. The timestamp `at` (UTC, whole seconds) is
    in `build`, `epoch` and `created`.

    Raises:
        ReleaseFailed: It is not a whole repository, or a later commit was released already.
    """
    repository.require_whole()
    head, tagged = repository.head(), _versions(repository)
    of_head = [version for version, target in tagged.items() if target == head]
    version, messages = (max(of_head), []) if of_head else _next_version(repository, head, tagged)
    return {
        "version": str(version),
        "tag": f"v{version}",
        "tagged": str(bool(of_head)).lower(),
        "build": f"{version}-{at:%Y%m%d%H%M%S}",
        "epoch": f"{at.timestamp():.0f}",
        "created": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "revision": head,
        "changes": "\n".join(_subjects(messages)),
    }


def _next_version(repository: Repository, head: str, tagged: Mapping[Version, str]) -> tuple[Version, list[str]]:
    """Return the version of a commit without a tag, and the messages of the commits that it brings."""
    last = next((one for one in sorted(tagged, reverse=True) if repository.is_commit(tagged[one])), None)
    base = tagged[last] if last else None
    if base and repository.contains(base, head) and head != repository.main():
        raise ReleaseFailed(f"{head} was released as part of v{last}: run the release of what main is now")
    messages = repository.messages(base)
    version = last.raised(bump_of(messages)) if last else FIRST
    while version in tagged:  # a tag of something that is not a commit
        version = version.raised(Bump.PATCH)
    _log.info("%s since %s: %s", counted(len(messages), "commit"), last or "the beginning", version)
    return version, messages


def _versions(repository: Repository) -> dict[Version, str]:
    """Return the tags that are versions, and the object that each points to; log the others."""
    read = [(name, Version.from_tag(name), target) for name, target in repository.tags().items()]
    if ignored := [name for name, version, _ in read if version is None]:
        _log.info("ignored, not of the form vX.Y.Z: %s", one_line(", ".join(ignored), 500))
    return {version: target for _, version, target in read if version}


def _subjects(messages: list[str]) -> list[str]:
    subjects = list(map(subject_of, messages[:MOST_CHANGES]))
    if len(messages) > MOST_CHANGES:
        subjects[-1] = f"... and {counted(len(messages) - MOST_CHANGES + 1, 'commit')} more"
    return subjects
