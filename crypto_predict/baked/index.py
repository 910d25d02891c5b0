"""The index of a folder of models, ``index.json``: a model file a pair, and what lists need to know of each.

A model file is named by its pair and the beginning of its SHA-256, ``BTC-USD.3fa9c1d2e4b5.pkl``. So a file never
changes under its name, and a release commits by replacing the index, which is written last: a reader of the index
before finds its files until they are removed, and reads the newer index then. The ledger of a pair,
``BTC-USD.ledger.jsonl``, is only added to; its model names its last entry.

The index is JSON of plain data. Equal models give equal bytes. It is not trusted, nor are the files that it names: a
file must have the size and digest that the index says, be a model of that pair alone, and lie in the folder, as its
name follows from pair and digest.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import date, datetime
from functools import partial
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from crypto_predict.baked import files, plain, store
from crypto_predict.baked.schema import SHA256, Model
from crypto_predict.errors import InvalidValue, OtherSchema, UnusableModel, shown
from crypto_predict.market import Pair
from crypto_predict.market.collected import Shard

INDEX = "index.json"
FORMAT, VERSION = "crypto-predict models", 1  # the version is raised whenever an older program could misread it
MOST_BYTES = 2**26  # of the index; a pair takes some 1.5 kB
MOST_VALUES = 4_000_000  # in it, and as many lists and mappings; a pair has some 60
MOST_PAIRS = 40_000
MOST_REASONS, MOST_REASON = 20, 500  # reasons of one pair, and characters of each
NAMED_DIGITS = 12  # of a SHA-256 in the name of a file


@dataclass(frozen=True, slots=True)
class IndexedScore:
    """The scores of one horizon of the backtest, relative to persistence: below 1 is better. See `schema.Score`."""

    horizon_days: int
    forecasts: int
    relative_mae: float | None
    relative_crps: float | None
    relative_winkler: float | None
    coverage: float  # the share of outcomes inside the 80 % interval
    words: str

    def faults(self) -> Iterator[str]:
        """Yield the violated rules."""
        if self.horizon_days < 1 or self.forecasts < 0 or not 0 <= self.coverage <= 1:
            yield f"{self.horizon_days} days, {self.forecasts} forecasts and coverage {self.coverage} are not a score"
        if not self.words.isprintable():
            yield f"{self.words!r:.80} is not printable"


@dataclass(frozen=True, slots=True)
class IndexedRecord:
    """What has become of the published forecasts of a pair. See `schema.LiveRecord`."""

    since: datetime  # UTC
    releases: int
    due: int  # forecasts whose outcome is known
    days: int  # different targets among them
    pending: int
    relative_mae: float | None  # to persistence, below 1 is better; None if no forecast has come due, as below
    coverage: float | None  # the share of outcomes inside the 80 % interval


@dataclass(frozen=True, slots=True)
class IndexedModel:
    """The model file of one pair, and what it says of itself."""

    file: str  # its name in the folder
    bytes: int
    sha256: str
    version: str
    build: str
    git_revision: str | None
    trained_at: datetime  # UTC
    source: str
    traded: Pair  # whose prices these are
    simulated: bool
    first_day: date  # of the range of its answers
    last_candle: date
    last_day: date  # included
    anchor_at: datetime  # UTC, of the newest price, at which the forecast starts
    history_sha256: str  # of the candles that it was trained on
    recipe: str  # SHA-256 of all else that decides the numbers, but the clock: settings, program and libraries
    gate_passed: bool
    gate_reasons: tuple[str, ...]  # why it would not have, if the gate was not enforced
    served: str  # the model that answers by default
    scores: tuple[IndexedScore, ...]  # of that, by horizon, ascending; none without a backtest
    record: IndexedRecord | None  # None before the first release

    def faults(self) -> Iterator[str]:
        """Yield the violated rules."""
        for name in ("sha256", "history_sha256", "recipe"):
            if not SHA256.fullmatch(getattr(self, name)):
                yield f"{name} is not 64 hexadecimal digits"
        if not 0 < self.bytes <= store.MOST_BYTES:
            yield f"{self.bytes} bytes are not those of a model, at most {store.MOST_BYTES:,}"
        if not self.first_day <= self.last_candle <= self.last_day:
            yield f"{self.first_day}, {self.last_candle} and {self.last_day} do not ascend"
        texts = [self.version, self.build, self.git_revision or "", self.source, self.served, *self.gate_reasons]
        yield from (f"{text!r:.80} is not printable" for text in texts if not text.isprintable())


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the last training has no model of a pair. An earlier model of the pair stays in the index."""

    at: datetime  # UTC, of the training
    reasons: tuple[str, ...]  # without secrets

    def faults(self) -> Iterator[str]:
        """Yield the violated rules."""
        if not 0 < len(self.reasons) <= MOST_REASONS:
            yield f"{len(self.reasons)} reasons are not 1 to {MOST_REASONS}"
        if not all(len(reason) <= MOST_REASON and reason.isprintable() for reason in self.reasons):
            yield f"a reason is longer than {MOST_REASON} characters, or not printable"


@dataclass(frozen=True, slots=True)
class Index:
    """The pairs of a folder. A pair that was refused is among `models`, too, if its earlier file is kept."""

    asked: tuple[Pair, ...]  # of the whole release, ascending; a shard has some of them
    shard: str  # the part of them that this folder has, such as 3/16; 1/1: all
    models: dict[Pair, IndexedModel]  # ascending
    refused: dict[Pair, Refusal]  # by the last training, ascending

    def faults(self) -> Iterator[str]:
        """Yield the violated rules."""
        if not 0 < len(self.asked) <= MOST_PAIRS:
            yield f"{len(self.asked):,} pairs are not 1 to {MOST_PAIRS:,}"
        for name in ("asked", "models", "refused"):
            pairs = list(getattr(self, name))
            if any(pair >= after for pair, after in pairwise(pairs)):
                yield f"the pairs of {name} do not ascend, or one is there twice"
        try:
            shard = Shard.parse(self.shard)
        except InvalidValue as error:
            yield str(error)
            return
        expected, listed = {pair for pair in self.asked if pair in shard}, {*self.models, *self.refused}
        if strange := sorted(listed - expected):
            yield f"{strange[0]} was not asked for"
        if missing := sorted(expected - listed):
            yield f"{missing[0]} has no model and was not refused"
        for pair, model in self.models.items():
            if model.file != (name := file_name(pair, model.sha256)):
                yield f"the file of {pair} is {shown(model.file)}, not {name}"


Excerpt = TypeVar("Excerpt")


def file_name(pair: Pair, digest: str) -> str:
    """Return the name of the model file of a pair with this SHA-256."""
    return f"{pair.slug}.{digest[:NAMED_DIGITS]}.pkl"


def ledger_name(pair: Pair) -> str:
    """Return the name of the ledger of a pair."""
    return f"{pair.slug}.ledger.jsonl"


def describe(pair: Pair, model: Model, data: bytes, recipe: str) -> IndexedModel:
    """Return the entry of a model file with these bytes, of this pair alone."""
    card, forecast, digest = model.card.pairs[pair], model.forecasts[pair], sha256(data).hexdigest()
    record = model.live_record(pair)
    return IndexedModel(
        file=file_name(pair, digest),
        bytes=len(data),
        sha256=digest,
        version=model.card.version,
        build=model.card.build,
        git_revision=model.card.git_revision,
        trained_at=model.card.trained_at,
        source=card.source,
        traded=card.traded,
        simulated=card.simulated,
        first_day=forecast.first,
        last_candle=forecast.last,
        last_day=forecast.end,
        anchor_at=forecast.anchor.at,
        history_sha256=card.history_sha256,
        recipe=recipe,
        gate_passed=model.card.gate.passed,
        gate_reasons=model.card.gate.reasons,
        served=card.served,
        scores=tuple(excerpt(IndexedScore, score) for score in (card.backtest.scores if card.backtest else ())),
        record=None if record is None else excerpt(IndexedRecord, record),
    )


def excerpt(kind: type[Excerpt], whole: object) -> Excerpt:
    """Return a dataclass of those members of a larger one that have the same names."""
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type] # a type variable cannot ask for a dataclass
    return kind(**{name: getattr(whole, name) for name in names})


def content(index: Index) -> bytes:
    """Return the content of the file: a line a pair, so that two releases can be compared."""
    members = {"format": FORMAT, "version": VERSION, **plain.encode(index)}
    return (
        "{\n" + ",\n".join(f" {_json(name)}: {_member(value)}" for name, value in members.items()) + "\n}\n"
    ).encode()


def _member(value: Any) -> str:
    if not isinstance(value, dict) or not value:
        return _json(value)
    return "{\n" + ",\n".join(f"  {_json(key)}: {_json(entry)}" for key, entry in value.items()) + "\n }"


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False)


def write(index: Index, folder: Path) -> None:
    """Write the index of a folder atomically. The files that it names must be there."""
    files.write_atomically(folder / INDEX, content(index))


def read(folder: Path) -> Index:
    """Read the index of a folder without trusting it; the model files are not opened.

    Raises:
        UnusableModel: The index is absent, too large, damaged or hostile.
        OtherSchema: An older or newer program wrote it.
    """
    path = folder / INDEX
    advice = f"train the models with: python train.py --pair all --output {folder}/"
    with files.opened(path, "index", MOST_BYTES, advice, partial(UnusableModel, path)) as file:
        data = file.read(MOST_BYTES + 1)
    for kind, marks in (("values", b","), ("lists and mappings", b"[{")):
        if (count := sum(data.count(mark) for mark in marks)) > MOST_VALUES:
            raise UnusableModel(path, f"it has {count:,} {kind}, more than an index can have ({MOST_VALUES:,})")
    try:
        members = json.loads(data)
        if not isinstance(members, dict) or members.pop("format", None) != FORMAT:
            raise UnusableModel(path, "it is not the index of a folder of models")
        if (version := members.pop("version", None)) != VERSION:
            raise OtherSchema(path, f"it has version {shown(version)}, this program reads {VERSION}: train again")
        return plain.decode(Index, members, "the index")
    except (ValueError, RecursionError, plain.Undecodable) as error:
        raise UnusableModel(path, f"its content is not an index: {error}") from error


def read_data(folder: Path, pair: Pair, entry: IndexedModel) -> bytes:
    """Return the bytes of a model file, which have the size and the digest of its entry.

    Raises:
        UnusableModel: The file is absent, or another one than the index names.
    """
    path = folder / entry.file
    if entry.file != file_name(pair, entry.sha256):
        raise UnusableModel(path, f"it is not the file of {pair} in the index")
    data = store.read(path)
    if len(data) != entry.bytes or sha256(data).hexdigest() != entry.sha256:
        raise UnusableModel(path, f"it is not the file that {INDEX} names: damaged, altered or exchanged")
    return data


def read_model(folder: Path, pair: Pair, entry: IndexedModel) -> Model:
    """Return the model of one pair, verified against its entry.

    Raises:
        UnusableModel: The file is absent, damaged, or not the one of this pair that the index names.
        OtherSchema: An older or newer program wrote it.
    """
    model = store.loads(read_data(folder, pair, entry), folder / entry.file)
    if list(model.forecasts) != [pair]:
        raise UnusableModel(
            folder / entry.file, f"it is of {', '.join(map(str, model.forecasts))}, not of {pair} alone"
        )
    return model
