"""An invented market, identical for the same seed, for machines without a network.

* ``market``: its candles
* ``pairs``: its list of pairs
* ``stream``: the same candles as they close, and quotes
"""

from crypto_predict.sources.simulated.market import GENESIS, Simulated
from crypto_predict.sources.simulated.pairs import simulated_pairs
from crypto_predict.sources.simulated.stream import SimulatedFeed

__all__ = ["GENESIS", "Simulated", "SimulatedFeed", "simulated_pairs"]
