"""Cutoffs and weights count in steps, so they apply to minutes as to days."""

import numpy as np

from crypto_predict.forecasting.candidates.combination import learn_weights
from crypto_predict.forecasting.evaluation.replay import FIRST_CUTOFF, splits
from tests.support.markets import random_walk

MINUTE = 1 / 1440**0.5  # the deviation of a minute's return, in units of a day's


def test_cutoffs_and_weights_count_in_steps() -> None:
    """Every quarter of an hour over two days: a forecast that is right earns its weight, persistence is the rest."""
    log_close = MINUTE * random_walk(3, 2 * 1440)
    cutoffs = np.array(list(splits(len(log_close), every=15)))
    assert cutoffs[0] >= FIRST_CUTOFF - 1
    actual = np.full(len(cutoffs), np.nan)
    due = cutoffs + 15 < len(log_close)
    actual[due] = log_close[cutoffs[due] + 15] - log_close[cutoffs[due]]
    predicted = np.column_stack([np.where(due, actual, 0.0), np.zeros(len(cutoffs))])
    weights = learn_weights(cutoffs, predicted, actual, 15)[-1]
    assert weights[0] > 0.8
    assert weights[1] == 0
