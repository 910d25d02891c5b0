"""The version of a commit: from its tag, or from the messages of the commits since the last one.

Messages are read as https://www.conventionalcommits.org (1.0.0), versions are ordered by https://semver.org.
"""

import logging
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from crypto_predict.errors import InvalidValue, ReleaseFailed
from crypto_predict.release.job import Environ, one_line
from crypto_predict.release.programs import IS_ANCESTOR, git, git_succeeds, head_and_main
from crypto_predict.version import __version__
from crypto_predict.wording import counted

MOST_CHANGES = 30  # lines

_TAGS = "refs/tags/"
_PEELED = "^{}"  # ends the line with the target of an annotated tag
_TAG = re.compile(r"v(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})")
# Type, scope in parentheses, "!" for a breaking change, colon and space, description.
_HEADER = re.compile(r"(?P<type>[^\W\d_][\w-]*)(?:\([^()]+\))?(?P<breaking>!)?: +\S")
# A footer is a token, then ": " or " #", then its value; a paragraph that begins with one may hold several.
_FOOTER = re.compile(r"[A-Za-z][A-Za-z0-9-]*(?:: | #)\S")
_BREAK = re.compile(r"BREAKING[ -]CHANGE:(?:\s|$)")  # its value may begin on the next line
_log = logging.getLogger(__name__)


MAJOR, MINOR, PATCH = range(3)  # the places of the numbers in a version


class Version(NamedTuple):
    """A semantic version."""

    major: int
    minor: int
    patch: int

    @classmethod
    def from_tag(cls, name: str) -> "Version | None":
        """Return the version that a tag such as ``v0.3.1`` names; None for any other tag."""
        match = _TAG.fullmatch(name)
        return cls(*map(int, match.groups())) if match else None

    def raised(self, place: int) -> "Version":
        """Return the next version: the number at this place is raised, and those after it begin again."""
        return Version._make((*self[:place], self[place] + 1, 0, 0)[:3])

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


FIRST = Version.from_tag(f"v{__version__}") or Version(0, 1, 0)  # of a repository without versions


def version(event: str, repository: Path, environ: Environ) -> Mapping[str, str]:  # noqa: ARG001 the event is not used
    """Print the version of the commit that is checked out, and the build's one timestamp.

    A commit with a version tag keeps that version, whatever started the run. Any other commit gets the next version:
    major or minor by Conventional Commits, else patch. `tagged` is whether the commit has its tag, which proves that
    its tests passed. `changes` has the subjects of the commits since the highest tag, newest first, one a line.
    """
    if git(repository, "rev-parse", "--is-shallow-repository") == "true":
        raise ReleaseFailed(
            f"the clone in {repository} is shallow: it lacks the tags and commits that decide the version; "
            "check out with fetch-depth: 0, or run git fetch --unshallow --tags"
        )
    at, (head, main), tagged = timestamp(environ), head_and_main(repository), _versions(repository)
    of_head = [version for version, target in tagged.items() if target == head]
    number, messages = (max(of_head), []) if of_head else _next_version(repository, head, main, tagged)
    subjects = list(map(subject_of, messages[:MOST_CHANGES]))
    if len(messages) > MOST_CHANGES:
        subjects[-1] = f"... and {counted(len(messages) - MOST_CHANGES + 1, 'commit')} more"
    return {
        "version": str(number),
        "tag": f"v{number}",
        "tagged": str(bool(of_head)).lower(),
        "build": f"{number}-{at:%Y%m%d%H%M%S}",
        "epoch": f"{at.timestamp():.0f}",
        "created": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "revision": head,
        "changes": "\n".join(subjects),
    }


def timestamp(environ: Environ) -> datetime:
    """Return ``SOURCE_DATE_EPOCH`` if it is set, else the present, as UTC in whole seconds."""
    epoch = environ.get("SOURCE_DATE_EPOCH", "").strip()
    if not epoch:
        return datetime.now(UTC).replace(microsecond=0)
    if not re.fullmatch("[0-9]{1,11}", epoch):
        raise InvalidValue("SOURCE_DATE_EPOCH", epoch, "a whole number of seconds since 1970")
    return datetime.fromtimestamp(int(epoch), UTC)


def raised_by(messages: Iterable[str]) -> int:
    """Return the place that these commits raise; what is neither a feature nor a breaking change raises the patch."""
    return min(map(_raised_by, messages), default=PATCH)


def subject_of(message: str) -> str:
    """Return the first line of a message, safe to show."""
    return one_line(message.strip().partition("\n")[0])


def _raised_by(message: str) -> int:
    first, *body = message.strip().split("\n")
    header = _HEADER.match(first)
    if (header and header["breaking"]) or _has_break([first]) or _has_break(body):
        return MAJOR
    # The specification ignores case, except in BREAKING CHANGE.
    return MINOR if header and header["type"].lower() == "feat" else PATCH


def _has_break(lines: Iterable[str]) -> bool:
    """Return whether a footer names a breaking change; the same words inside a paragraph of prose do not count."""
    paragraphs = (list(group) for has_text, group in groupby(lines, lambda line: bool(line.strip())) if has_text)
    footers = (lines for lines in paragraphs if _FOOTER.match(lines[0]) or _BREAK.match(lines[0]))
    return any(any(map(_BREAK.match, lines)) for lines in footers)


def _next_version(repository: Path, head: str, main: str, tagged: Mapping[Version, str]) -> tuple[Version, list[str]]:
    """Return the version of a commit without a tag, and the messages of the commits that it brings."""
    descending = sorted(tagged, reverse=True)
    is_commit = ("cat-file", "-e")
    last = next((tag for tag in descending if git_succeeds(repository, *is_commit, f"{tagged[tag]}^{{commit}}")), None)
    base = tagged[last] if last else None
    if base and git_succeeds(repository, *IS_ANCESTOR, head, base) and head != main:
        raise ReleaseFailed(f"{head} was released as part of v{last}: run the release of what main is now")
    # Each message ends with NUL, which no message contains. Signatures must not be read as messages.
    plain = ("-z", "--format=tformat:%B", "--no-show-signature", "--encoding=UTF-8")
    messages = git(repository, "log", *plain, f"{base}..HEAD" if base else "HEAD", "--").split("\0")[:-1]
    next_version = last.raised(raised_by(messages)) if last else FIRST
    while next_version in tagged:  # a tag of something that is not a commit
        next_version = next_version.raised(PATCH)
    _log.info("%s since %s: %s", counted(len(messages), "commit"), last or "the beginning", next_version)
    return next_version, messages


def _versions(repository: Path) -> dict[Version, str]:
    """Return the tags that are versions, and the object that each points to, usually a commit; log the others."""
    # With --head the command does not fail in a repository without tags.
    lines = git(repository, "show-ref", "--head", "--tags", "--dereference").splitlines()
    parts = (line.partition(f" {_TAGS}") for line in lines)
    tags = {name.removesuffix(_PEELED): target for target, _, name in parts if name}
    if ignored := [name for name in tags if Version.from_tag(name) is None]:
        _log.info("ignored, not of the form vX.Y.Z: %s", one_line(", ".join(ignored), 500))
    return {version: target for name, target in tags.items() if (version := Version.from_tag(name))}
