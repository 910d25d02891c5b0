"""Live collecting: streams of exchanges in, candles, quotes and the states of the streams out, in one process.

* ``collector``: puts everything together; start and end
* ``events``: what happens between the parts, and who hears of it
* ``pairs``: which series are collected, as the database has them
* ``streams``: the stream of each source
* ``fetching``: REST beside the streams
* ``forecasting``: minute forecasts of what is stored
* ``writer``: stores what has arrived, also after the database was away
* ``measurements``, ``metrics``: what the collector measures, and serves for Prometheus and health checks
* ``process``: signals, and an end in time
"""
