"""The forecasts of all candidates at every cutoff, from parameters that are estimated once a week.

A model file keeps estimates for the next training, each under a digest of the closes that it was made from: most of the
history has not changed until then. Nothing else decides whether an estimate is used again: with other closes, or with
other versions of the libraries, the digest is another one, and the estimate is made anew. So a training gives the same
bytes with and without earlier estimates. They are single-precision numbers, seven digits of a log price: more would
only make the file larger.
"""

import base64
import hashlib
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from itertools import islice

import numpy as np
from statsmodels.tools.sm_exceptions import ModelWarning
from threadpoolctl import threadpool_limits

from crypto_predict.errors import InvalidValue
from crypto_predict.forecasting.candidates import CANDIDATES
from crypto_predict.forecasting.candidates.candidate import WEEK, Week
from crypto_predict.forecasting.candidates.prophet import PROPHET
from crypto_predict.forecasting.series import DailySeries
from crypto_predict.history.columns import FloatArray, IntArray

METHOD = 1  # of estimation; raised with every change of it
CHECKED_EVERY = 50  # estimates of an earlier training, of which one is made again

_DIGEST_BYTES = 8
_NUMBER = np.dtype("<f4")
_ENTRY_BYTES = _DIGEST_BYTES + sum(candidate.numbers for candidate in CANDIDATES) * _NUMBER.itemsize

Progress = Callable[[int], object]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Estimates:
    """Estimates of all candidates; NaN where the parameters could not be identified."""

    by_digest: Mapping[bytes, bytes] = field(default_factory=dict)
    carried: int = field(default=0, compare=False)  # of these, those of an earlier training

    @classmethod
    def parse(cls, texts: Sequence[str]) -> "Estimates":
        """Return the estimates of what `texts` has returned.

        Raises:
            InvalidValue: A text is not that of an estimate.
        """
        by_digest = dict[bytes, bytes]()
        for text in texts:
            try:
                entry = base64.b64decode(text, validate=True)
            except ValueError as error:
                raise InvalidValue("estimate", text, "base64") from error
            if len(entry) != _ENTRY_BYTES:
                raise InvalidValue("estimate", text, f"base64 of {_ENTRY_BYTES} bytes")
            by_digest[entry[:_DIGEST_BYTES]] = entry[_DIGEST_BYTES:]
        return cls(by_digest)

    def texts(self) -> tuple[str, ...]:
        """Return each as base64: the first 8 bytes of the digest, and single-precision numbers."""
        return tuple(base64.b64encode(digest + numbers).decode() for digest, numbers in self.by_digest.items())

    def checked(self, windows: Sequence[FloatArray]) -> "Estimates":
        """Return those of these closes, or none if one of a sample differs from what is estimated here."""
        ours = {digest: window for window in windows if (digest := _digest(window)) in self.by_digest}
        for digest in list(ours)[::-CHECKED_EVERY]:
            if self.by_digest[digest] != _estimate(ours[digest]):
                _log.warning("estimates of the earlier training differ from those made here: all are made anew")
                return Estimates()
        return Estimates({digest: self.by_digest[digest] for digest in ours})

    def find(self, window: FloatArray) -> tuple[bytes, bytes]:
        """Return the digest and the numbers of these log closes, estimated if they are not among these."""
        digest = _digest(window)
        return digest, self.by_digest.get(digest) or _estimate(window)


NOTHING = Estimates()


def _digest(log_close: FloatArray) -> bytes:
    """Return the digest of these closes and of everything else that an estimate depends on."""
    return hashlib.sha256(_method() + log_close.astype("<f8").tobytes()).digest()[:_DIGEST_BYTES]


@cache
def _method() -> bytes:
    return " ".join([str(METHOD), *map(version, ("numpy", "scipy", "statsmodels"))]).encode()


def _estimate(window: FloatArray) -> bytes:
    """Return the numbers of all candidates, estimated from n log closes."""
    numbers = list[float]()
    for candidate in CANDIDATES:
        try:
            numbers += candidate.estimate(window)
        except np.linalg.LinAlgError:  # a history of a few exact repetitions does not identify the parameters
            numbers += [math.nan] * candidate.numbers
    return np.array(numbers, _NUMBER).tobytes()


def forecast_weekly(  # noqa: PLR0913, PLR0917 the last two have defaults
    series: DailySeries,
    cutoffs: IntArray,
    horizons: Sequence[int],
    alone: Sequence[int],
    longest: int,
    progress: Progress = bool,
    earlier: Estimates = NOTHING,
) -> tuple[FloatArray, FloatArray, FloatArray, Estimates]:
    """Return the forecasts of all candidates at each cutoff, from nothing but the history up to it.

    These are the increments of log price since the close of the cutoff (m, candidates, horizons), the log price of
    Prophet's curve itself (m, k), the standard deviation of the closes around it (m,), and the estimates for the next
    training. Where Prophet could not be fitted, its curve is NaN.

    `cutoffs` (m,) are ascending indices into the series, each with at least 30 days up to the estimation before it.
    `horizons` are the days ahead of the increments, and `alone` those of Prophet's curve itself. A fit sees at most
    `longest` days. A candidate that fails forecasts persistence: increments of zero. `progress` gets the number of
    cutoffs done. `earlier` are the estimates of an earlier training, which change nothing but the time it takes.
    """
    increments = np.full((len(cutoffs), len(CANDIDATES), len(horizons)), np.nan)
    curve, noise = np.full((len(cutoffs), len(alone)), np.nan), np.full(len(cutoffs), np.nan)
    ahead, by_digest = np.array([*horizons, *alone]), dict[bytes, bytes]()
    # The matrices are small: threads would only wait for one another. Optimisers warn on flat or short histories; those
    # forecasts are scored like any other.
    with threadpool_limits(1), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", ModelWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        weeks = list(_weeks(series, cutoffs, longest))
        carried = earlier.checked([week.window for _, week in weeks])
        for rows, week in weeks:
            digest, by_digest[digest] = carried.find(week.window)
            numbers = iter(np.frombuffer(by_digest[digest], _NUMBER).tolist())
            for column, candidate in enumerate(CANDIDATES):
                estimate = list(islice(numbers, candidate.numbers))
                with suppress(np.linalg.LinAlgError):
                    forecast = candidate.forecast(week, estimate, ahead)
                    increments[rows, column] = forecast.increments[:, : len(horizons)]
                    if candidate is PROPHET and forecast.curve is not None and forecast.noise is not None:
                        curve[rows], noise[rows] = forecast.curve[:, len(horizons) :], forecast.noise
            progress(len(rows))
    increments[~np.isfinite(increments).all(axis=2)] = 0.0
    return increments, curve, noise, Estimates(by_digest, len(carried.by_digest))


def _weeks(series: DailySeries, cutoffs: IntArray, longest: int) -> Iterator[tuple[IntArray, Week]]:
    """Yield the places of the cutoffs (k,) of each week, ascending, and the week."""
    origins = np.maximum(cutoffs - series.days[cutoffs] % WEEK, 0)
    for origin in np.unique(origins).tolist():
        rows = np.flatnonzero(origins == origin)
        steps = cutoffs[rows] - origin
        yield rows, Week(series.until(origin, longest), series.until(int(cutoffs[rows[-1]]), int(steps[-1])), steps)
