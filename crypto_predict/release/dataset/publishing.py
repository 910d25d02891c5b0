"""``publish-dataset``: an exported folder as files of the release."""

import contextlib
import tempfile
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from crypto_predict.dataset import manifest
from crypto_predict.dataset.layout import MANIFEST, PARQUET, month_of, within
from crypto_predict.dataset.manifest import Entry, Manifest, Series
from crypto_predict.errors import ReleaseFailed, UnusableDataset
from crypto_predict.market import Span
from crypto_predict.release.dataset.assets import MOST, Release
from crypto_predict.release.dataset.notes import notes
from crypto_predict.release.dataset.published import (
    PENDING,
    REGISTER,
    TAG,
    asset_of,
    described,
    entries,
    flat_name,
    flat_names,
    settle,
)
from crypto_predict.release.dataset.silences import register, silences
from crypto_predict.release.job import Environ, add_summary, required, warn
from crypto_predict.wording import counted

# In one run: GitHub takes some 500 requests an hour that write. The next run fetches and publishes what is left.
MOST_UPLOADS = 300
_EMPTY = "The first run has not ended yet.\n"
_SOON = 12  # months


def publish(folder: Path, environ: Environ) -> None:
    """Publish an exported folder as files of the release `dataset` of GITHUB_REPOSITORY, which is made if needed.

    The folder adds to what is published, or replaces it; nothing else changes. A run that is killed is finished by the
    next one, or leaves what was published before. Nothing is published if a file of the folder is not the one of its
    manifest, has less than the published one, or if the release would have more than 1,000 files.
    """
    repository = required(environ, "GITHUB_REPOSITORY")
    exported = manifest.load(folder)
    release = Release.find(repository, TAG)
    if release is None:
        if not any(entries(exported)):
            add_summary(environ, "**Nothing** is published: no candle was fetched.")
            return
        release = Release.create(repository, TAG, _EMPTY)
    settle(release)
    published = described(release) or Manifest(exported.kind)
    if {published.kind, exported.kind} != {PARQUET}:
        raise UnusableDataset(folder, f"its files are {exported.kind}, those of the release {published.kind}")
    there = {entry.path: entry for entry in entries(published) if asset_of(release, entry) is not None}
    news = [entry for entry in entries(exported) if _is_news(entry, there.get(entry.path), folder)]
    changed = sorted(
        (entry for entry in news if entry.path not in there or there[entry.path].sha256 != entry.sha256),
        key=lambda entry: entry.start,
    )
    _check_bytes(folder, changed)
    later = {entry.path for entry in changed[MOST_UPLOADS:]}
    newest = _merged(published, exported, there, {entry.path for entry in news} - later)
    _check_room(release, newest, len(changed) - len(later), environ)
    _commit(release, folder, changed[:MOST_UPLOADS], newest)
    release.describe(notes(newest, silences(newest), repository))
    if later:
        warn(
            environ, f"{counted(len(later), 'file')} more than {MOST_UPLOADS}: the next run fetches and publishes them"
        )
    of = counted(sum(1 for _ in entries(newest)), "file")
    add_summary(environ, f"**Published** {len(changed) - len(later):,} of {of} in the release `{TAG}`.")


def _is_news(entry: Entry, old: Entry | None, folder: Path) -> bool:
    """Return whether a month is to be published in place of an old one.

    It is not if it has the same candles, and only lacks that their source was asked for: `restore-dataset` has
    forgotten it, and the source has not answered since. Raise `UnusableDataset` if it has less.
    """
    if old is None:
        return True
    if entry.start > old.start or entry.end < old.end or entry.candles < old.candles:
        reason = f"it has {counted(entry.candles, 'candle')} up to {entry.end}, the published one {old.candles:,}"
        raise UnusableDataset(folder, f"{entry.path}: {reason} up to {old.end}; nothing is published")
    is_same = (entry.span, entry.digest) == (old.span, old.digest)
    return not (is_same and _asked(entry) < _asked(old))


def _asked(entry: Entry) -> timedelta:
    """Return for how much of a month its source was asked."""
    return sum((span.end - span.start for span in within(entry.coverage, entry.span)), timedelta(0))


def _check_bytes(folder: Path, changed: Sequence[Entry]) -> None:
    """Raise `UnusableDataset` if a file is not the one of the manifest."""
    for entry in changed:
        with contextlib.suppress(OSError):
            if sha256((folder / entry.path).read_bytes()).hexdigest() == entry.sha256:
                continue
        raise UnusableDataset(folder, f"{entry.path}: its bytes are not those that the manifest describes")


def _merged(published: Manifest, exported: Manifest, there: Mapping[str, Entry], news: Set[str]) -> Manifest:
    """Return the manifest of what is published and still `there`, with the files in `news` in its place.

    A file that has gone is described no more: the next run makes it again.
    """
    merged = Manifest(PARQUET)
    for series in published.described():
        merged.add(replace(series, files=tuple(entry for entry in series.files if entry.path in there)))
    for series in exported.described():
        files = tuple(entry for entry in series.files if entry.path in news)
        merged.add(replace(series, files=_without_older(merged, series, files)))
    return merged


def _without_older(merged: Manifest, series: Series, files: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return files of a series without the coverage of the months before them that have files of their own.

    `restore-dataset` has lent it to the first one.
    """
    older = [entry for entry in merged.entries.get(series.key, {}).values() if files and entry.end <= files[0].start]
    if not older:
        return files
    since = Span(month_of(files[0].start).start, datetime.max.replace(tzinfo=UTC))
    return replace(files[0], coverage=tuple(within(files[0].coverage, since))), *files[1:]


def _check_room(release: Release, newest: Manifest, uploads: int, environ: Environ) -> None:
    """Raise `ReleaseFailed` if the release cannot take so many files; warn a year before."""
    names = {*flat_names(newest), MANIFEST, REGISTER}
    after, most = len(names | release.assets.keys()), len(release.assets) + uploads + 2
    if max(after, most) > MOST:
        advice = f"let the variable DATASET name fewer pairs, or rename the release and its tag {TAG} to begin anew"
        raise ReleaseFailed(f"the release {TAG} would have {max(after, most):,} files; GitHub takes {MOST:,}: {advice}")
    months = (MOST - after) // max(1, len(newest.series))
    if months < _SOON:
        warn(
            environ,
            f"the release {TAG} has room for {counted(months, 'month')} more: it has {after:,} of {MOST:,} files",
        )


def _commit(release: Release, folder: Path, changed: list[Entry], newest: Manifest) -> None:
    """Upload what has changed, the manifest last: with it the run has happened."""
    for entry in changed:
        name = flat_name(entry)
        present = release.assets.get(name)
        if present is None:
            release.upload(name, folder / entry.path)  # nothing describes it before the manifest does
        elif not (present.digest and present.may_be(entry.bytes, entry.sha256)):  # or else a killed run has sent it
            release.upload(name + PENDING, folder / entry.path)
    with tempfile.TemporaryDirectory() as name:
        documents = {REGISTER: register(newest), MANIFEST: newest.document()}
        if not changed and all(_is_published(release, *document) for document in documents.items()):
            return
        for document, content in documents.items():
            path = Path(name) / document
            path.write_bytes(content)
            release.upload(document + PENDING, path)
    settle(release)


def _is_published(release: Release, name: str, content: bytes) -> bool:
    asset = release.assets.get(name)
    return asset is not None and bool(asset.digest) and asset.may_be(len(content), sha256(content).hexdigest())
