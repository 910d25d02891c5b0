"""Forecasts of the next 15 minutes: the point, and quantiles of the price at the end of each minute.

* ``features``: what is known of a market at the close of a minute, as arrays and as a state that one candle updates
* ``model``: coefficients, fitted to the minutes of one pair, and forecasts from them
* ``outcomes``: the scores of forecasts whose outcome has come
* ``backtest``: forecasts of the past, each made with what was known by then

NumPy is the only library: the collector makes these forecasts, and its image does not have more.
"""
