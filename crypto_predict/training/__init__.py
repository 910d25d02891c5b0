"""The training pipeline: settings in, a model file and a report out.

* ``pipeline``: histories, backtests, fits, the gate's verdict, the ledger and baking, for every pair
* ``options``: the command line and the environment as settings
* ``anchor``: the newest price, from which a forecast sets out
* ``outputs``: which files are written, and what is refused before the work
* ``backtest_csv``: every forecast of the backtest, one a row
* ``card``: the model card
* ``picture``: a drawing of the forecast
* ``followed``: what followed a forecast of the past, for its picture
* ``report``: what a run tells, as tables and as JSON
"""
