"""compose.yaml: valid, with the lab's configuration, and the right start order."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaosapi.lab import alertmanager, grafana, prometheus, releases
from chaosapi.peers import is_loopback
from chaosapi.settings import Settings
from tests.patience import patience

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "compose"
FILE = ROOT / "compose.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]

each_service = pytest.mark.parametrize("name", SERVICES)


def valid(path: Path) -> bool:
    """Return whether a file is valid by the Compose specification."""
    program = Path(sys.executable).with_name("check-jsonschema")
    command: list[str | Path] = [program, "--builtin-schema", "vendor.compose-spec", path]
    return subprocess.run(command, capture_output=True, check=False, timeout=patience(60)).returncode == 0


def docker_compose() -> list[str]:
    """Return the command of Docker Compose, which parses files without an engine; None if it is missing."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            done = subprocess.run(
                [*command, "version"], capture_output=True, text=True, check=False, timeout=patience(60)
            )
            if re.search(r"version v?2", done.stdout):
                return command
    return []


def mounts(name: str) -> dict[str, str]:
    """Return what a service mounts: source by target."""
    return {target: source for source, target, *_ in (each.split(":") for each in SERVICES[name].get("volumes", ()))}


def test_it_is_valid_and_an_unknown_key_would_be_found(tmp_path: Path) -> None:
    """By the JSON schema of the Compose specification."""
    assert valid(FILE)
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(FILE.read_text().replace("depends_on:", "depend_on:", 1))
    assert not valid(wrong)


def test_docker_compose_reads_it() -> None:
    """Every anchor, default and dependency resolves."""
    if not (command := docker_compose()):
        pytest.skip("Docker Compose 2 is not installed")
    command += ["--file", str(FILE), "--profile", "load", "config", "--services"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=patience(60))
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == set(SERVICES)


def test_the_checked_in_configuration_is_fresh(tmp_path: Path) -> None:
    """`python compose/configs.py` would write exactly the files that are checked in."""
    subprocess.run([sys.executable, FOLDER / "configs.py", tmp_path], check=True, timeout=patience(60))
    fresh = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*.y*ml")}
    assert fresh == {path.relative_to(FOLDER): path.read_text() for path in FOLDER.rglob("*.y*ml")}
    assert len(fresh) == 4


def test_the_real_programs_accept_it(tools: dict[str, Path]) -> None:
    """Promtool and amtool; the rules have tests of their own."""
    commands: list[list[str | Path]] = [
        [tools["promtool"], "check", "config", "--syntax-only", FOLDER / "prometheus.yml"],
        [tools["amtool"], "check-config", FOLDER / "alertmanager.yml"],
    ]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=patience(60))
        assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_and_alertmanager_run_as_in_the_lab() -> None:
    """With the same options, on files that are mounted."""
    places = {
        "prometheus": (prometheus.command, "/etc/prometheus/prometheus.yml", "/prometheus", "0.0.0.0:9090"),
        "alertmanager": (alertmanager.command, "/etc/alertmanager/alertmanager.yml", "/alertmanager", "0.0.0.0:9093"),
    }
    for name, (command, config, data, listen) in places.items():
        lab = command(Path(name), config_file=Path(config), data=Path(data), listen=listen)
        assert SERVICES[name]["command"] == lab[1:]
        assert {config, data} <= set(mounts(name))
    (rules,) = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["rule_files"]
    assert mounts("prometheus")[rules] == "./alerts/rules/lab.yml"


def test_grafana_has_the_labs_settings() -> None:
    """Except addresses and paths."""
    lab = grafana.environment(port=3000, provisioning=Path("/p"), data=Path("/d"))
    same = {key: value for key, value in lab.items() if not key.startswith(("GF_SERVER_", "GF_PATHS_"))}
    assert SERVICES["grafana"]["environment"] == same
    provider = yaml.safe_load((FOLDER / "grafana/dashboards/chaosapi.yaml").read_text())["providers"][0]
    assert mounts("grafana")[provider["options"]["path"]] == "./dashboards"


@each_service
def test_images_are_pinned(name: str) -> None:
    """Our own to this version; Prometheus and Alertmanager to those that the lab downloads; none to `latest`."""
    repository, _, tag = SERVICES[name]["image"].partition(":")
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    pinned = {found[1]: found[2] for each in releases.OFFICIAL if (found := re.search(r"/(\w+)-([\d.]+)\.", each.url))}
    product = repository.rpartition("/")[2]
    expected = ours if product.startswith("chaosapi") else pinned.get(product)
    assert re.fullmatch(r"v?\d+\.\d+\.\d+(-alpine)?", tag)
    assert expected is None or tag.removeprefix("v") == expected


@each_service
def test_our_own_images_are_built_and_never_pulled(name: str) -> None:
    """No registry has them: the first start in a fresh checkout must not pull."""
    image = SERVICES[name]["image"]
    others = [each for each in SERVICES.values() if "build" in each]
    ours = image.startswith("chaosapi")
    assert ours == ("build" in SERVICES[name])
    assert SERVICES[name].get("pull_policy") == ("build" if ours else None)
    assert all(each["build"] == SERVICES[name]["build"] for each in others if each["image"] == image)


def test_the_same_images_run_in_the_cluster() -> None:
    """For each repository the same tag as under kustomize/: an upgrade concerns both."""
    here = {each["image"].partition(":")[0]: each["image"] for each in SERVICES.values()}
    manifests = (path.read_text(encoding="utf-8") for path in (ROOT / "kustomize").rglob("*.yaml"))
    found = [image for text in manifests for image in re.findall(r"^ +(?:- )?image: (\S+)$", text, re.MULTILINE)]
    assert found
    assert [image for image in found if here.get(image.partition(":")[0], image) != image] == []


@each_service
def test_every_dependency_on_health_has_a_health_check(name: str) -> None:
    """The service that others wait for has a check, its own or its image's; one that must complete does."""
    for other, wait in SERVICES[name].get("depends_on", {}).items():
        if wait["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other]
            assert "disable" not in SERVICES[other]["healthcheck"]
        else:
            assert wait["condition"] == "service_completed_successfully"
            assert "restart" not in SERVICES[other]


def test_the_history_is_seeded_before_prometheus_and_the_store_before_the_service() -> None:
    """Starting one service starts its dependencies first."""

    def before(name: str) -> set[str]:
        needed = set(SERVICES[name].get("depends_on", ()))
        return needed | {deeper for other in needed for deeper in before(other)}

    assert before("grafana") == {"prometheus", "alertmanager", "seed", "history", "chaosapi", "redis", "token"}
    assert before("locust") == {"chaosapi", "redis", "token"}


def test_prometheus_reaches_what_it_scrapes() -> None:
    """Each target listens on the scraped port, and not on its container's loopback only."""
    listens = {"chaosapi": ("CHAOSAPI", "CHAOSAPI_ADMIN"), "locust": ("CHAOSAPI_SCENARIO_METRICS",)}
    image = dict(re.findall(r"\b(CHAOSAPI_\w+)=(\S+)", (ROOT / "Dockerfile").read_text(encoding="utf-8")))
    jobs = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    targets = [target.split(":") for job in jobs for each in job["static_configs"] for target in each["targets"]]
    assert {name for name, _ in targets} == set(listens)
    for name, port in targets:
        told = image | SERVICES[name]["environment"]
        assert port in {told[f"{each}_PORT"] for each in listens[name]}
        assert not any(is_loopback(told.get(f"{each}_HOST", "")) for each in listens[name])


@each_service
def test_ports_are_for_this_machine_only(name: str) -> None:
    """Grafana, Prometheus, Alertmanager and Locust need no login."""
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", ()))


@each_service
def test_every_mount_exists(name: str) -> None:
    """A path of the checkout, or a volume that is declared."""
    for source in mounts(name).values():
        assert (ROOT / source).exists() if source.startswith("./") else source in COMPOSE["volumes"]


@each_service
def test_containers_are_confined(name: str) -> None:
    """No capabilities, no new privileges; except in Grafana, only volumes and /tmp are writable."""
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("read_only", name == "grafana")


def test_the_admin_api_needs_the_token_of_alertmanager() -> None:
    """They read the file of the first service, and so does Prometheus; there is no access without it."""
    file = SERVICES["chaosapi"]["environment"]["CHAOSAPI_ADMIN_TOKEN_FILE"]
    (receiver,) = yaml.safe_load((FOLDER / "alertmanager.yml").read_text())["receivers"]
    (hook,) = receiver["webhook_configs"]
    assert hook["http_config"]["authorization"] == {"type": "Bearer", "credentials_file": file}
    jobs = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    assert [job["authorization"] for job in jobs if "authorization" in job] == [{"credentials_file": file}]
    for name in ("chaosapi", "alertmanager", "prometheus"):
        assert mounts(name)[str(Path(file).parent)] == "token"
        assert SERVICES[name]["depends_on"]["token"]["condition"] == "service_completed_successfully"
    assert "CHAOSAPI_ADMIN_OPEN" not in FILE.read_text()


def test_a_token_is_generated_once_and_a_given_one_takes_precedence(tmp_path: Path) -> None:
    """With the service's own command, in another folder; the service accepts the token."""
    (script,) = SERVICES["token"]["command"]
    words = [*SERVICES["token"]["entrypoint"], script.replace("$$", "$").replace("/tmp/", f"{tmp_path}/")]  # noqa: S108 - that of the container
    file = tmp_path / "token"

    def token(given: str = "") -> str:
        subprocess.run(words, check=True, timeout=patience(60), env={**os.environ, "CHAOSAPI_ADMIN_TOKEN": given})
        made = Settings(host="192.0.2.1", admin_token_file=file).admin_token
        assert made is not None
        return made.get_secret_value()

    first = token()
    assert re.fullmatch("[0-9a-f]{64}", first)
    assert file.stat().st_mode & 0o777 == 0o444
    assert token() == first
    (tmp_path / "new").touch(mode=0o444)
    assert token("mine") == "mine"
    assert token() == "mine"
    assert [each.name for each in tmp_path.iterdir()] == ["token"]
