"""Live collecting: streams of exchanges in, candles, quotes and the states of the streams out, in one process.

* ``collector``: puts everything together; what is followed, start and end
* ``supervisor``: keeps the stream of one source connected
* ``pipeline``: what becomes of the events of one stream
* ``heartbeats``, ``quotes``, ``ticks``: when a stream was connected, the top of the book, candles built from ticks
* ``writer``: stores what has arrived, also after the database was away
* ``filler``, ``roster``, ``comparison``: joins the stream with REST
* ``forecasts``: minute forecasts of what is stored; ``followed``, ``track``, ``preparing``: those of one pair
* ``expected``: how much will be fetched, as far as that is known at the start
* ``figures``, ``metrics``: what the collector measures, and serves for Prometheus and health checks
* ``process``, ``beside``: signals, or a thread beside a server
* ``apart``: work that blocks, beside the event loop
"""
