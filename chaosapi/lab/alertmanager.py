import copy
from pathlib import Path
from typing import Any, Final

import yaml

from chaosapi.clients.errors import ClientError
from chaosapi.clients.exchange import Client, text

_TIMEOUT_S: Final = 5.0


def config(source: str, *, webhook: str, token: str | Path | None) -> str:
    """Return the lab's alertmanager.yml, made from the checked-in one: same inhibitions and receivers, no waits.

    Every webhook goes to `webhook`, with the bearer `token` if given: a string, or the path of a file that holds it.
    """
    settings: dict[str, Any] = copy.deepcopy(yaml.safe_load(source))
    _notify_at_once(settings["route"])
    for receiver in settings["receivers"]:
        for hook in receiver.get("webhook_configs", ()):
            hook.pop("url_file", None)
            hook |= {"url": webhook, "send_resolved": True}
            hook.pop("http_config", None)
            if token:
                name = "credentials_file" if isinstance(token, Path) else "credentials"
                hook["http_config"] = {"authorization": {"type": "Bearer", name: str(token)}}
    return yaml.safe_dump(settings, sort_keys=False)


def _notify_at_once(route: dict[str, Any]) -> None:
    route |= {"group_wait": "0s", "group_interval": "1s"}
    for child in route.get("routes", ()):
        _notify_at_once(child)


def has_page(address: str) -> bool:
    """Return whether there is a page to use at a URL; that of Debian's package only says that it was left out."""
    try:
        with Client(address, timeout_s=_TIMEOUT_S) as client:
            return "<script" in client.run(text("/"))
    except ClientError:
        return False


def command(program: Path, *, config_file: Path, data: Path, listen: str) -> list[str]:
    """Return the command line that runs one Alertmanager alone, outside any cluster."""
    return [
        str(program),
        f"--config.file={config_file}",
        f"--storage.path={data}",
        f"--web.listen-address={listen}",
        "--cluster.listen-address=",
    ]
