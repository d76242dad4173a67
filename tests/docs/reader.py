"""A reader who follows a page in a separate lab."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import NamedTemporaryFile

import httpx2

from tests.docs import page
from tests.docs.page import Block, Query, Row, Sample
from tests.loadtests.processes import ENVIRONMENT
from tests.patience import patience

PATIENCE = 150.0
"""Time-out in seconds for an expectation of a page on a busy machine."""


@dataclass(frozen=True)
class Reader:
    """Types commands and asks Prometheus; `ports` are those of the lab, by their options."""

    ports: Mapping[str, int]

    @contextmanager
    def lab(self, data: Path) -> Iterator[None]:
        """Run what `make lab` runs with traffic, with its data in a folder; it is fully up when the block begins."""
        words = [word for option, port in self.ports.items() for word in (option, str(port))]
        command = [sys.executable, "-m", "chaosapi", "lab", *words, "--rate", "20", "--data-dir", str(data)]
        with self._running(command) as log:
            _until(lambda: "targets 2/2 up" in log.read_text(), log.read_text)
            yield

    def types(self, block: Block) -> str:
        """Run a block to its end, and return what it prints."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self._here(block)],
            cwd=page.DOCS.parent,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=patience(60),
            check=False,
        )
        assert done.returncode == 0, f"{block.text}{done.stdout}{done.stderr}"
        return done.stdout

    def sees(self, expected: Mapping[Query, Sequence[Row]]) -> None:
        """Wait until all queries have their expected series and values at the same time."""
        best: tuple[int, dict[Query, list[Sample]]] = -1, {}

        def seen() -> bool:
            nonlocal best
            now = time.time()
            found = {query: self.samples(query.expr, now) for query in expected}
            held = sum(page.answers(expected[query], samples) for query, samples in found.items())
            best = max(best, (held, found), key=lambda each: each[0])
            return held == len(expected)

        def told() -> str:
            at_best = "; ".join(f"{each}: {found}, expected {expected[each]}" for each, found in best[1].items())
            return f"at most {best[0]} of {len(expected)} held at once, first: {at_best}"

        _until(seen, told)

    def is_notified(self, block: Block, since: float) -> None:
        """Wait until the webhook has received alerts like those of a block that began after `since` (Unix seconds)."""
        url = f"http://127.0.0.1:{self.ports['--admin-port']}/admin/alerts"

        def received() -> list[str]:
            return [
                f"{alert['labels']['severity']}: {alert['annotations']['summary']}"
                for alert in httpx2.get(url).json()["alerts"]
                if datetime.fromisoformat(alert["starts_at"]).timestamp() > since
            ]

        patterns = [re.escape(line).replace("…", ".+") for line in block.text.splitlines()]
        _until(
            lambda: all(any(re.fullmatch(each, text) for text in received()) for each in patterns),
            lambda: f"{block.text} is not in {received()}",
        )

    def samples(self, expr: str, moment: float) -> list[Sample]:
        """Return the series of an expression at a time (Unix seconds)."""
        url = f"http://127.0.0.1:{self.ports['--prometheus-port']}/api/v1/query"
        answer = httpx2.post(url, data={"query": expr, "time": str(moment)})
        assert answer.status_code == 200, (expr, answer.text)
        return [(each["metric"], float(each["value"][1])) for each in answer.json()["data"]["result"]]

    def _here(self, block: Block) -> str:
        """Replace the default ports by this lab's."""
        text = block.text
        for usual, option in (("8001", "--admin-port"), ("9090", "--prometheus-port")):
            text = text.replace(usual, str(self.ports[option]))
        return text

    @property
    def _environment(self) -> dict[str, str]:
        """The shell's, with the virtual environment active and this lab in place of the usual addresses."""
        return {
            **ENVIRONMENT,
            "COLUMNS": "120",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "CHAOSAPI_LAB": str(self.ports["--admin-port"]),
            "CHAOSAPI_URL": f"http://127.0.0.1:{self.ports['--admin-port']}",
        }

    @contextmanager
    def _running(self, command: Sequence[str]) -> Iterator[Path]:
        with (
            NamedTemporaryFile() as log,
            subprocess.Popen(
                command,
                cwd=page.DOCS.parent,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            ) as process,
        ):
            try:
                yield Path(log.name)
            finally:
                process.terminate()


def _until(condition: Callable[[], bool], told: Callable[[], str]) -> None:
    deadline = time.monotonic() + patience(PATIENCE)
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE:g} s: {told()}"
        time.sleep(0.5)
