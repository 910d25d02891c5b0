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
* ``server``: Waitress with its own event loop and a graceful stop
* ``pool``: all connections: time limits, scheduling of requests, eviction
* ``connections``: one client's connection; ``reading`` parses its bytes into requests
* ``heads``, ``bodies``: the head and the body of a request, by RFC 9112
* ``memory``: returns the memory of sent answers to the system
* ``tasks``, ``refusals``: one request and its answer; requests that the server refuses
"""
