"""The OpenAPI document and Swagger UI.

* ``openapi``: the document, with the endpoints of the model
* ``collected``, ``administration``: the endpoints of a database, and of an administrator
* ``schemas``: schemas of dataclasses
* ``swagger``: Swagger UI from local files
"""
