"""What ``--export``, ``--import`` and ``--verify`` do, from settings and a database to a report."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from crypto_predict.collecting import exporting, importing, verifying
from crypto_predict.collecting.commands import selected
from crypto_predict.collecting.exporting import MonthDatabase
from crypto_predict.collecting.importing import ImportDatabase
from crypto_predict.collecting.options import CollectSettings
from crypto_predict.collecting.registry import is_named
from crypto_predict.command_line import DONE, FAILED
from crypto_predict.dataset import manifest
from crypto_predict.dataset.layout import MANIFEST, whole_months, within
from crypto_predict.dataset.manifest import Series
from crypto_predict.errors import InvalidValue


def export(settings: CollectSettings, folder: Path, database: MonthDatabase) -> str:
    """Export the series and months that `settings` name; all where they name none."""
    selection = selected(database, settings)
    return exporting.export(database, folder, settings.files, selection, settings.span).summary(folder)


def import_folder(database: ImportDatabase, folder: Path, selection: Sequence[Series], now: datetime) -> str:
    """Store what `described` returns; `now` is in UTC."""
    return importing.import_folder(database, folder, selection, now).summary(folder)


def verify(settings: CollectSettings, folder: Path, database: MonthDatabase | None) -> tuple[str, int]:
    """Check the files that `settings` name, and compare them with the database if there is one."""
    verified = verifying.verify(folder, described(settings, folder), database)
    return verified.report(folder), FAILED if verified.faults else DONE


def described(settings: CollectSettings, folder: Path) -> list[Series]:
    """Return the series, with the files, of a folder that `settings` name; all where they name none.

    Raise `InvalidValue` if the folder is not an export or does not have them, `UnusableDataset` for its manifest.
    """
    option = settings.mode.value
    if not manifest.is_export(folder):
        raise InvalidValue(option, str(folder), f"an exported folder: it has no {MANIFEST}")
    selection = [
        replace(series, files=files)
        for series in manifest.load(folder).described()
        if not settings.pairs or any(is_named(series.key, pair) for pair in settings.pairs)
        if not settings.sources or series.source in settings.sources
        if settings.interval in {None, series.key.interval}
        if (files := tuple(entry for entry in series.files if within([entry.span], whole_months(settings.span))))
    ]
    is_part = settings.pairs or settings.sources or settings.interval or settings.since or settings.until
    if is_part and not selection:
        raise InvalidValue(option, str(folder), "a folder that has such candles; leave --pair, --source, ... out")
    return selection
