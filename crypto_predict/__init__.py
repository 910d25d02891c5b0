"""Crypto Predict: train once, bake the result, serve it fast.

The parts stand on floors, and imports run downwards only:

0. ``market`` (pair, interval, candle; the interfaces between parts), ``errors``, ``version``, ``wording`` (numbers in
   words), ``prerequisites`` (Python and packages), ``locks`` (between processes), ``threads`` (with a result),
   ``outages`` (backoff), ``logs`` (JSON lines), ``http_server`` (HTTP/1.1 in front of a WSGI application)
1. ``baked`` (the model file and the ledger: schema, safe loading, evaluation in plain Python), ``settings`` and
   ``command_line`` (options and environment)
2. ``sources`` (an adapter for each exchange), ``history`` (checks, gaps, choice of a source), ``store`` (the database:
   tables, migrations, reads and writes), ``dataset`` (a folder of Parquet files with a manifest)
3. ``forecasting``: ``combined`` (prices), ``distribution`` (interval), ``evaluation`` (backtest and scores), ``gate``
   (what may be released), ``record`` (released forecasts)
4. ``training`` (history to model file), ``collecting`` (sources to database), ``web`` (model file and database to
   HTTP), ``release`` (the commands of the release workflow), ``launch`` (what `make` calls: packages, trainer beside
   server)

``web`` imports floors 0 and 1 only: the released image has neither Prophet nor pandas nor a database library.
``release`` imports floor 0 and ``baked`` only, and needs just the standard library; ``launch`` imports no other part.
"""
