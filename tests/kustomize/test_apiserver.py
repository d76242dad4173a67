"""The overlays with a real API server, if available: KUBEBUILDER_ASSETS names its folder, as for envtest."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.kustomize import schemas, tool
from tests.kustomize.manifests import Object, load, of, templates
from tests.lab.conftest import free_ports

PROGRAMS = ("etcd", "kube-apiserver", "kubectl")
ASSETS = Path(os.environ.get("KUBEBUILDER_ASSETS", "/usr/local/kubebuilder/bin"))

Kubectl = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all((ASSETS / program).is_file() for program in PROGRAMS),
        reason=f"no {', '.join(PROGRAMS)} in {ASSETS}: get them with setup-envtest and set KUBEBUILDER_ASSETS",
    ),
    pytest.mark.skipif(schemas.crds() is None, reason=schemas.HINT),
]


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """Start etcd and an API server with the operator's definitions, and give a function that runs kubectl."""
    folder = tmp_path_factory.mktemp("cluster")
    client, peer, secure, *_ = free_ports()
    bearer = "of-the-tests"
    key = folder / "sa.key"
    (folder / "tokens.csv").write_text(f"{bearer},admin,admin,system:masters\n")
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    store = f"http://127.0.0.1:{client}"
    peers = f"http://127.0.0.1:{peer}"
    etcd: list[str | Path] = [
        *(ASSETS / "etcd", "--data-dir", folder / "etcd", "--unsafe-no-fsync"),
        *("--listen-client-urls", store, "--advertise-client-urls", store),
        *("--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", f"default={peers}"),
    ]
    server: list[str | Path] = [
        *(ASSETS / "kube-apiserver", "--etcd-servers", store, "--cert-dir", folder / "certificates"),
        *("--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1", "--secure-port", str(secure)),
        *("--service-cluster-ip-range", "10.0.0.0/24"),
        *("--token-auth-file", folder / "tokens.csv", "--authorization-mode", "RBAC"),
        *("--service-account-issuer", "https://kubernetes.default.svc"),
        *("--service-account-key-file", key, "--service-account-signing-key-file", key),
        # No controller makes the account `default` that this plugin asks for.
        *("--disable-admission-plugins", "ServiceAccount"),
    ]
    access = (f"--server=https://127.0.0.1:{secure}", "--insecure-skip-tls-verify", f"--token={bearer}")

    def run(*words: str | Path, text: str | None = None) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "HOME": str(folder), "KUBECONFIG": str(folder / "none")}
        command = [ASSETS / "kubectl", *access, *words]
        return subprocess.run(command, input=text, capture_output=True, text=True, check=False, env=environment)

    with ExitStack() as stack:
        for name, command in (("etcd", etcd), ("server", server)):
            log = stack.enter_context((folder / f"{name}.log").open("wb"))
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
            stack.callback(process.wait, 60)
            stack.callback(process.terminate)
        while run("get", "--raw", "/readyz").returncode:
            assert process.poll() is None, (folder / "server.log").read_text()
            time.sleep(0.2)
        for words in (
            ("apply", "--server-side", "--filename", str(schemas.crds())),
            ("wait", "--for=condition=Established", "customresourcedefinitions", "--all"),
        ):
            done = run(*words)
            assert done.returncode == 0, done.stderr
        yield run


@pytest.fixture
def rendered(tree: Path, kustomize: list[str], tmp_path: Path) -> Callable[[str], str]:
    """Return a function that renders an overlay in a namespace of its own, since nothing here can empty one."""

    def make(name: str) -> str:
        folder = tree / "kustomize/overlays" / f"{name}-applied"
        shutil.copytree(tree / "kustomize/overlays" / name, folder, dirs_exist_ok=True)
        path = folder / "kustomization.yaml"
        path.write_text(path.read_text().replace("namespace: chaosapi\n", f"namespace: chaosapi-{name}\n"))
        return tool.render(kustomize, folder)

    return make


@pytest.mark.parametrize("name", ["local", "training", "production"])
def test_the_api_server_accepts_an_overlay(name: str, kubectl: Kubectl, rendered: Callable[[str], str]) -> None:
    """Strictly: as a dry run, for real, and once more without a change; pods pass the standard `restricted`."""
    text = rendered(name)
    objects = load(text)
    (namespace,) = of(objects, "Namespace")
    apply = ("apply", "--server-side", "--force-conflicts", "--validate=strict", "--filename", "-")
    steps = (
        (json.dumps(namespace), ()),
        (text, ("--dry-run=server",)),
        (text, ()),
        (text, ("--dry-run=server",)),
    )
    for manifest, more in steps:
        done = kubectl(*apply, *more, text=manifest)
        assert done.returncode == 0, done.stderr
        assert "Warning" not in done.stderr
    pods = [pod_of(template, namespace["metadata"]["name"]) for _, template in templates(objects)]
    for pod in pods:
        done = kubectl("create", "--dry-run=server", "--filename", "-", text=json.dumps(pod))
        assert done.returncode == 0, done.stderr
    pod = pods[0]
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    done = kubectl("create", "--dry-run=server", "--filename", "-", text=json.dumps(pod))
    assert 'violates PodSecurity "restricted' in done.stderr, "the standard is enforced"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("whenUnsatisfiable: ScheduleAnyway", "whenUnsatisfiable: Sometimes"),
        ("memory: 512Mi", "memory: 512Mib"),
        ("containerPort: 8001", "containerPort: 80010"),
        ("type: RuntimeDefault", "type: Default"),
        ("maxUnavailable: 1\n  selector", "maxUnavailable: one\n  selector"),
    ],
)
def test_the_api_server_refuses_what_the_schemas_accept(
    old: str, new: str, kubectl: Kubectl, rendered: Callable[[str], str]
) -> None:
    """Bad enums, quantities and ports."""
    text = rendered("local")
    assert old in text
    (namespace,) = of(load(text), "Namespace")
    assert kubectl("apply", "--server-side", "--filename", "-", text=json.dumps(namespace)).returncode == 0
    done = kubectl("apply", "--server-side", "--dry-run=server", "--filename", "-", text=text.replace(old, new))
    assert done.returncode != 0


def pod_of(template: Object, namespace: str) -> Object:
    """Return a pod as a controller would."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], "generateName": "of-the-tests-", "namespace": namespace},
        "spec": template["spec"],
    }
