"""The baked model: what training hands to serving.

* ``schema``: what the model file holds, as frozen dataclasses of plain values
* ``scores``, ``scorecard``: the parts of it that say how forecasts did, in the backtest and since their release
* ``plain``: those dataclasses as dicts and lists, and back with every fault named
* ``store``: atomic writing and safe loading of ``model.pkl``
* ``evaluation``: the forecast for any day or instant, in plain Python
"""
