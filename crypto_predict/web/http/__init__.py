"""What every answer over HTTP needs; knows no endpoint.

* ``operation``: an endpoint as one value with its part of the OpenAPI document
* ``queries``: query strings and paths
* ``schemas``: JSON Schemas of dataclasses, and other parts of the document
* ``response``: a body with its headers, the headers of every answer, values as JSON and CSV
* ``problems``: errors and refused requests as RFC 9457 problem details
* ``representations``: bytes as they are sent, compressed or not
* ``sending``: the last step of every response, conditions (304 and 412) among them
"""
