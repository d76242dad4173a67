"""`python -m chaosapi.workers …` is one worker, as the crew starts it."""

from chaosapi.workers.worker import main

main()
