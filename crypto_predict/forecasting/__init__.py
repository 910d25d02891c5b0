"""From a checked history to the numbers that are baked, and to a verdict on them.

The forecast:

* ``series``: a history as arrays, one value a day; ``arrays``: what several parts do with them
* ``candidates``: models that each say where log price goes; Prophet's fit is ``prophet_map``
* ``combination``: how much of what they say is taken, at each horizon
* ``volatility``, ``interval``: how far the price may move, calibrated to mean 80 %
* ``prophet_alone``: the forecast of Prophet alone, with its own interval
* ``prophet_fit``, ``bands``, ``forecast``: the fitted curve, and all of it together as it is baked

How good it is, and whether it may be released:

* ``backtest``: every forecast that could have been made before, made again; ``scoring``: its figures
* ``quality``: what is wrong with a history; ``gate``: the verdict
* ``ledger``, ``ledger_entries``, ``live_record``: released forecasts, their outcomes, and how they did
"""
