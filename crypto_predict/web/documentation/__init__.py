"""The OpenAPI document and Swagger UI.

* ``openapi``: the document, made of operations
* ``swagger``: Swagger UI from local files
"""
