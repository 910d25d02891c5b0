"""What the release describes: its manifest, and the files under their names or under the pending ones."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from crypto_predict.dataset import manifest
from crypto_predict.dataset.layout import MANIFEST
from crypto_predict.dataset.manifest import Entry, Manifest
from crypto_predict.errors import InvalidValue, ReleaseFailed, UnusableDataset
from crypto_predict.release.dataset.assets import Asset, Release

TAG, REGISTER = "dataset", "outages.json"
PENDING = ".pending"  # after the name of a file that will replace another one: `*.parquet` does not match it
COMMIT = MANIFEST + PENDING

_KEPT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # what GitHub does not rename


def flat_name(entry: Entry) -> str:
    """Return the name of a month in the release: ``binance_BTC-USDT_1m_2026-11.parquet``.

    Read from its end it can only mean one path, since a pair, an interval and a month have no underscore.
    """
    name = "_".join(part.rpartition("=")[2] for part in entry.path.split("/"))
    if not _KEPT.fullmatch(name):
        raise InvalidValue("source", name, "a name that GitHub does not change: letters, digits, -, _ and full stops")
    return name


def flat_names(described: Manifest) -> dict[str, Entry]:
    """Return all months by their names in the release; raise `InvalidValue` if two would have the same.

    Whoever downloads them may have a file system that ignores the case.
    """
    names: dict[str, Entry] = {}
    folded: dict[str, str] = {}
    for entry in entries(described):
        name = flat_name(entry)
        if (other := folded.setdefault(name.casefold(), entry.path)) != entry.path:
            raise InvalidValue(
                "source", entry.path, f"a file whose name differs from that of {other} by more than case"
            )
        names[name] = entry
    return names


def entries(described: Manifest) -> Iterator[Entry]:
    """Yield the months of a manifest."""
    for series in described.described():
        yield from series.files


def asset_of(release: Release, entry: Entry) -> Asset | None:
    """Return the file of a month, under its name or the pending one; None if it is not there."""
    name = flat_name(entry)
    assets = (release.assets.get(each) for each in (name, name + PENDING))
    return next((asset for asset in assets if asset is not None and asset.may_be(entry.bytes, entry.sha256)), None)


def described(release: Release) -> Manifest | None:
    """Return the newest manifest; None before the first one. Raise `ReleaseFailed` if it cannot be read."""
    name = COMMIT if is_committed(release) else MANIFEST
    if name not in release.assets:
        return None
    with tempfile.TemporaryDirectory() as folder:
        release.download(name, Path(folder) / MANIFEST)
        try:
            return manifest.load(Path(folder))
        except UnusableDataset as error:
            advice = "put an earlier one back, or delete the release to begin anew"
            raise ReleaseFailed(f"{name} of the release {TAG} cannot be used: {error.reason}; {advice}") from error


def is_committed(release: Release) -> bool:
    """Return whether the newest run has happened, but was killed before it had renamed all of its files."""
    return COMMIT in release.assets and release.assets[COMMIT].is_whole


def settle(release: Release) -> None:
    """Finish what a killed run has begun if its manifest is whole; undo it otherwise."""
    is_finished = is_committed(release)
    for name in [name for name, asset in release.assets.items() if not asset.is_whole]:
        release.delete(name)
    pending = [name for name in release.assets if name.endswith(PENDING)]
    for name in sorted(pending, key=lambda name: name == COMMIT):  # the manifest last: until then this is repeated
        if is_finished:
            release.rename(name, name.removesuffix(PENDING))
        else:
            release.delete(name)
