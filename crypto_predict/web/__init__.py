"""From the model file to HTTP. Imports floors 0 and 1 only.

* ``http``: what every answer needs: headers, errors as problem details, encodings, conditional requests
* ``model``: the endpoints of the model file
* ``collected``: the endpoints of a database
* ``editions``: what is served now, and its replacement without a restart
* ``routes``: the endpoints, in a Flask application, and a shortcut past Flask for ``/bitcoin``
* ``app``: assembles the application
* ``documentation``: the OpenAPI document and Swagger UI
* ``operations``: freshness, metrics, the access log, the messages at start
* ``page``: the page of the product
* ``export``: the page as static files
"""
