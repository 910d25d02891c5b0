"""From the model file to HTTP. Imports floors 0 and 1 only.

* ``questions``: query strings to parameters, text to days and instants
* ``answers``: what the model answers, as the bytes of JSON bodies
* ``provenance``: the provenance of a price, as members and as headers
* ``caching``: how long an answer holds, and its validators
* ``conditions``: conditional requests, by those validators
* ``freshness``: how old the model and its newest price are
* ``problems``: errors as RFC 9457 problem details, by one table
* ``service``: the above with the state of the server, handed to every route
* ``routes``: the Flask application
* ``fast_lane``: a shortcut past Flask for the most frequent request
* ``metrics``, ``observing``: Prometheus and the access log around both
* ``schemas``, ``openapi``: the OpenAPI document
* ``swagger``: Swagger UI from local files
* ``app``: puts all of it together
* ``server``: an HTTP/1.1 server with a graceful stop, on the threads and tasks of Waitress. Its modules: ``server``
  (event loop), ``pool`` (time limits, scheduling, eviction), ``connections``, ``parser`` and ``heads`` (RFC 9112)
* ``refusals``: answers to requests that the server refuses
"""
