"""Collecting the market: exchanges in, a database of checked candles out.

* ``options``: the command line and the environment, as one frozen value
* ``commands``: what each mode of ``collect.py`` does, and its report
* ``registry``: which pairs are collected, and from which source
* ``backfill``: one series, from its first day on or from its newest candle on
* ``fetching``, ``windows``: the candles of one series, window by window
* ``live``: streams, REST beside them, and minute forecasts
* ``retention``: deletes candles that are older than they are kept
* ``rollups``: makes the longer candles of what is stored already
* ``gaps``, ``status``: reports about what is stored
* ``folders``: what the modes do that have an exported folder: ``exporting``, ``importing``, ``verifying``
* ``outages``: the register of outages, when it is brought up to date, and its report

Whatever uses the database raises `DatabaseError` if it cannot be used; what was stored before is stored.
"""
