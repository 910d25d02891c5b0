"""What a database of the market holds: candles, their digests, minute forecasts, and the state of each series.

A request passes ``questions`` (text to values), ``answers`` (values, read from the database) and ``rendering`` (values
to bytes), as for the forecasts.

* ``database``: access to the database, bounded, and opened again after a failure
* ``routes``: the endpoints
"""
