"""From the model file to HTTP. Imports floors 0 and 1 only.

* ``http``: what every answer needs: headers, errors as problem details, encodings, conditional requests
* ``model``: the endpoints of the model file
* ``collected``: the endpoints of a database
* ``operations``: the endpoints of operators, metrics, the access log, the messages at start
* ``documentation``: the OpenAPI document and Swagger UI
* ``page``: the page of the product
* ``folder``: the endpoints of the index of a folder of models, and which of its files are in memory
* ``editions``: what is served now of one model file, and its replacement without a restart
* ``live``: the newest forecasts of a collector, in the answers of the model
* ``hot``: the addresses that are asked for most, ``/bitcoin`` and the pages
* ``app``: assembles the application: Flask for the other addresses
* ``export``: the page as static files
"""
