"""Forecasts of every pair that is collected: of its next minutes, and of its next hours.

* ``loop``: scores and makes the minute forecasts of all pairs
* ``series``: a forecast pair: its new candles, its forecasts not yet stored, and its next fit
* ``state``: the forecasting state of a pair, which follows its candles, and its coefficients
* ``hours``: forecasts the next 24 hours of all pairs, after each hour
* ``hour_candles``: the hourly candles of a pair, as far as they are stored
* ``turns``: work that is done piece by piece, and leaves the machine to the streams
"""
