"""What every answer over HTTP needs; knows no endpoint.

* ``response``: a body with its headers, the headers of every answer, values as JSON and CSV
* ``errors``: the base class of the web layer's errors, which carry their status and the parameter at fault
* ``problems``: errors and refused requests as RFC 9457 problem details
* ``representations``: bytes as they are sent, compressed or not
* ``conditional``: 304 and 412
"""
