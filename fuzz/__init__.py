"""Programs that attack the service over HTTP and check its responses: `python -m fuzz --help`.

They read the service's OpenAPI documents and watch its processes, and never import its code, so `--python` may name the
interpreter of another release.
"""
