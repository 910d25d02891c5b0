"""The processes that train pairs: what becomes of a pair whose worker dies."""

import os
import pickle
import signal
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from crypto_predict.baked.index import Refusal
from crypto_predict.errors import CryptoPredictError, InvalidValue, Refused, RefusedKeys, UnusableHistory
from crypto_predict.market import Pair
from crypto_predict.training.fleet.progress import Outcome
from crypto_predict.training.fleet.workers import side_by_side

PAIRS = [Pair(f"SIM{number}", "USD") for number in range(6)]
AT = datetime(2025, 7, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Dying:
    """A training in which the worker of some pairs dies, so many times each; every attempt is noted in a file."""

    folder: Path
    deaths: dict[Pair, int]

    def train(self, pair: Pair) -> Outcome:
        """Die, or end without a model."""
        with (self.folder / pair.slug).open("a") as log:
            log.write(f"{os.getpid()}\n")
        if len((self.folder / pair.slug).read_text().splitlines()) <= self.deaths.get(pair, 0):
            os.kill(os.getpid(), signal.SIGKILL)
        return Outcome(None, is_new=False)


def lost(pair: Pair, reason: str) -> Outcome:
    return Outcome(None, is_new=False, refused=Refusal(AT, (f"{pair}: {reason}",)))


def test_a_worker_that_dies_is_replaced_and_its_pair_tried_again(tmp_path: Path) -> None:
    """A pair that ends every worker is given up, and the others are trained."""
    training = Dying(tmp_path, {PAIRS[0]: 1, PAIRS[3]: 9})
    outcomes = dict(side_by_side(training.train, PAIRS, 2, lost))
    assert sorted(outcomes) == PAIRS
    refused = {pair: outcome.refused.reasons for pair, outcome in outcomes.items() if outcome.refused}
    assert list(refused) == [PAIRS[3]]
    assert "its worker was ended by SIGKILL, perhaps since the memory" in refused[PAIRS[3]][0]
    assert len((tmp_path / PAIRS[3].slug).read_text().splitlines()) == 2


def refuse_keys(pair: Pair) -> Outcome:
    raise RefusedKeys("alpaca", f"the keys are not accepted for {pair}")


def test_an_error_that_stops_every_pair_is_raised_where_they_are_asked_for() -> None:
    with pytest.raises(RefusedKeys, match="the keys are not accepted for SIM0/USD"):
        list(side_by_side(refuse_keys, PAIRS, 1, lost))


@pytest.mark.parametrize(
    "error",
    [
        InvalidValue("--days", 0, "positive"),
        Refused(["BTC/USD: too old"]),
        UnusableHistory("BTC/USD", ["no candles"]),
        RefusedKeys("alpaca", "401"),
    ],
)
def test_errors_pass_between_processes_with_their_facts(error: CryptoPredictError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
