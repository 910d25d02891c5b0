"""How far log price may move: its scale, and the quantiles of its distribution.

* ``scale``: the size of the next move, fitted to the past, and what it depends on: ranges, and means that forget
* ``quantiles``: calibrated quantiles of moves in units of their scale; the losses of quantiles and intervals
* ``binned``: the same of calm and wild times apart, for hours and minutes
* ``days``: the distribution at the closes of the next days
* ``hours``: the distribution over the next 24 hours
* ``volatility``: the long memory of daily returns
"""
