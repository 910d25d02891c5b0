"""``restore-dataset``: what the release has, as an exported folder."""

import logging
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, time
from hashlib import sha256
from pathlib import Path

from crypto_predict.baked.files import temporary_for
from crypto_predict.dataset import manifest
from crypto_predict.dataset.layout import MANIFEST, joined, within
from crypto_predict.dataset.manifest import Entry, Manifest, Series
from crypto_predict.errors import InvalidValue, ReleaseFailed
from crypto_predict.market import DAY, EPOCH, Interval, Span
from crypto_predict.release.dataset.assets import Release
from crypto_predict.release.dataset.published import (
    PENDING,
    REGISTER,
    TAG,
    asset_of,
    described,
    entries,
    is_committed,
)
from crypto_predict.release.job import Environ, required, warn
from crypto_predict.wording import counted

_LATE = 2 * DAY  # before the newest candle of a series: exchanges may still change what is younger
_MONTHS = 2  # files of a series that are restored at least
_DOWNLOADS = 4  # at once

_log = logging.getLogger(__name__)


def restore(folder: Path, since: str, again: str, everything: bool, environ: Environ) -> None:
    """Write what the release `dataset` of GITHUB_REPOSITORY has into a folder that `collect.py --import` reads.

    These are the newest months of each series, and all from the first instant on since the day `since` for which its
    source was not asked, as after a run that was not finished, or if a file of the release has gone. The manifest does
    not say that the source was asked for the newest two days, or for those since the day `again`: so a backfill asks
    again, and stores what has been revised. With `everything` the folder is the whole dataset as it was exported.
    """
    if manifest.is_export(folder):
        raise InvalidValue("--folder", str(folder), f"a folder without {MANIFEST}; name another one")
    first, again_from = _instant("--since", since), _instant("--again", again)
    release = Release.find(required(environ, "GITHUB_REPOSITORY"), TAG)
    published = None if release is None else described(release)
    if release is None or published is None:
        _log.info("there is no release %s yet: nothing to restore", TAG)
        return
    restored = Manifest(published.kind)
    for series in published.described():
        there = _there(release, series, environ)
        restored.add(there if everything else _newest(there, first or EPOCH, again_from))
    months = [(asset.name, entry) for entry in entries(restored) if (asset := asset_of(release, entry)) is not None]
    with ThreadPoolExecutor(_DOWNLOADS) as pool:
        list(pool.map(lambda month: _download(release, folder, *month), months))
    folder.mkdir(parents=True, exist_ok=True)
    of_register = REGISTER + PENDING if is_committed(release) else REGISTER
    if everything and of_register in release.assets:
        release.download(of_register, folder / REGISTER)
    manifest.save(folder, restored)
    _log.info("%s: %s restored", folder, counted(len(months), "file"))


def _there(release: Release, series: Series, environ: Environ) -> Series:
    """Return a series with those of its files that the release still has."""
    files = tuple(entry for entry in series.files if asset_of(release, entry) is not None)
    for entry in (entry for entry in series.files if entry not in files):
        warn(environ, f"{entry.path} is not in the release {TAG} any more; it is made again if its source still has it")
    return replace(series, files=files)


def _newest(series: Series, first: datetime, again: datetime | None) -> Series:
    """Return a series with the files that may change, and without the coverage of what is asked for again.

    The first file takes over the coverage of those before it: a backfill then leaves these months alone.
    """
    if not series.files:
        return series
    again = again or Interval.DAY_1.floor(series.files[-1].end - _LATE)
    covered = joined(span for entry in series.files for span in entry.coverage)
    unasked = next((span.end for span in covered if span.start <= first < span.end), first)
    newest = series.files[-_MONTHS:][0].start
    since = min(unasked, again, newest)
    kept = [entry for entry in series.files if entry.end > since]
    older = [span for entry in series.files[: -len(kept)] for span in entry.coverage]
    asked = Span(EPOCH, again)
    files = [replace(entry, coverage=tuple(within(entry.coverage, asked))) for entry in kept]
    files[0] = replace(files[0], coverage=tuple(joined([*within(older, asked), *files[0].coverage])))
    return replace(series, files=tuple(files))


def _download(release: Release, folder: Path, name: str, entry: Entry) -> None:
    """Write a month to its place, if its bytes are those that the manifest describes."""
    path = folder / entry.path
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_for(path)
    release.download(name, temporary)
    if sha256(temporary.read_bytes()).hexdigest() != entry.sha256:
        temporary.unlink()
        advice = "delete that file, and it is made again, or try again if a run has just replaced it"
        raise ReleaseFailed(f"{name} of the release {TAG} is not the file that its manifest describes; {advice}")
    shutil.move(temporary, path)


def _instant(option: str, text: str) -> datetime | None:
    """Return the beginning of a day (UTC) such as ``2026-11-01``; None for an empty text."""
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC) if text else None
    except ValueError:
        raise InvalidValue(option, text, "a day such as 2026-11-01") from None
