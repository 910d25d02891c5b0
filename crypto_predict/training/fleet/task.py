"""The training of one pair of a fleet. It depends on nothing that another pair does, so any process may do it."""

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from crypto_predict.baked import index, store
from crypto_predict.baked.index import MOST_REASON, MOST_REASONS, IndexedModel, Refusal
from crypto_predict.errors import (
    BrokenLedger,
    Refused,
    RefusedKeys,
    SourceError,
    UnusableHistory,
    UnusableModel,
)
from crypto_predict.history import closing_limit
from crypto_predict.market import Interval, Pair
from crypto_predict.settings import masked
from crypto_predict.sources.stored import CollectedMarket
from crypto_predict.training import pipeline
from crypto_predict.training.fleet.progress import Outcome, Progress
from crypto_predict.training.options import TrainSettings
from crypto_predict.training.pair import PairHistory
from crypto_predict.wording import as_line

# The cards describe the histories, and the report says if prices are invented: not for each of a thousand pairs.
_LEVELS = {"crypto_predict": logging.WARNING, "crypto_predict.history": logging.ERROR}
_log = logging.getLogger(__name__)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Log only what a person must know of one of many pairs."""
    loggers = {logging.getLogger(name): level for name, level in _LEVELS.items()}
    before = {logger: logger.level for logger in loggers}
    try:
        for logger, level in loggers.items():
            logger.setLevel(level)
        yield
    finally:
        for logger, level in before.items():
            logger.setLevel(level)


class _Unchanged(Exception):
    """The history has no new candle since the earlier model."""


@dataclass(frozen=True, slots=True)
class Task:
    """How every pair is trained: the settings, and the models of the release before. Pickled for each worker."""

    settings: TrainSettings  # with `output` as the folder
    now: datetime  # UTC
    earlier: Path  # the folder of the release before
    entries: dict[Pair, IndexedModel]  # its models
    recipe: str  # see `IndexedModel`
    open_database: Callable[[], CollectedMarket]

    @property
    def trained_at(self) -> datetime:
        """The training time of every model."""
        return self.settings.trained_at or self.now.replace(microsecond=0)

    def train(self, pair: Pair) -> Outcome:
        """Train one pair, write its model and its ledger among what is finished, and note and return the outcome.

        Raises:
            CryptoPredictError: What stops every pair: the keys are refused, or an argument is wrong.
            OSError: A file cannot be written.
        """
        progress = Progress(self.settings.output)
        entry = self._usable(pair)
        try:
            with _quiet():
                model = self._train(pair, progress.folder / f"{pair.slug}.pkl", entry)
            outcome = Outcome(model, is_new=True)
        except _Unchanged:
            outcome = Outcome(entry, is_new=False)
        except RefusedKeys:
            raise
        except (Refused, UnusableHistory, SourceError) as error:
            outcome = self._refused(entry, pipeline.reasons_of(error))
        except BrokenLedger as error:
            outcome = self._refused(entry, [str(error)])
        progress.finish(pair, outcome)
        return outcome

    def give_up(self, pair: Pair, reason: str) -> Outcome:
        """Return the outcome of a pair that cannot be trained for a reason of the machine."""
        return self._refused(self._usable(pair), [f"{pair}: {reason}"])

    def _refused(self, entry: IndexedModel | None, reasons: Iterable[str]) -> Outcome:
        """Return a refusal with these reasons, without secrets, as the index can have them."""
        lines = [as_line(masked(reason), MOST_REASON) for reason in reasons]
        return Outcome(entry, is_new=False, refused=Refusal(self.trained_at, tuple(lines[:MOST_REASONS])))

    def _train(self, pair: Pair, output: Path, entry: IndexedModel | None) -> IndexedModel:
        is_same_recipe = entry is not None and entry.recipe == self.recipe
        newest_hour = Interval.HOUR_1.floor(closing_limit(self.settings.until, self.now))
        if entry is not None and is_same_recipe and newest_hour <= entry.anchor_at:
            raise _Unchanged  # no candle has closed since

        def check(history: PairHistory) -> None:
            card = history[2]
            if entry is None or not is_same_recipe:
                return
            if (card.history_sha256, card.anchor.at) == (entry.history_sha256, entry.anchor_at):
                raise _Unchanged

        ledger = self.earlier / index.ledger_name(pair)
        settings = replace(
            self.settings,
            pairs=(pair,),
            output=output,
            champion=None if entry is None else self.earlier / entry.file,
            ledger=ledger if ledger.exists() else None,
        )
        model, *_ = pipeline.train(settings, self.now, self.open_database, check)
        described = index.describe(pair, model, store.read(output), self.recipe)
        output.replace(output.with_name(described.file))
        return described

    def _usable(self, pair: Pair) -> IndexedModel | None:
        """Return the entry of the earlier model; None if there is none, or, as the log says then, it cannot be used."""
        if (entry := self.entries.get(pair)) is None:
            return None
        try:
            index.read_model(self.earlier, pair, entry)
        except UnusableModel as error:
            _log.warning("%s: the earlier model is not kept, and not compared: %s", pair, error)
            return None
        return entry
