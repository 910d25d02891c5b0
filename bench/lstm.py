"""An LSTM on minutes, beside our minute forecast and persistence: ``make lstm``, or ``python -m bench.lstm``.

The recipe is that of many published projects: engineered features of the past half hour, logarithms, a standardised
target that is the price minus a baseline, a split of 80-10-10 % in time order, and the mean squared error as loss. The
baseline is the newest price, so the target is the change of log price, and a network that outputs 0 is persistence.

A second network of the same kind is trained on the Winkler score of its 80 % interval.

The first 80 % of the minutes train the networks, the next 10 % decide when training ends and calibrate the interval,
and the last 10 % are only scored. Our coefficients are fitted once, on the first 90 %. All are scored at the same
minutes. Keras computes with JAX; ``requirements-lstm.txt`` has both. The same seed gives the same numbers on the same
processor; another one rounds differently, which training magnifies.
"""

import argparse
import csv
import importlib.util
import math
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from crypto_predict.baked.schema import COVERAGE
from crypto_predict.forecasting.distribution.quantiles import GAUSSIAN, interval_score
from crypto_predict.forecasting.minutes.backtest import HORIZONS, last_day_volatility
from crypto_predict.forecasting.minutes.features import Minutes, calendar, signs, sizes
from crypto_predict.forecasting.minutes.model import Coefficients
from crypto_predict.forecasting.significance import diebold_mariano
from crypto_predict.history.columns import Candles, FloatArray, IntArray
from crypto_predict.market import Interval, Pair
from crypto_predict.market.forecast import LEVELS
from crypto_predict.sources.csv_file import read_csv

SCORES, EPOCHS = (Path(__file__).with_name(f"lstm_{name}.csv") for name in ("scores", "epochs"))  # as published
TRAINED, VALIDATED = 0.8, 0.9  # shares of the minutes up to which a part extends

WINDOW = 30  # minutes that the network sees; the features of each one remember up to a week
UNITS = 32  # of the LSTM: some 10,000 parameters for 100,000 minutes
DROPOUT = 0.2
BATCH = 512  # windows
RATE = 1e-3  # of Adam, its default
MOST_EPOCHS = 30
PATIENCE = 3  # epochs without a smaller validation loss, after which training ends
SEED = 0

LOW, HIGH = LEVELS.index(0.1), LEVELS.index(0.9)


class Score(NamedTuple):
    """The score of one forecaster of one pair at one horizon. Errors are of log price, in basis points (1e-4)."""

    pair: str
    horizon_minutes: int
    forecaster: str  # lstm, ours or persistence
    forecasts: int
    mae: float
    mse: float
    relative_mae: float  # to persistence
    relative_mse: float
    p_value: float  # of the Diebold-Mariano test that the absolute errors are those of persistence, two-sided
    r_squared: float  # of the price itself, by which persistence, too, looks perfect
    coverage: float  # of the 80 % interval
    relative_winkler: float  # to persistence with a Gaussian interval of the last day's volatility


class Epoch(NamedTuple):
    """The mean squared errors of the LSTM's point relative to persistence, mean of the horizons, during training."""

    pair: str
    epoch: int  # passes over the training's windows
    training: float  # mean of the epoch, with dropout
    validation: float  # at its end


class Parts(NamedTuple):
    """Minutes with a forecast and its outcome, as indices, in time order. No outcome reaches into the next part."""

    train: IntArray
    validation: IntArray
    test: IntArray

    @classmethod
    def of(cls, minutes: Minutes, moves: FloatArray) -> "Parts":
        """Split the minutes that have all moves (n, h) and a whole window without a gap."""
        segment, first = minutes.segment, WINDOW - 1
        usable = minutes.can_speak & np.isfinite(moves).all(axis=1)
        usable[:first] = False
        usable[first:] &= segment[first:] == segment[: len(segment) - first]
        rows = np.flatnonzero(usable)
        ends = [int(share * len(minutes)) for share in (0.0, TRAINED, VALIDATED, 1.0)]
        return cls(*(rows[(rows >= start) & (rows + max(HORIZONS) < end)] for start, end in pairwise(ends)))


class Forecasts(NamedTuple):
    """Changes of log price as one forecaster predicts them, (m, h) each."""

    point: FloatArray
    low: FloatArray
    high: FloatArray


class Trained(NamedTuple):
    """What a trained network predicts, and how it was learned."""

    validation: FloatArray  # (m, k)
    test: FloatArray  # (m, k)
    losses: list[tuple[float, float]]  # of the training and of the validation, by epoch


def compare(pair: Pair, candles: Candles, most_epochs: int = MOST_EPOCHS) -> tuple[list[Score], list[Epoch]]:
    """Return the scores on the last tenth of the candles of one minute, ascending, and how the LSTM was trained."""
    minutes = Minutes.of(candles)
    moves = np.column_stack([minutes.moves(horizon) for horizon in HORIZONS])  # (n, h)
    sigma = last_day_volatility(minutes)[:, None] * np.sqrt(HORIZONS)  # (n, h)
    parts = Parts.of(minutes, moves + sigma)  # where both are known
    gaussian = GAUSSIAN * sigma[parts.test]
    lstm, losses = _lstm(minutes, moves, sigma, parts, most_epochs)
    forecasters = {
        "lstm": lstm,
        "ours": _ours(minutes, parts.test),
        "persistence": Forecasts(np.zeros_like(gaussian), -gaussian, gaussian),
    }
    scores = [
        score
        for column, horizon in enumerate(HORIZONS)
        for score in _scores(
            pair,
            horizon,
            minutes.log_close[parts.test],
            moves[parts.test, column],
            {name: Forecasts(*(one[:, column] for one in found)) for name, found in forecasters.items()},
        )
    ]
    return scores, [Epoch(str(pair), number, *both) for number, both in enumerate(losses, start=1)]


def _scores(
    pair: Pair, horizon: int, log_price: FloatArray, actual: FloatArray, forecasters: dict[str, Forecasts]
) -> Iterator[Score]:
    """Score forecasts of one horizon at the same minutes, (m,) each."""
    errors = {name: np.abs(actual - found.point) for name, found in forecasters.items()}
    winklers = {
        name: float(interval_score(actual, found.low, found.high, COVERAGE).mean())
        for name, found in forecasters.items()
    }
    reference = errors["persistence"]
    price = np.exp(log_price + actual)
    for name, found in forecasters.items():
        error = errors[name]
        test = diebold_mariano(error, reference, horizon)
        yield Score(
            str(pair),
            horizon,
            name,
            len(actual),
            mae=1e4 * float(error.mean()),
            mse=1e8 * float(np.mean(error**2)),
            relative_mae=float(error.mean() / reference.mean()),
            relative_mse=float(np.mean(error**2) / np.mean(reference**2)),
            p_value=math.nan if test is None else test[1],
            r_squared=1 - float(np.var(price - np.exp(log_price + found.point)) / np.var(price)),
            coverage=float(np.mean((found.low <= actual) & (actual <= found.high))),
            relative_winkler=winklers[name] / winklers["persistence"],
        )


def _ours(minutes: Minutes, test: IntArray) -> Forecasts:
    """Return our forecasts at the minutes `test`, fitted on those up to the last tenth."""
    fitted = Coefficients.fit(minutes[: int(VALIDATED * len(minutes))])
    points, quantiles = fitted.moves(minutes.known[test], minutes.minute[test])
    ahead = np.array(HORIZONS) - 1
    return Forecasts(points[:, ahead], quantiles[:, ahead, LOW], quantiles[:, ahead, HIGH])


def _lstm(
    minutes: Minutes, moves: FloatArray, sigma: FloatArray, parts: Parts, most_epochs: int
) -> tuple[Forecasts, list[tuple[float, float]]]:
    """Train both networks; return their forecasts at the minutes of the test, and the losses of the point by epoch.

    The point is in standard deviations of the moves (n, h) of the training. The interval is in units of `sigma` (n, h),
    trained on its Winkler score in log price, and multiplied by what makes it hold 80 % of the validation's outcomes:
    Romano, Patterson and Candes, "Conformalized quantile regression", Advances in Neural Information Processing Systems
    32, 2019, with a factor in place of a term.
    """
    features = engineered(minutes, parts.train)
    windows = [_windows(features, rows) for rows in parts]
    unit = moves[parts.train].std(axis=0)
    point = _train(windows, [moves[rows] / unit for rows in parts[:2]], None, most_epochs)
    weights = [sigma[rows, 0] / sigma[parts.train, 0].mean() for rows in parts[:2]]
    widths = _train(windows, [moves[rows] / sigma[rows] for rows in parts[:2]], weights, most_epochs)
    below, above = np.split(widths.validation, 2, axis=1)
    actual = moves[parts.validation] / sigma[parts.validation]
    factor = np.quantile(np.where(actual < 0, -actual / below, actual / above), COVERAGE, axis=0)
    below, above = np.split(widths.test, 2, axis=1)
    scale = factor * sigma[parts.test]
    zero = [float(np.mean((moves[rows] / unit) ** 2)) for rows in parts[:2]]  # the losses of persistence
    losses = [(training / zero[0], validation / zero[1]) for training, validation in point.losses]
    return Forecasts(unit * point.test, -below * scale, above * scale), losses


def engineered(minutes: Minutes, train: IntArray) -> FloatArray:
    """Return (n, f) the features of our own forecast and the newest return, standardised on the minutes `train`."""
    usual = float(np.abs(minutes.returns[: train[-1] + 1]).mean())
    found = np.column_stack(
        [
            minutes.returns,
            sizes(minutes.known, usual),
            signs(minutes.known, usual),
            calendar(minutes.minute, np.ones(len(minutes), dtype=np.int64)),
        ]
    )
    mean, deviation = found[train].mean(axis=0), found[train].std(axis=0)
    varies = deviation > 1e-9  # trades and taker volumes do not, where the source does not have them
    return np.asarray((found[:, varies] - mean[varies]) / deviation[varies])


def _windows(features: FloatArray, rows: IntArray) -> FloatArray:
    """Return (m, `WINDOW`, f) the features of the minutes up to each of `rows`, in single precision."""
    every = sliding_window_view(features.astype(np.float32), WINDOW, axis=0)  # (n - window + 1, f, window)
    return np.ascontiguousarray(every[rows - WINDOW + 1].transpose(0, 2, 1))


def _train(
    windows: Sequence[FloatArray], targets: Sequence[FloatArray], weights: Sequence[FloatArray] | None, most_epochs: int
) -> Trained:
    """Train a network on `targets` (m, h) of the training and of the validation; `windows` are those of all `Parts`.

    Without `weights` it predicts the targets with the smallest squared error; with weights (m,), intervals with the
    smallest Winkler score: how far they reach below and above the newest price, (m, 2 h).
    """
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras  # noqa: PLC0415 an optional extra, which reads the variable as it is imported

    def winkler(actual: Any, widths: Any) -> Any:
        below, above = keras.ops.split(widths, 2, axis=1)
        missed = keras.ops.relu(actual - above) + keras.ops.relu(-below - actual)
        return keras.ops.mean(below + above + 2 / (1 - COVERAGE) * missed, axis=1)

    keras.utils.set_random_seed(SEED)
    of_point = weights is None
    network = keras.Sequential(
        [
            keras.Input(windows[0].shape[1:]),
            keras.layers.LSTM(UNITS),
            keras.layers.Dropout(DROPOUT),
            keras.layers.Dense(len(HORIZONS)) if of_point else keras.layers.Dense(2 * len(HORIZONS), "softplus"),
        ]
    )
    network.compile(keras.optimizers.Adam(RATE), loss="mse" if of_point else winkler)
    train, validation = (
        (x, y.astype(np.float32), weight)
        for x, y, weight in zip(windows[:2], targets, weights or (None, None), strict=True)
    )
    history = network.fit(
        *train[:2],
        sample_weight=train[2],
        batch_size=BATCH,
        epochs=most_epochs,
        validation_data=validation if weights else validation[:2],
        callbacks=[keras.callbacks.EarlyStopping(patience=PATIENCE, restore_best_weights=True)],
        verbose=0,
    ).history
    validated, tested = (network.predict(part, batch_size=BATCH, verbose=0).astype(np.float64) for part in windows[1:])
    return Trained(validated, tested, list(zip(history["loss"], history["val_loss"], strict=True)))


def write(rows: Sequence[Score] | Sequence[Epoch], path: Path) -> None:
    """Write the rows as CSV, with the digits that mean something."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(rows[0]._fields)
        table.writerows([f"{value:.5g}" if isinstance(value, float) else value for value in row] for row in rows)


def why_not() -> str | None:
    """Return why the network cannot be trained here; None if it can."""
    missing = [name for name in ("keras", "jax") if importlib.util.find_spec(name) is None]
    return f"not installed: {' and '.join(missing)}; install requirements-lstm.txt" if missing else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and score, and write both tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.lstm", description=__doc__.partition("\n")[0])
    parser.add_argument("--pair", default="BTC/USD,ETH/USD", help="pairs, with commas (default: %(default)s)")
    parser.add_argument(
        "--source", required=True, help="file:PATH of candles of one minute; may contain {base}, {quote}"
    )
    options = parser.parse_args(arguments)
    if not options.source.startswith("file:"):
        parser.error(f"--source {options.source!r}: expected file:PATH of candles of one minute")
    if reason := why_not():
        print(f"the LSTM is not trained: {reason}", file=sys.stderr)
        return 1
    scores: list[Score] = []
    epochs: list[Epoch] = []
    for pair in map(Pair.parse, options.pair.split(",")):
        print(f"{pair}: training", file=sys.stderr)
        rows = read_csv(pair.fill(Path(options.source.removeprefix("file:"))))
        found = compare(pair, Candles.of((candle for candle, _ in rows), Interval.MINUTE_1))
        scores += found[0]
        epochs += found[1]
    write(scores, SCORES)
    write(epochs, EPOCHS)
    for path in (SCORES, EPOCHS):
        print(path.read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
