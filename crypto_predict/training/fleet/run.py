"""The training of a folder of models: what is missing is trained, then the release is committed."""

import contextlib
import platform
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from crypto_predict.baked import schema
from crypto_predict.baked.files import locked
from crypto_predict.baked.index import INDEX, MOST_PAIRS, Index
from crypto_predict.errors import InvalidValue
from crypto_predict.history import closing_limit
from crypto_predict.market import Pair
from crypto_predict.market.collected import Shard
from crypto_predict.sources.stored import CollectedMarket
from crypto_predict.training.fleet.progress import Outcome, Progress
from crypto_predict.training.fleet.release import check_refused, commit, prepare, read_earlier
from crypto_predict.training.fleet.task import Task
from crypto_predict.training.fleet.workers import side_by_side
from crypto_predict.training.options import TrainSettings
from crypto_predict.training.pipeline import CLOCKS_APART, packages
from crypto_predict.training.report import BAR
from crypto_predict.version import __version__
from crypto_predict.wording import counted


@dataclass(frozen=True, slots=True)
class FleetRun:
    """What a run has done."""

    release: Index
    trained: int  # pairs with a new model
    continued: int  # of these, those that an earlier run with the same command had finished


def train(settings: TrainSettings, now: datetime, open_database: Callable[[], CollectedMarket]) -> FleetRun:
    """Train the pairs of a shard, all by default, and write a model file for each and the index of them, last.

    Candles that are not closed at `now` (UTC) are not used. A pair that is refused keeps its earlier model. A pair
    without new candles is not trained. What a killed run with the same settings had finished is not done again.

    Raises:
        InvalidValue: The settings contradict themselves, or another process writes the folder.
        Refused: More pairs than `settings.most_refused` percent were refused; the index is not replaced.
        CryptoPredictError: What stops every pair, such as refused keys.
        OSError: A file cannot be written.
    """
    asked = _asked(settings, open_database)
    shard, folder = settings.shard or Shard(), settings.output
    mine = [pair for pair in asked if pair in shard]
    if settings.trained_at is not None and settings.trained_at > now + CLOCKS_APART:
        expected = f"before now, {now:%Y-%m-%d %H:%M:%S} UTC: check the clock"
        raise InvalidValue("SOURCE_DATE_EPOCH", settings.trained_at, expected)
    prepare(folder)
    with locked(folder / INDEX, "--output"):
        earlier = settings.champion or folder
        settings = replace(settings, environ=dict(settings.environ))  # that of the process cannot be sent to others
        task = Task(settings, now, earlier, read_earlier(earlier), recipe(settings), open_database)
        progress = Progress(folder)
        progress.begin(_plan(task))
        outcomes = {pair: outcome for pair in mine if (outcome := progress.outcome(pair)) and not outcome.refused}
        continued = len(outcomes)
        with contextlib.closing(_trained(task, [pair for pair in mine if pair not in outcomes])) as trained:
            outcomes |= dict(_shown(trained, len(mine), continued))
        release, origins = _release(task, asked, shard, outcomes)
        if shard.of == 1:  # the parts are judged where they are merged
            check_refused(release, settings.most_refused)
        commit(folder, release, origins)
        progress.end()
    return FleetRun(release, sum(outcome.is_new for outcome in outcomes.values()), continued)


def _asked(settings: TrainSettings, open_database: Callable[[], CollectedMarket]) -> tuple[Pair, ...]:
    """Return the pairs that are asked for, ascending, whose order is that of the index."""
    pairs = set(settings.pairs)
    if settings.every_pair is not None:
        pairs |= set(settings.every_pair.of(settings.sources, open_database))
    if len(pairs) > MOST_PAIRS:
        raise InvalidValue("--pair", counted(len(pairs), "pair"), f"few enough for one folder ({MOST_PAIRS:,})")
    return tuple(sorted(pairs))


def recipe(settings: TrainSettings) -> str:
    """Return the SHA-256 of what decides the numbers of a model beside its candles: see `IndexedModel.recipe`."""
    rivals = [
        (name, sha256(Path(name).read_bytes()).hexdigest() if Path(name).is_file() else "") for name in settings.rivals
    ]
    deciding = (
        *(settings.days, settings.hours, settings.seed, settings.horizons, settings.every, rivals),
        *(settings.rival_every, settings.rival_seconds, settings.serve, settings.thresholds, settings.enforced),
        *(__version__, schema.VERSION, platform.python_version(), sorted(packages().items())),
    )
    return sha256(repr(deciding).encode()).hexdigest()


def _plan(task: Task) -> str:
    """Return what the outcomes of a run are made for; those of another one are not continued."""
    settings, index = task.settings, task.earlier / INDEX
    day = closing_limit(settings.until, task.now).date()
    release = settings.trained_at, settings.version, settings.git_revision
    earlier = sha256(index.read_bytes()).hexdigest() if index.exists() else ""
    return sha256(repr((task.recipe, settings.sources, str(day), release, earlier)).encode()).hexdigest()


def _trained(task: Task, pairs: Sequence[Pair]) -> Generator[tuple[Pair, Outcome]]:
    """Train pairs here, or in several processes, and yield their outcomes as they come."""
    if task.settings.workers == 1:
        yield from ((pair, task.train(pair)) for pair in pairs)
    else:
        yield from side_by_side(task.train, pairs, task.settings.workers, task.give_up)


def _shown(outcomes: Iterator[tuple[Pair, Outcome]], total: int, done: int) -> Iterator[tuple[Pair, Outcome]]:
    """Pass outcomes on, and show on a terminal how many there are."""
    refused = 0
    with (
        logging_redirect_tqdm(),
        tqdm(total=total, initial=done, bar_format=BAR.replace("steps", "pairs"), disable=None) as bar,
    ):
        for pair, outcome in outcomes:
            refused += outcome.refused is not None
            bar.set_description_str(f"{pair}{f', {refused} refused' if refused else ''}")
            bar.update()
            yield pair, outcome


def _release(
    task: Task, asked: tuple[Pair, ...], shard: Shard, outcomes: dict[Pair, Outcome]
) -> tuple[Index, dict[Pair, Path]]:
    """Return the index of the release, and the folder where each of its models is."""
    new = Progress(task.settings.output).folder
    models, refused, origins = {}, {}, {}
    for pair, outcome in sorted(outcomes.items()):
        if outcome.model is not None:
            models[pair], origins[pair] = outcome.model, new if outcome.is_new else task.earlier
        if outcome.refused is not None:
            refused[pair] = outcome.refused
    return Index(asked, str(shard), models, refused), origins
