"""Requests that a process serves: Flask, WSGI and ASGI."""
