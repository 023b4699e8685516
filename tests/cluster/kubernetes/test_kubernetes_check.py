"""`s2i doctor --cluster`: the real kubectl against a server that answers as the API does, on a network of its own."""

from __future__ import annotations

import json
import os
import threading
import tomllib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from typer.testing import CliRunner

from cluster.kubernetes.check import check
from s2i_core import cli, doctor
from s2i_core.doctor import Check, Subject, examine

ROOT = Path(__file__).parents[3]
RAY = "/apis/ray.io/v1"
S2I = "/namespaces/s2i"
TOKEN = {"kind": "Secret", "data": {"auth_token": "c2VjcmV0"}}


class Api:
    """A Kubernetes API with these answers by path; what it has none for is not there."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        told = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                told.asked.append(f"GET {self.path}")
                found = told.answers.get(path, 404)
                code = found if isinstance(found, int) else 200
                reasons = {404: "NotFound", 403: "Forbidden", 401: "Unauthorized"}
                status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}
                body = json.dumps(status | {"reason": reasons[code], "message": path} if code != 200 else found)
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


def cluster(**more: Any) -> dict[str, Any]:
    """A batch cluster as KubeRay has it."""
    container = {"name": "ray-head", "resources": {"limits": {"nvidia.com/gpu": 1}}}
    pod = {"serviceAccountName": "s2i-batch", "nodeSelector": {"s2i/pool": "head"}, "containers": [container]}
    spec = {
        "authOptions": {"mode": "token", "secretName": "s2i-ray-token"},
        "headGroupSpec": {"template": {"spec": pod}},
    }
    return {"metadata": {"name": "s2i-batch", "labels": {}}, "spec": spec, "status": {"state": "ready"}} | more


def listed(kind: str, *items: dict[str, Any], version: str = "ray.io/v1") -> dict[str, Any]:
    return {"apiVersion": version, "kind": f"{kind}List", "items": list(items)}


@pytest.fixture
def kube(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: Callable[[str], str]) -> Iterator[Api]:
    """A cluster on which all is well, and kubectl pointed at it."""
    kubectl = Path(tool("kubectl"))
    pods = [{"metadata": {"name": "s2i-batch-head"}, "status": {"phase": "Running"}}]
    server = Api(
        {
            "/version": {"gitVersion": "v1.35.2"},
            RAY: {"resources": [{"kind": "RayCluster"}, {"kind": "RayService"}]},
            f"{RAY}{S2I}/rayclusters": listed("RayCluster", cluster()),
            f"/api/v1{S2I}/secrets/s2i-ray-token": TOKEN,
            f"/api/v1{S2I}/serviceaccounts/s2i-batch": {"kind": "ServiceAccount"},
            "/api/v1/nodes": listed("Node", version="v1"),
            "/apis/karpenter.sh/v1/nodepools": listed(
                "NodePool",
                {"spec": {"template": {"metadata": {"labels": {"s2i/pool": "head"}}}, "limits": {"cpu": 64}}},
                {"spec": {"template": {"metadata": {"labels": {"s2i/pool": "gpu"}}}, "limits": {"nvidia.com/gpu": 8}}},
            ),
            f"/api/v1{S2I}/pods": listed("Pod", *pods, version="v1"),
        }
    )
    entry = {"clusters": [{"name": "c", "cluster": {"server": server.url}}], "current-context": "c"}
    login = {
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }
    (tmp_path / "config").write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config"} | entry | login))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("PATH", f"{kubectl.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(doctor, "_CHECKERS", {"kubernetes": check})
    monkeypatch.setattr(doctor, "entry_points", lambda group: ())
    yield server
    server.server.shutdown()
    server.server.server_close()


def found(**subject: Any) -> dict[str, Check]:
    return {each.name: each for each in examine(Subject(namespace="s2i", **subject))}


def test_all_is_well_on_a_cluster_that_has_it_all(kube: Api) -> None:
    checks = found()
    assert {name: each.status for name, each in checks.items()} == {
        "kubernetes": "ok",
        "prerequisites": "ok",
        "pods": "ok",
    }
    assert "v1.35.2" in checks["kubernetes"].detail
    assert all(asked.startswith("GET ") for asked in kube.asked), "it only reads"


def test_each_thing_that_is_missing_is_one_line_with_its_remedy(kube: Api) -> None:
    del kube.answers[f"/api/v1{S2I}/secrets/s2i-ray-token"]
    del kube.answers[f"/api/v1{S2I}/serviceaccounts/s2i-batch"]
    del kube.answers["/apis/karpenter.sh/v1/nodepools"]
    result = CliRunner().invoke(cli.app, ["doctor", "--cluster", "--json"])
    assert result.exit_code == 1
    told = {each["name"]: each for each in json.loads(result.stdout)["checks"]}
    assert set(told) == {
        *("kubernetes", "pods", "machine nvidia.com/gpu", "machine s2i/pool=head"),
        *("secret s2i-ray-token (auth_token)", "serviceaccount s2i-batch"),
    }
    secret = told["secret s2i-ray-token (auth_token)"]
    assert secret["status"] == "fail" and secret["detail"] == "it is missing, for RayCluster s2i-batch"
    assert secret["remedy"].startswith("kubectl -n s2i create secret generic s2i-ray-token --from-literal auth_token=")
    assert "create: true" in told["serviceaccount s2i-batch"]["remedy"]
    assert "device plugin" in told["machine nvidia.com/gpu"]["remedy"]
    assert "kubectl label node" in told["machine s2i/pool=head"]["remedy"]


def test_a_secret_without_its_key_is_found_and_never_shown(kube: Api) -> None:
    kube.answers[f"/api/v1{S2I}/secrets/s2i-ray-token"] = {"data": {"token": "c2VjcmV0"}}
    (finding,) = (each for name, each in found().items() if name.startswith("secret"))
    assert finding.status == "fail" and "without the key auth_token" in finding.detail
    assert "c2VjcmV0" not in f"{finding}"


def test_what_this_login_may_not_see_is_said_and_is_no_fault(kube: Api) -> None:
    kube.answers[f"/api/v1{S2I}/secrets/s2i-ray-token"] = 403
    (finding,) = (each for name, each in found().items() if name.startswith("secret"))
    assert finding.status == "warn" and "may not look" in finding.detail and "can-i" in finding.remedy


def test_a_cluster_without_kuberay_is_told_what_to_install(kube: Api, tmp_path: Path) -> None:
    """Before anything is installed, by what helm would."""
    for path in [each for each in kube.answers if each.startswith(RAY)]:
        del kube.answers[path]
    file = tmp_path / "s2i.yaml"
    file.write_text(yaml.safe_dump({"apiVersion": "ray.io/v1", "kind": "RayCluster"} | cluster()))
    checks = found(manifests=str(file))
    assert "KubeRay" in checks["kind ray.io/v1 RayCluster"].remedy
    assert "release" in found(), "and that nothing is there yet"


def test_what_does_not_start_is_told_as_kubernetes_says_it(kube: Api) -> None:
    kube.answers[f"{RAY}{S2I}/rayjobs"] = listed(
        "RayJob",
        {
            "metadata": {"name": "s2i-job"},
            "spec": {},
            "status": {"jobDeploymentStatus": "ValidationFailed", "message": "deletionStrategy is not valid"},
        },
    )
    kube.answers[f"{RAY}{S2I}/rayservices"] = listed(
        "RayService",
        {
            "metadata": {"name": "s2i-serve"},
            "spec": {},
            "status": {"conditions": [{"type": "Ready", "status": "False", "message": "no endpoint"}]},
        },
    )
    scheduled = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes: 3 Insufficient nvidia.com/gpu"}
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such digest"}}}
    kube.answers[f"/api/v1{S2I}/pods"] = listed(
        "Pod",
        {"metadata": {"name": "gpu-1"}, "status": {"conditions": [scheduled]}},
        {"metadata": {"name": "gpu-2"}, "status": {"conditions": [scheduled]}},
        {"metadata": {"name": "head"}, "status": {"containerStatuses": [waiting]}},
        version="v1",
    )
    checks = found()
    assert "deletionStrategy is not valid" in checks["rayjob s2i-job"].detail
    assert "no endpoint" in checks["rayservice s2i-serve"].detail
    assert "Insufficient nvidia.com/gpu" in checks["pod gpu-1 and 1 more"].detail
    assert checks["pod head"].detail == "ImagePullBackOff: no such digest"
    assert "kind ray.io/v1 RayJob" in checks, "an older KubeRay lacks the kind"


@pytest.mark.parametrize(
    ("answer", "remedy"), [(401, "Log in again"), ("gone", "current-context"), ("no kubectl", "Install")]
)
def test_a_cluster_that_cannot_be_asked(
    kube: Api, monkeypatch: pytest.MonkeyPatch, answer: int | str, remedy: str
) -> None:
    kube.answers["/version"] = 401
    if answer == "gone":
        kube.server.server_close()
    elif answer == "no kubectl":
        monkeypatch.setenv("PATH", "/nowhere")
    (finding,) = found().values()
    assert finding.status == "fail" and remedy in finding.remedy


@pytest.mark.parametrize(
    ("content", "reason"), [("{a: b}", "something else"), ("{", "cannot be read"), (None, "cannot be read")]
)
def test_a_file_that_helm_did_not_write(kube: Api, tmp_path: Path, content: str | None, reason: str) -> None:
    file = tmp_path / "s2i.yaml"
    if content is not None:
        file.write_text(content)
    assert reason in found(manifests=str(file))["kubernetes"].detail


def test_without_the_option_no_cluster_is_asked(kube: Api) -> None:
    assert examine(Subject()) == [] and kube.asked == []
    result = CliRunner().invoke(cli.app, ["doctor", "--manifests", "s2i.yaml"])
    assert result.exit_code and "Add --cluster" in f"{result.output}{result.exception}"


def test_the_doctor_of_an_installation_knows_it() -> None:
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["s2i.checks"]
    assert points["kubernetes"] == f"{check.__module__}:check"
