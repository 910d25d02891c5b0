"""The training pipeline: settings in, a model file and a report out.

* ``options``: the command line and the environment, as one frozen value
* ``pipeline``: the whole run
* ``collected``: the pairs of ``--pair collected``, and what becomes of one that fails
* ``lists``: the pairs of ``--pair all`` and ``@FILE``
* ``fleet``: many pairs, each with a file of its own in one folder
* ``pair``: the prices of one pair, its backtest, its forecast and its card
* ``rivals``: the test of all models of one pair
* ``repeat``: a training at each multiple of an interval, in a process of its own
* ``outputs``: the files to write, with their checks, and those of the release before: champion and ledger
* ``hours``: the hours of a pair: what they are learned from, their quantiles and their scores
* ``intraday``: the scores of the forecasts of minutes and hours of the past, and their report
* ``report``, ``picture``: what describes the result
"""
