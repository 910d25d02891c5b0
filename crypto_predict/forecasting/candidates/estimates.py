"""The estimates that candidates keep, each under a digest of the closes that it was made from.

A model file keeps them for the next training: most of the history has not changed until then. Nothing else decides
whether an estimate is used again: with other closes, or with other versions of the libraries, the digest is another
one, and the estimate is made anew. So a training gives the same bytes with and without earlier estimates.

They are single-precision numbers, seven digits of a log price: more would only make the file larger.
"""

import base64
import hashlib
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from itertools import islice

import numpy as np

from crypto_predict.errors import InvalidValue
from crypto_predict.forecasting.candidates import CANDIDATES
from crypto_predict.history.columns import FloatArray

METHOD = 1  # of estimation; raised with every change of it
CHECKED_EVERY = 50  # estimates of an earlier training, of which one is made again

_DIGEST_BYTES = 8
_NUMBER = np.dtype("<f4")
_ENTRY_BYTES = _DIGEST_BYTES + sum(candidate.numbers for candidate in CANDIDATES) * _NUMBER.itemsize

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


def by_candidate(numbers: bytes) -> list[list[float]]:
    """Return the estimate of each candidate in `CANDIDATES`."""
    values = iter(np.frombuffer(numbers, _NUMBER).tolist())
    return [list(islice(values, candidate.numbers)) for candidate in CANDIDATES]


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
