"""The training pipeline: settings in, a model file and a report out.

* ``options``, ``settings``: the command line and the environment, as a frozen value for each concern
* ``pipeline``: the whole run
* ``histories``: the prices of a pair; ``pair``: its backtest and forecast
* ``earlier``: the champion and the ledger of the release before
* ``outputs``: the checks of the files to write
* ``card``, ``report``, ``picture``, ``backtest_csv``: what describes the result
"""
