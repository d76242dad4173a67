"""`chaosapi slo`: Prometheus rules and their promtool tests from an SLO file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from chaosapi import assets, durations, errors
from chaosapi.slo import files, spec, windows

app = typer.Typer(no_args_is_help=True, help="Make Prometheus rules and their tests from an SLO file.")

ProfileOption = Annotated[
    str, typer.Option("--profile", help=f"{', '.join(windows.NAMES)}, or an AlertWindows file of Sloth's.")
]
SpecOption = Annotated[
    Path | None, typer.Option("--spec", help="A Sloth prometheus/v1 file.  [default: the shop's, alerts/slo.yaml]")
]
OutOption = Annotated[Path | None, typer.Option("--out", help="The file to write.  [default: print]")]


@app.command()
def rules(
    profile: ProfileOption = "production",
    spec_file: SpecOption = None,
    out: OutOption = None,
    scrape_interval: Annotated[
        str | None, typer.Option(help="Your scrape interval, such as 15s: refuse windows too short for it.")
    ] = None,
) -> None:
    """Make the recording rules and alerts."""
    with _refusing():
        if scrape_interval:
            windows.load(profile).check(_seconds(scrape_interval, "--scrape-interval"))
        _put(files.rule_file(spec.load(_spec(spec_file)), profile), out)


@app.command("tests")
def unit_tests(  # noqa: PLR0913 - one option a file
    *,
    profile: ProfileOption = "production",
    severity: Annotated[windows.Severity, typer.Option(help="The alerts to test.")] = "page",
    spec_file: SpecOption = None,
    traffic: Annotated[
        Path | None, typer.Option(help="What an event adds to.  [default: traffic.yaml beside the spec]")
    ] = None,
    rule_file: Annotated[
        str | None,
        typer.Option("--rules", help="The rule file, seen from the test file.  [default: ../rules/PROFILE.yml]"),
    ] = None,
    out: OutOption = None,
) -> None:
    """Make the tests that hold the alerts to their predicted times, for `promtool test rules`."""
    with _refusing():
        source = _spec(spec_file)
        text = files.unit_tests(
            spec.load(source),
            profile,
            severity,
            traffic=traffic or source.with_name("traffic.yaml"),
            rules=rule_file or f"../rules/{Path(profile).stem}.yml",
        )
        _put(text, out)


@app.command()
def generate(
    folder: Annotated[
        Path | None, typer.Argument(help="Holds slo.yaml and traffic.yaml.  [default: the shop's alerts/]")
    ] = None,
) -> None:
    """Write rules/ and tests/ beside slo.yaml, for all profiles that come with chaosapi."""
    with _refusing():
        for path, text in files.generated(folder or assets.path("alerts")).items():
            _put(text, path)


def _spec(given: Path | None) -> Path:
    return given or assets.path("alerts") / "slo.yaml"


def _seconds(text: str, option: str) -> float:
    try:
        return durations.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _put(text: str, out: Path | None) -> None:
    if out is None:
        typer.echo(text, nl=False)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    typer.echo(f"wrote {out}", err=True)


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn a refusal into a message and exit code 1."""
    try:
        yield
    except (errors.Invalid, OSError) as error:
        typer.echo(f"chaosapi: {error}", err=True)
        raise typer.Exit(1) from None
