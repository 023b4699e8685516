"""For `s2i doctor --cluster`: whether a cluster has what a release of the chart needs, and how the release does.

Reads only. Of secrets it reads which keys they have; their content is neither kept nor shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # comes with ray

from cluster.kubernetes.api import NotAllowed, NotThere, get
from cluster.kubernetes.references import Needs, Reference, Resource, needs
from cluster.kubernetes.remedies import remedy
from s2i_core.doctor import Check, Status, Subject
from s2i_core.errors import ConfigError

LABEL = "app.kubernetes.io/name=s2i"
_LISTS = [
    "apis/ray.io/v1/namespaces/{}/rayclusters",
    "apis/ray.io/v1/namespaces/{}/rayjobs",
    "apis/ray.io/v1/namespaces/{}/raycronjobs",
    "apis/ray.io/v1/namespaces/{}/rayservices",
    "apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "apis/networking.k8s.io/v1/namespaces/{}/ingresses",
    "apis/monitoring.coreos.com/v1/namespaces/{}/podmonitors",
    "apis/monitoring.coreos.com/v1alpha1/namespaces/{}/scrapeconfigs",
    "apis/cert-manager.io/v1/namespaces/{}/certificates",
    "api/v1/namespaces/{}/serviceaccounts",
]
_PATHS = {
    "Secret": "/api/v1/namespaces/{namespace}/secrets/{name}",
    "ConfigMap": "/api/v1/namespaces/{namespace}/configmaps/{name}",
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts/{name}",
    "Service": "/api/v1/namespaces/{namespace}/services/{name}",
    "PersistentVolumeClaim": "/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}",
    "Issuer": "/apis/cert-manager.io/v1/namespaces/{namespace}/issuers/{name}",
    "ClusterIssuer": "/apis/cert-manager.io/v1/clusterissuers/{name}",
    "Namespace": "/api/v1/namespaces/{name}",
    "PriorityClass": "/apis/scheduling.k8s.io/v1/priorityclasses/{name}",
    "RuntimeClass": "/apis/node.k8s.io/v1/runtimeclasses/{name}",
    "IngressClass": "/apis/networking.k8s.io/v1/ingressclasses/{name}",
    "GatewayClass": "/apis/gateway.networking.k8s.io/v1/gatewayclasses/{name}",
}
_WORKERS = 8


def check(subject: Subject) -> Iterable[Check]:
    """The API, the release's needs, one line for each that is missing, and what of the release does not start."""
    if subject.namespace is None:
        return
    namespace = subject.namespace
    version = get("/version").get("gitVersion", "?")
    yield Check("kubernetes", "ok", f"{version} answers")
    if subject.manifests is not None:
        resources, where = _read(subject.manifests), subject.manifests
    else:
        resources, where = _release(namespace), f"namespace {namespace}"
    if not resources:
        look = (
            "Name its namespace (--namespace), install the chart, or look before you do: "
            "helm template s2i infra/kuberay -n s2i -f mine.yaml > s2i.yaml; s2i doctor --cluster --manifests s2i.yaml"
        )
        yield Check("release", "fail", f"nothing of s2i in {where}", look)
        return
    wanted = needs(resources)
    with ThreadPoolExecutor(_WORKERS) as pool:
        found = list(pool.map(partial(_look_up, namespace, wanted), wanted))
    missing = [each for each in found if each]
    if not missing:
        there = f"{len(found)} things that {len(resources)} resources of {where} refer to are there"
        yield Check("prerequisites", "ok", there)
    yield from missing
    if subject.manifests is None:
        yield from _state(resources, namespace)


def _read(path: str) -> list[Resource]:
    """What `helm template` wrote."""
    try:
        found = [each for each in yaml.safe_load_all(Path(path).read_text("utf-8")) if each]
        if all(isinstance(each, dict) and {"apiVersion", "kind", "metadata"} <= each.keys() for each in found):
            return found
        reason = "it holds something else than Kubernetes resources"
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = f"it cannot be read ({error})"
    raise ConfigError(path, reason, "Write it anew: helm template s2i infra/kuberay -f mine.yaml > s2i.yaml") from None


def _release(namespace: str) -> list[Resource]:
    """The resources of the chart that lie in a namespace."""

    def listed(path: str) -> list[Resource]:
        try:
            answer = get(f"/{path.format(namespace)}?labelSelector={LABEL}")
        except (NotThere, NotAllowed):
            return []
        # Items of a list do not say what they are; clusters that KubeRay made of a job or service repeat theirs.
        told = {"apiVersion": answer["apiVersion"], "kind": answer["kind"].removesuffix("List")}
        return [told | item for item in answer["items"] if not item["metadata"].get("ownerReferences")]

    with ThreadPoolExecutor(_WORKERS) as pool:
        return [resource for some in pool.map(listed, _LISTS) for resource in some]


def _look_up(namespace: str, wanted: Needs, reference: Reference) -> Check | None:
    """A finding where it is missing."""
    kind, name, key = reference.kind, reference.name, reference.key
    users = ", ".join(wanted.by[reference])
    title = f"{kind.lower()} {name}" + (f" ({key})" if key else "")
    try:
        if kind == "Kind":
            group, _, what = name.partition(" ")
            there = any(each["kind"] == what for each in get(f"/apis/{group}")["resources"])
        elif kind == "Machine":
            there = _machine(name)
        else:
            answer = get(_PATHS[kind].format(namespace=namespace, name=name))
            there = not key or key in {**answer.get("data", {}), **answer.get("binaryData", {})}
            if not there:
                return Check(
                    title, "fail", f"it is there without the key {key}, for {users}", remedy(reference, namespace)
                )
    except NotThere:
        there = False
    except NotAllowed:
        ask = f"Ask for the right to read it, or see by another login: kubectl auth can-i get {kind.lower()}."
        return Check(title, "warn", f"this login may not look at it; {users} needs it", ask)
    if there:
        return None
    # Where nobody can come from nobody is let in; everything starts all the same.
    status: Status = "warn" if kind == "Namespace" else "fail"
    return Check(title, status, f"it is missing, for {users}", remedy(reference, namespace))


def _machine(name: str) -> bool:
    """Whether a node is like that, or Karpenter may buy one."""
    label, _, value = name.partition("=")
    for node in get("/api/v1/nodes")["items"]:
        if node["metadata"].get("labels", {}).get(label) == value if value else label in node["status"]["allocatable"]:
            return True
    try:
        pools = get("/apis/karpenter.sh/v1/nodepools")["items"]
    except NotThere:
        return False
    templates = [pool["spec"] for pool in pools]
    if value:
        return any(each["template"].get("metadata", {}).get("labels", {}).get(label) == value for each in templates)
    return any(label in each.get("limits", {}) for each in templates)


def _state(resources: list[Resource], namespace: str) -> Iterator[Check]:
    """What of the release does not start, and why, as Kubernetes says."""
    see = "kubectl -n {} describe {} {}"
    for resource in resources:
        kind, name, status = resource["kind"].lower(), resource["metadata"]["name"], resource.get("status", {})
        describe = see.format(namespace, kind, name)
        if status.get("jobDeploymentStatus") in {"ValidationFailed", "Failed"} or status.get("state") == "failed":
            said = (
                status.get("message") or status.get("reason") or status.get("jobDeploymentStatus") or "no reason given"
            )
            yield Check(f"{kind} {name}", "fail", f"it failed: {said}", describe)
        if kind == "rayservice":
            ready = {each["type"]: each for each in status.get("conditions", ())}.get("Ready", {})
            if ready.get("status") != "True":
                yield Check(
                    f"{kind} {name}", "warn", f"it is not ready: {ready.get('message') or 'no word yet'}", describe
                )
    try:
        pods = get(f"/api/v1/namespaces/{namespace}/pods?labelSelector={LABEL}")["items"]
    except NotAllowed:
        yield Check("pods", "warn", f"this login may not list the pods of {namespace}", "Ask for the right to.")
        return
    stuck: dict[str, list[str]] = {}
    for pod in pods:
        if reason := _stuck(pod):
            stuck.setdefault(reason, []).append(pod["metadata"]["name"])
    for reason, names in stuck.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield Check(f"pod {names[0]}{more}", "fail", reason, see.format(namespace, "pod", names[0]))
    if pods and not stuck:
        yield Check("pods", "ok", f"{len(pods)} in {namespace}, none stuck")


def _stuck(pod: Resource) -> str:
    """Why a pod does not start; empty where nothing says so."""
    status: dict[str, Any] = pod.get("status", {})
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"it finds no node: {condition.get('message', condition.get('reason', ''))}"
    for container in [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]:
        waiting = container.get("state", {}).get("waiting", {})
        if waiting.get("reason") not in {None, "ContainerCreating", "PodInitializing"}:
            return f"{waiting['reason']}: {waiting.get('message', '')}".rstrip(": ")
    return ""
