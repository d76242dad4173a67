"""Machines that attack the service over HTTP and judge what it answers: `python -m fuzz --help`.

They know the service by its own OpenAPI documents and by its processes, never by its code, so `--python` may name the
interpreter of another release.
"""
