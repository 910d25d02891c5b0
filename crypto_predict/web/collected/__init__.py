"""The endpoints of a database: each module with an ``OPERATION`` is one, with question, answer and documentation.

Whatever reads the database raises `DatabaseError` if that fails.

* ``database``: access to the database, bounded, and opened again after a failure
* ``calls``: one request: what it may read, and how its answer is sent
* ``series``: the series that a request means
* ``endpoint``: what the endpoints share: parameters, headers, errors, a series to show
* ``tables``: tables in pages, as JSON and CSV
* ``administration``: who may change what is collected, and the change
"""
