"""The version of a release, from tags and Conventional Commits; the build, from that and the one timestamp."""

from __future__ import annotations

import argparse
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from crypto_predict.errors import InvalidValue
from crypto_predict.release.commits import Bump, bump_of, subject_of
from crypto_predict.release.foreign import one_line
from crypto_predict.release.git import Repository
from crypto_predict.release.job import Job
from crypto_predict.settings import instant_of_epoch
from crypto_predict.version import __version__
from crypto_predict.wording import counted

SUMMARY = "Tell the version of a release, from Conventional Commits, and its one timestamp."
EXAMPLES = """\
  ... version --event push
  ... version --event schedule --repository checkout --json

A schedule keeps the version. Anything else raises it by what was committed since the highest tag vX.Y.Z: fix the patch,
feat the minor and a breaking change the major version. A commit that has such a tag keeps it.
outputs: version, tag, tagged (whether the tag exists already), build, epoch, created, revision, changes (subjects of
the commits since the highest tag, one a line)
"""

EVENTS = ("push", "schedule", "workflow_dispatch")
MOST_CHANGES = 30  # lines
MOST_IGNORED = 10  # names

_TAG = re.compile(r"v(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})")

_TIMESTAMP = "%Y%m%d%H%M%S"
_DIGITS = re.compile("[0-9]{14}")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A semantic version; compared as https://semver.org compares them."""

    major: int
    minor: int
    patch: int

    @classmethod
    def from_tag(cls, name: str) -> Self | None:
        """The version that a tag such as ``v0.3.1`` stands for; None where it stands for none."""
        match = _TAG.fullmatch(name)
        return cls(*map(int, match.groups())) if match else None

    @classmethod
    def parse(cls, name: str, text: str) -> Self:
        """Read ``0.3.1``, the value of what is called `name`.

        Raises:
            InvalidValue: It is no version.
        """
        if version := cls.from_tag(f"v{text}"):
            return version
        raise InvalidValue(name, text, "a semantic version such as 0.3.1")

    def raised(self, bump: Bump) -> Version:
        """The next version."""
        after = {
            Bump.MAJOR: Version(self.major + 1, 0, 0),
            Bump.MINOR: Version(self.major, self.minor + 1, 0),
            Bump.PATCH: Version(self.major, self.minor, self.patch + 1),
        }
        return after.get(bump, self)

    @property
    def tag(self) -> str:
        """The tag of the commit that it was first made from."""
        return f"v{self}"

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


@dataclass(frozen=True, slots=True, order=True)
class Build:
    """One release of a version: no two share their timestamp. Written ``0.3.1-20240518121047``."""

    version: Version
    at: datetime  # UTC, whole seconds

    @classmethod
    def parse(cls, name: str, text: str) -> Self:
        """Read what `__str__` writes, the value of what is called `name`.

        Raises:
            InvalidValue: It is no build.
        """
        begin, _, time = text.partition("-")
        version = Version.from_tag(f"v{begin}")
        try:
            at = datetime.strptime(f"{time}+0000", f"{_TIMESTAMP}%z") if _DIGITS.fullmatch(time) else None
        except ValueError:
            at = None
        if version is None or at is None:
            raise InvalidValue(name, text, "a version and a timestamp, such as 0.3.1-20240518121047")
        return cls(version, at)

    def __str__(self) -> str:
        return f"{self.version}-{self.at:{_TIMESTAMP}}"


@dataclass(frozen=True, slots=True)
class Release:
    """What is about to be released."""

    version: Version
    tagged: bool  # whether the version's tag exists already
    at: datetime  # UTC, whole seconds
    revision: str  # the commit
    changes: tuple[str, ...]  # subjects of the commits since the highest tag, the newest first

    @property
    def build(self) -> Build:
        """What the release calls itself."""
        return Build(self.version, self.at)

    def outputs(self) -> dict[str, str]:
        """As the workflow hands it on."""
        return {
            "version": str(self.version),
            "tag": self.version.tag,
            "tagged": str(self.tagged).lower(),
            "build": str(self.build),
            "epoch": f"{self.at.timestamp():.0f}",
            "created": f"{self.at:%Y-%m-%dT%H:%M:%SZ}",
            "revision": self.revision,
            "changes": "\n".join(self.changes),
        }


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--event", required=True, choices=EVENTS, help="what started the workflow")
    parser.add_argument(
        "--repository", type=Path, default=Path(), metavar="DIR", help="a checkout with all its history (default: here)"
    )


def run(options: argparse.Namespace, job: Job) -> Mapping[str, str]:
    """Tell the version; outputs it with tag, build and timestamp.

    Raises:
        InvalidValue: ``SOURCE_DATE_EPOCH`` is no timestamp.
        ReleaseFailed: There is no repository with commits, or only a shallow clone.
    """
    at = timestamp(job.environ)
    return release_of(Repository(options.repository), options.event, at).outputs()


def timestamp(environ: Mapping[str, str], clock: Callable[[], float] = time.time) -> datetime:
    """The release's one timestamp, in UTC and whole seconds: ``SOURCE_DATE_EPOCH``, or what the clock says.

    Raises:
        InvalidValue: ``SOURCE_DATE_EPOCH`` is no timestamp.
    """
    return instant_of_epoch(environ.get("SOURCE_DATE_EPOCH")) or datetime.fromtimestamp(int(clock()), UTC)


def release_of(repository: Repository, event: str, at: datetime) -> Release:
    """What is to be released from what is checked out.

    Raises:
        ReleaseFailed: There is no repository with commits, or only a shallow clone.
    """
    repository.require_whole()
    head = repository.head()
    tagged = _versions(repository.tags())
    base = _highest(repository, tagged)
    messages = repository.messages(tagged[base] if base else None)
    version = _version(event, base, [version for version, target in tagged.items() if target == head], messages)
    return Release(version, version in tagged, at, head, tuple(_changes(messages)))


def _version(event: str, base: Version | None, of_head: Sequence[Version], messages: Sequence[str]) -> Version:
    if of_head:
        return max(of_head)
    if base is None:
        _log.info("there is no version tag yet: the program's own version is the first")
        return Version.parse("__version__", __version__)
    bump = Bump.NONE if event == "schedule" else bump_of(messages)
    _log.info("%s since %s: %s", counted(len(messages), "commit"), base.tag, _reason(event, bump))
    return base.raised(bump)


def _reason(event: str, bump: Bump) -> str:
    if event == "schedule":
        return "a schedule keeps the version"
    return "nothing that asks for a new version" if bump is Bump.NONE else f"a new {bump.name.lower()} version"


def _versions(tags: Mapping[str, str]) -> dict[Version, str]:
    """The tags that are versions, and what they lead to."""
    read = [(name, Version.from_tag(name), target) for name, target in tags.items()]
    if ignored := [one_line(name) for name, version, _ in read if version is None]:
        more = f" and {len(ignored) - MOST_IGNORED} more" if len(ignored) > MOST_IGNORED else ""
        _log.info("tags that are no version vX.Y.Z, ignored: %s%s", ", ".join(ignored[:MOST_IGNORED]), more)
    return {version: target for _, version, target in read if version}


def _highest(repository: Repository, tagged: Mapping[Version, str]) -> Version | None:
    """The highest version of any commit, were it one that a rewritten history has left behind: none is given twice."""
    for version in sorted(tagged, reverse=True):
        if repository.is_commit(tagged[version]):
            return version
        _log.info("%s is a tag of something that is no commit, ignored", version.tag)
    return None


def _changes(messages: Sequence[str]) -> list[str]:
    subjects = list(map(subject_of, messages[:MOST_CHANGES]))
    if len(messages) > MOST_CHANGES:
        subjects[-1] = f"... and {counted(len(messages) - MOST_CHANGES + 1, 'commit')} more"
    return subjects
