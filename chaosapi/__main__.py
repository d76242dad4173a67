"""`python -m chaosapi` is the command line."""

from chaosapi.cli import app

app()
