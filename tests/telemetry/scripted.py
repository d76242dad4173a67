"""The app of test_exchanges.py with chaosapi, for servers that are started as processes."""

import chaosapi
from tests.telemetry.test_exchanges import QUIET, SCRIPTS, plain

app = chaosapi.ChaosMiddleware(plain, routes=SCRIPTS, settings=QUIET)
