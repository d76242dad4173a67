import importlib.util
import sys

from chaosapi import assets
from chaosapi.lab.errors import LabError


def command(url: str, rate: float) -> list[str]:
    """Return the command line of Locust sending the steady scenario, `rate` requests/s, to the service at `url`.

    Raises LabError when Locust is not installed.
    """
    if importlib.util.find_spec("locust") is None:
        raise LabError("the traffic comes from Locust, which is not installed: pip install 'chaosapi[lab]'")
    scenario = ["--scenario", "steady", "--rate", f"{rate:.0f}", "--duration", "1h"]
    folder = str(assets.path("loadtests"))
    return [sys.executable, "-m", "locust", "-f", folder, "--headless", "--only-summary", *scenario, "--host", url]
