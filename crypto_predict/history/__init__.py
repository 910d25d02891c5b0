"""A history that is ready for training: read from the first usable source, audited, and never filled in.

* ``audit``: defects in a stream of candles
* ``columns``: candles as NumPy arrays
* ``failover``: the choice of the source, and its comparison with another one

Candles that cannot be used are left out and counted: repeated ones (the last copy stays), impossible ones, and those
that do not open on the grid of their interval. The caller's judge decides about such defects.
"""

from crypto_predict.history.audit import place
from crypto_predict.history.columns import Candles
from crypto_predict.history.failover import (
    MIN_CANDLES,
    SETTLE,
    History,
    candles_since,
    closing_limit,
    compare_last_close,
    read_history,
)

__all__ = ["MIN_CANDLES", "SETTLE", "History", "candles_since", "closing_limit", "compare_last_close"]
__all__ += ["Candles", "place", "read_history"]
