"""The HTTP/1.1 server in front of the WSGI application."""
