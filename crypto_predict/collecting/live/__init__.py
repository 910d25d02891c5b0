"""Live collecting: streams of exchanges in, candles, quotes and the states of the streams out, in one process.

* ``collector``: puts everything together; start and end
* ``events``: what happens between the parts
* ``pairs``: which series are collected, as the database has them, and how much they lack
* ``shards``: which parts of all pairs are collected here, and which were taken over from a process that is gone
* ``streams``: the stream of each source
* ``fetching``: REST beside the streams
* ``forecasting``: minute forecasts of what is stored
* ``writer``: stores what has arrived, also after the database was away
* ``metrics``: what the collector measures, served for Prometheus and health checks
* ``process``: signals, and an end in time
"""
