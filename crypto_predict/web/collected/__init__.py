"""What a database of the market holds: candles, their digests, minute forecasts, and the state of each series.

A request passes ``questions`` (text to values), ``answers`` (values, read from the database) and ``rendering`` (values
to bytes), as for the forecasts.

* ``questions``, ``answers``, ``rendering``: as above
* ``database``: access to the database, bounded, and opened again after a failure
* ``series``: the series that a request means
* ``live_answers``: minutes with their verdicts
* ``forecasts``: minute forecasts and their record
* ``prices``: the newest prices
* ``administration``: adding and removing pairs
* ``copies``: the entity tags of recent answers
* ``routes``: the endpoints
"""
