"""The endpoints of a database: each module with an ``OPERATION`` is one, with question, answer and documentation.

Whatever reads the database raises `DatabaseError` if that fails.

* ``database``: access to the database, bounded, and opened again after a failure
* ``calls``: one request: what it may read, and how its answer is sent
* ``series``: the series that a request means
* ``pages``: tables in pages, as JSON and CSV
* ``documented``: what the documentation of the endpoints shares
* ``administration``: who may change what is collected, and the change
"""
