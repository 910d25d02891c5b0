"""How far log price may move: its scale, and the quantiles of its distribution.

* ``ranges``: how far candles moved, and means of it that forget
* ``scale``: the size of the next move, fitted to the past
* ``residuals``: calibrated quantiles of moves in units of their scale
* ``losses``: the scores of quantiles and intervals
* ``days``: the distribution at the closes of the next days
* ``volatility``: the long memory of daily returns
"""
