"""The training pipeline: settings in, a model file and a report out.

* ``options``: the command line and the environment, as one frozen value
* ``pipeline``: the whole run
* ``collected``: the pairs of ``--pair collected``, and what becomes of one that fails
* ``pair``: the prices of one pair, its backtest, its forecast and its card
* ``repeat``: a training at each multiple of an interval, in a process of its own
* ``previous_release``: the champion and the ledger of the release before
* ``outputs``: the files to write: their checks, and the CSV of the backtest
* ``minutes``: the scores of the minute forecasts of the past, and their report
* ``report``, ``picture``: what describes the result
"""
