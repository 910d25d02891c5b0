"""The speed of serving and the errors of the forecast, as ratios to peers in one run: ``make bench``.

* ``figures``: a measured ratio with its goal, and the table of them
* ``serving``: this server and its peers under load; ``load``: one server process and the load on it
* ``naive``: the peer of the usual tutorial, a pickled Prophet; ``bare``: one Flask route that returns a constant
* ``models``: the models of both, trained on the same history
* ``candles``: one day of minutes out of databases of two sizes
* ``backtest``: the backtest against Prophet's cross-validation
* ``minutes``: the minute forecasts of real prices against a Gaussian band, and their speed
* ``hours``: the same of hours
* ``histories``: the options and histories of ``losses``, ``probabilities`` and ``touches``, commands of their own
* ``distributions``: the CRPS of the forecast against those of GARCH(1,1), Prophet alone and persistence's Gaussian
* ``lstm``: an LSTM on minutes against our minute forecast; a command of its own, as it needs libraries of its own
* ``image``: the image against that of the tutorial
* ``ticks``: candles from ticks, against pandas
"""
