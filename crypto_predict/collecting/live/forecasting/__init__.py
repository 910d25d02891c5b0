"""Minute forecasts of every pair that is collected.

* ``loop``: scores and makes the forecasts of all pairs
* ``series``: a forecast pair: its new candles, its forecasts not yet stored, and its next fit
* ``state``: the forecasting state of a pair, which follows its candles, and its coefficients
"""
