"""`python -m chaosapi.runtime.workers …` is one worker, as the crew starts it."""

from chaosapi.runtime.workers.worker import main

main()
