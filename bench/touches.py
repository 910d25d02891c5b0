"""How often prices were touched that were given a probability: ``python -m bench.touches``.

At every close after the first year prices 2 to 30 % above and below it are asked for, 1, 7 and 30 days ahead. The curve
behind an answer is learned from what had come due by then. So are corridors: whether the price stays between two of
these that are opposite. Printed are the Brier score beside that of twice the probability of a close beyond the price,
its parts, and the answers by tenths: said, came, questions. The forecasts overlap, and so do the questions: neighbours
come about together.
"""

from collections.abc import Sequence

import numpy as np

from bench.histories import parser_of, series_of
from crypto_predict.baked.touches import SCORED_DAYS, TouchScore
from crypto_predict.forecasting.distribution.days import learn
from crypto_predict.forecasting.evaluation.replay import FIRST_CUTOFF
from crypto_predict.forecasting.evaluation.touches import (
    HORIZONS,
    TouchForecasts,
    learn_touches,
    score_corridors,
    score_touches,
)
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.wording import counted


def answered(series: DailySeries, first: int) -> dict[int, TouchForecasts]:
    """Return the answers at the closes of a history from the step `first` on, by horizon."""
    quantiles = learn(series, HORIZONS)[1]
    past = {horizon: quantiles[:, place] for place, horizon in enumerate(HORIZONS)}
    cutoffs = np.arange(first, len(series))
    return {learned.horizon: learned.forecasts for learned in learn_touches(series, past, cutoffs)}


def pooled(answers: Sequence[TouchForecasts]) -> TouchForecasts:
    """Return the answers of several pairs together."""
    return TouchForecasts(
        cutoffs=np.concatenate([each.cutoffs for each in answers]),
        closed=np.concatenate([each.closed for each in answers]),
        probability=np.concatenate([each.probability for each in answers]),
        touched=np.concatenate([each.touched for each in answers]),
    )


def _row(name: str, score: TouchScore) -> str:
    parts = f"{score.reliability:.4f} - {score.resolution:.4f} + {score.uncertainty:.4f}"
    ratio = score.brier / score.brier_reflection
    difference = 100 * (score.said - score.came)
    return f"{name:10} {score.questions:9,} {score.brier:.4f} {ratio:.4f} ({parts}) {difference:+.1f} points"


def main(arguments: Sequence[str] | None = None) -> None:
    """Ask the histories of all pairs, and print a table for each horizon."""
    parser = parser_of("touches", __doc__)
    parser.add_argument("--second-half", action="store_true", help="only the second half of each history")
    options = parser.parse_args(arguments)
    found = {
        pair: answered(series, len(series) // 2 if options.second_half else FIRST_CUTOFF - 1)
        for pair, series in series_of(options)
    }
    for asked, score_answers in (("touches", score_touches), ("corridors", score_corridors)):
        for horizon in SCORED_DAYS:
            ahead = f"{asked}, {counted(horizon, 'day')} ahead"
            print(f"\n{ahead}: questions, Brier score, to that of the rule, (parts), said minus came")
            for pair, answers in found.items():
                if (score := score_answers(horizon, answers[horizon])) is not None:
                    print(_row(str(pair), score))
            if (score := score_answers(horizon, pooled([answers[horizon] for answers in found.values()]))) is None:
                continue
            print(_row("all", score))
            for tenth in score.tenths:
                print(f"{100 * tenth.said:6.1f} % {100 * tenth.came:6.1f} % {tenth.questions:9,}")


if __name__ == "__main__":
    main()
