"""Crypto Predict: train once, bake the result, serve it fast.

The modules stand on floors, and imports run downwards only:

=====  ==========================================================================================
floor  what lives there
=====  ==========================================================================================
0      ``errors``, ``market`` (Pair, Interval, Span, Candle), ``version``, ``wording``,
       ``prerequisites`` (Python and the packages)
1      ``settings`` (options and environment), ``logs``, ``metrics`` (how good forecasts were),
       ``baked`` (the model file: schema, safe loading, evaluation in plain Python)
2      ``sources`` (one file an exchange), ``history`` (checks, gaps, digest)
3      ``forecasting`` (candidates, their combination, the interval, the backtest, gate and ledger)
4      ``training`` (history to model file) and ``web`` (model file to HTTP)
=====  ==========================================================================================

``web`` knows floors 0 and 1 alone: the serving image carries neither Prophet nor pandas.
"""
