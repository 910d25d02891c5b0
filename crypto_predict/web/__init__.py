"""From the model file to HTTP. Imports floors 0 and 1 only.

A request passes ``questions`` (text to values), ``answers`` (values) and ``rendering`` (values to bytes).

* ``http``: what every answer needs: headers, errors as problem details, encodings, conditional requests
* ``probabilities``: how probable a price is, and what that is based on
* ``snapshots``: the answers of a model, their validators and their expiry
* ``editions``: what is served now, and its replacement without a restart
* ``routes``: the endpoints, in a Flask application, and a shortcut past Flask for ``/bitcoin``
* ``collected``: the endpoints of a database, with questions, answers and rendering of their own
* ``app``: assembles the application
* ``documentation``: the OpenAPI document and Swagger UI
* ``operations``: freshness, metrics, the access log, the messages at start
"""
