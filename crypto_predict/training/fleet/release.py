"""A folder of models, put in place and committed by its index."""

import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from crypto_predict.baked import index
from crypto_predict.baked.files import remove_stale, write_in_order
from crypto_predict.baked.index import INDEX, Index, IndexedModel
from crypto_predict.errors import InvalidValue, OtherSchema, Refused, UnusableModel
from crypto_predict.market import Pair
from crypto_predict.wording import counted

_MODEL = re.compile(rf"[A-Z0-9]+-[A-Z0-9]+\.[0-9a-f]{{{index.NAMED_DIGITS}}}\.pkl")
_SHOWN = 10  # pairs in a message
_log = logging.getLogger(__name__)


def prepare(folder: Path) -> None:
    """Make the folder of models if it does not exist.

    Raises:
        InvalidValue: It cannot be made, or has other files and no index.
    """
    try:
        folder.mkdir(exist_ok=True)
        is_strange = not (folder / INDEX).exists() and any(not path.name.startswith(".") for path in folder.iterdir())
    except OSError as error:
        raise InvalidValue("--output", str(folder), f"a folder that can be made and read ({error.strerror})") from error
    if is_strange and not any(folder.glob("*.ledger.jsonl")):  # of a release whose index was about to be written
        raise InvalidValue("--output", str(folder), "a folder of models, or a new or empty one: it has other files")


def read_earlier(folder: Path) -> dict[Pair, IndexedModel]:
    """Return the models of the release before; none if there is none, or, as the log says then, of another version.

    Raises:
        InvalidValue: The index is damaged: it must not be replaced unseen.
    """
    if not (folder / INDEX).exists():
        return {}
    try:
        return index.read(folder).models
    except OtherSchema as error:
        _log.warning("no earlier model is kept or compared: %s", error)
        return {}
    except UnusableModel as error:
        expected = f"a folder whose {INDEX} is sound, or without one: {error.reason}"
        raise InvalidValue("--output", str(folder), expected) from error


def check_refused(release: Index, most_refused: int) -> None:
    """Raise `Refused` if more pairs than `most_refused` percent were refused, or if none has a model."""
    refused, asked = len(release.refused), len(release.asked)
    if release.models and refused * 100 <= most_refused * asked:
        return
    named = [f"{pair}: {refusal.reasons[0]}" for pair, refusal in list(release.refused.items())[:_SHOWN]]
    more = [f"... and {refused - _SHOWN:,} more"] if refused > _SHOWN else []
    raise Refused([f"{refused:,} of {counted(asked, 'pair')} were refused, more than {most_refused} %", *named, *more])


def commit(folder: Path, release: Index, origins: Mapping[Pair, Path]) -> None:
    """Copy models and ledgers from their folders of origin, then write the index, and remove models it does not name.

    Interrupted, it can be done again: readers drop the entries of a ledger after the one that their model names.

    Raises:
        UnusableModel: A model is not the one that its entry describes.
        OSError: A file cannot be written. The index is then unchanged.
    """
    for pair, entry in release.models.items():
        if (origin := origins.get(pair, folder)) != folder:
            ledger = index.ledger_name(pair)
            data = index.read_data(origin, pair, entry)
            write_in_order({folder / ledger: _chunks(origin / ledger), folder / entry.file: data})
    index.write(release, folder)
    named = {entry.file for entry in release.models.values()}
    for path in folder.iterdir():
        if _MODEL.fullmatch(path.name) and path.name not in named:
            path.unlink()
    remove_stale(folder / INDEX)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(lambda: file.read(2**20), b"")
