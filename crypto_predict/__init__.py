"""Crypto Predict: train once, bake the result, serve it fast.

The parts stand on floors, and imports run downwards only:

=====  ==========================================================================================
floor  parts
=====  ==========================================================================================
0      ``errors``, ``market`` (Pair, Interval, Span, Candle; the ports between parts), ``version``,
       ``wording``, ``prerequisites`` (Python and the packages)
1      ``settings``, ``command_line`` (options and environment), ``logs``,
       ``baked`` (the model file: schema, safe loading, evaluation in plain Python)
2      ``sources`` (exchanges, CSV files, a simulated market), ``history`` (checks, gaps, digest)
3      ``forecasting`` (candidates, distribution, evaluation, gate, record)
4      ``training`` (history to model file), ``web`` (model file to HTTP),
       ``release`` (commands of the release workflow)
=====  ==========================================================================================

``web`` imports floors 0 and 1 only: the serving image contains neither Prophet nor pandas.
"""
