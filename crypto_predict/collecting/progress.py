"""How far a run is: a bar on a terminal, otherwise a log line now and then."""

import logging
import time
from datetime import timedelta
from threading import Lock
from typing import Never

from tqdm import tqdm

from crypto_predict.wording import duration

SECONDS = 10.0  # between two log lines

_BAR = "{desc}{percentage:3.0f}% |{bar:20}| {n_fmt}/{total_fmt} candles, {rate_fmt}, {remaining} left"

_log = logging.getLogger(__name__)


class Progress:
    """The candles asked for of those wanted. Several threads may share it."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds  # between two log lines
        self._bar: tqdm[Never] = tqdm(total=0, bar_format=_BAR, unit_scale=True, disable=None, leave=False, unit="")
        self.close = self._bar.close
        self._lock = Lock()
        self._wanted = self._asked = 0
        self._began = self._logged = time.monotonic()

    def expect(self, candles: int) -> None:
        """Count candles that will be asked for; a negative number: that will not, after all."""
        with self._lock:
            self._wanted += candles
            self._bar.total = self._wanted

    def advance(self, name: str, candles: int) -> None:
        """Count candles of the series `name` that were asked for, whether they exist or not."""
        with self._lock:
            self._asked += candles
            self._bar.set_description_str(f"{name} ", refresh=False)
            self._bar.update(candles)
            now = time.monotonic()
            if self._bar.disable and now - self._logged >= self._seconds:
                self._logged = now
                rate = self._asked / (now - self._began)
                left = duration(timedelta(seconds=max(self._wanted - self._asked, 0) / max(rate, 1e-9)))
                counts = self._asked, self._wanted, 100 * self._asked / max(self._wanted, 1), rate
                _log.info("%s: %d of %d candles (%.0f %%), %.0f a second, %s left", name, *counts, left)
