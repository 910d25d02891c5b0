"""Collecting the market: exchanges in, a database of checked candles out.

* ``options``: the command line and the environment, as one frozen value
* ``commands``: what each mode of ``collect.py`` does, and its report
* ``backfill``: one series, window by window
* ``missing``: which windows are asked for
* ``gaps``, ``status``: reports about what is stored
* ``progress``: a bar on a terminal, otherwise log lines
"""
