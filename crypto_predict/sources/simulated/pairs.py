"""The list of the invented market's pairs: those of the currencies that it has a price level for, then invented ones.

The market has every pair; the list is for whoever asks for all of them, or for so many.
"""

from itertools import count, islice

from crypto_predict.market import Pair
from crypto_predict.sources.simulated.market import CURRENCIES

LISTED = 200  # pairs, unless another number is asked for


def simulated_pairs(most: int | None = None) -> tuple[Pair, ...]:
    """Return the first `most` pairs of the list: BTC/USD, ETH/USD, ..., SIM1/USD, SIM2/USD, ..."""
    known = (Pair(currency, "USD") for currency in CURRENCIES)
    invented = (Pair(f"SIM{number}", "USD") for number in count(1))
    return tuple(islice((pair for pairs in (known, invented) for pair in pairs), LISTED if most is None else most))
