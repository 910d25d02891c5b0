"""From the model file to HTTP. Knows floors 0 and 1 alone.

* ``questions``: query strings to parameters, text to days and instants
* ``answers``: what the model answers, as the bytes of JSON bodies
* ``provenance``: what a price rests on, as members and as headers
* ``caching``: how long an answer holds, and its validators
* ``conditions``: conditional requests, by those validators
* ``freshness``: how old the model and its newest price are
* ``problems``: errors as RFC 9457 problem details, by one table
* ``service``: the above with the state of the server, handed to every route
* ``routes``: the Flask application
* ``fast_lane``: the short way for the question that is asked most
* ``metrics``, ``observing``: Prometheus and the access log around both
* ``schemas``, ``openapi``: the OpenAPI document
* ``swagger``: Swagger UI from local files
* ``app``: puts all of it together
* ``server``: Waitress behind a loop of our own, and a stop that loses nothing
* ``pool``: all connections: what each waits for, whose turn it is, which one must go
* ``connections``: one of them; ``reading`` cuts what arrives into requests
* ``heads``, ``bodies``: what RFC 9112 says of both
* ``memory``: goes back to the system when an answer has been sent
* ``tasks``, ``refusals``: a request and its answer, also where the server refuses it
"""
