"""From an audited history to the numbers that are baked, and to a verdict on them.

* ``series``: a history as arrays; ``significance``: the Diebold-Mariano test, confidence intervals
* ``combined``: our own forecast of the price, Prophet combined with persistence
* ``models``: one contract for further models, built in and of other people
* ``distribution``: volatility and the calibrated 80 % interval
* ``evaluation``: the backtest, its scores and their formulas
* ``minutes``: the forecasts of the next 15 minutes, which a collector makes
* ``gate``: faults of histories and scores, with their thresholds
* ``record``: released forecasts and their outcomes; ``live_losses``: their losses; ``live_days``: coverage by month
* ``live_probabilities``: those of round prices; ``live_touches``: those of touches; ``live_hours``: those of hours
* ``live_models``: those of each model
* ``daily``: the daily forecast of one pair as it is baked
"""
