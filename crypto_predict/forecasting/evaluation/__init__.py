"""Out-of-sample evaluation.

* ``replay``: the forecasts of past cutoffs, each from what was known by then
* ``forecasts``: the forecasts over one horizon, and their losses
* ``scoring``: the scores of a backtest, and their words
* ``hours``: the forecasts of past hours, and their scores
* ``intraday``: the scores that minutes and hours share
* ``harness``, ``comparison``: all models at the same cutoffs, beside persistence and beside each other
* ``hindcasts``: their forecasts of the past as they are baked
* ``touches``: how often prices were touched on the way, beside what was said
* ``metrics``: the formulas of the scores, each with its source
"""
