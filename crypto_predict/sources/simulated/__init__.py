"""An invented market, identical for the same seed, for machines without a network.

* ``market``: its candles
* ``stream``: the same candles as they close, and quotes
"""

from crypto_predict.sources.simulated.market import GENESIS, Simulated
from crypto_predict.sources.simulated.stream import SimulatedFeed

__all__ = ["GENESIS", "Simulated", "SimulatedFeed"]
