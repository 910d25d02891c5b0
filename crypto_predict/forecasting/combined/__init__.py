"""Our own forecast of the price: Prophet, combined with persistence.

* ``prophet``: Prophet's curve in milliseconds, at every cutoff of a backtest
* ``combination``: how much of its moves the forecast takes, learned from forecasts whose outcome is known
* ``prophet_fit``: Prophet as the library fits it, which is baked
"""
