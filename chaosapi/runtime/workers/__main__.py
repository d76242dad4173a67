"""`python -m chaosapi.runtime.workers …` is one worker; the supervisor starts it."""

from chaosapi.runtime.workers.worker import main

main()
