"""The command `chaosapi`, which is also `python -m chaosapi`."""

import sys

from chaosapi.extras import needed


def main() -> None:
    """Run the command line, or say how to get it."""
    try:
        with needed("the command line", "cli", ImportError):
            from chaosapi.cli import app
    except ImportError as missing:
        sys.stderr.write(f"chaosapi: {missing}\n")
        sys.exit(2)
    app()


if __name__ == "__main__":
    main()
