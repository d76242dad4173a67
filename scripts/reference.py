"""Generate the parts of docs/reference that the code describes, so that a diff shows every change of them."""

import json
import re
import subprocess
import sys
from pathlib import Path

from starlette.testclient import TestClient

from chaosapi.app import create_app
from chaosapi.settings import Settings

FOLDER = Path(__file__).parent.parent / "docs" / "reference"
_TYPER = ("-m", "typer", "chaosapi.cli", "utils", "docs", "--name", "chaosapi", "--title", "Commands")


def main(folder: Path) -> None:
    """Write the OpenAPI documents, the schema of the settings, the metric families and the commands into a folder."""
    app = create_app(Settings())
    with TestClient(app, base_url="http://127.0.0.1", client=("127.0.0.1", 1)) as client:
        _write_json(folder / "openapi-shop.json", client.get("/openapi.json").json())
        _write_json(folder / "openapi-admin.json", client.get("/admin/openapi.json").json())
        client.post("/admin/faults", json={"effect": {"type": "capacity", "concurrency": 1}}).raise_for_status()
        client.get("/api/products").raise_for_status()
        exposition = client.get("/metrics").text + client.get("/admin/metrics").text
    families = re.findall(r"^# HELP (?:http|chaosapi)_.*\n# TYPE .*\n", exposition, re.MULTILINE)
    (folder / "metrics.txt").write_text("".join(sorted(families)))
    _write_json(folder / "settings.json", Settings.model_json_schema())
    (folder / "cli.md").write_text(_commands())


def _write_json(file: Path, document: object) -> None:
    file.write_text(json.dumps(document, indent=1) + "\n")


def _commands() -> str:
    made = subprocess.run(
        [sys.executable, *_TYPER], check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    return made.stdout.replace("&#x27;", "'").strip() + "\n"


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else FOLDER)
