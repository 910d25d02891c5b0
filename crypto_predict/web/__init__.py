"""From the model file to HTTP. Imports floors 0 and 1 only.

A request passes ``questions`` (text to values), ``answers`` (values) and ``rendering`` (values to bytes).

* ``probabilities``: how probable a price is, and what that is based on
* ``representations``: bytes as they are sent, compressed or not
* ``snapshots``: the answers of a model, their validators and their expiry
* ``editions``: what is served now, and its replacement without a restart
* ``routes``: the endpoints, in a Flask application, and a shortcut past Flask for ``/bitcoin``
* ``problems``: errors and refused requests as RFC 9457 problem details, by one table
* ``collected``: the endpoints of a database, with questions, answers and rendering of their own
* ``conditional_requests``: 304 and 412
* ``app``: assembles the application
* ``documentation``: the OpenAPI document and Swagger UI
* ``operations``: freshness, metrics, the access log, the messages at start
"""
