"""What Kubernetes resources refer to and do not make: secrets, accounts, classes, claims, kinds, machines.

For any rendering of the chart, and for what lies on a cluster: both are mappings as YAML and JSON give them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

Resource = dict[str, Any]

GPU = "nvidia.com/gpu"
"""What NVIDIA's device plugin calls the GPUs of a node."""


@dataclass(frozen=True, order=True)
class Reference:
    """Something that must be there.

    Attributes:
        kind: of what is referred to, as Kubernetes calls it; `Kind` for a kind itself (its name: `ray.io/v1 RayJob`),
            `Machine` for a node with a label (`s2i/pool=head`) or with GPUs (`nvidia.com/gpu`).
        key: what it must hold, of a Secret or ConfigMap.
    """

    kind: str
    name: str
    key: str = ""


@dataclass
class Needs:
    """What a set of resources refers to, and by which of them; what they make themselves is left out."""

    by: dict[Reference, list[str]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Reference]:
        return iter(sorted(self.by))


def needs(resources: Iterable[Resource]) -> Needs:
    """What must be there for these resources to start, besides themselves."""
    resources = list(resources)
    made = {thing for resource in resources for thing in makes(resource)}
    found = Needs()
    for resource in resources:
        user = f"{resource['kind']} {resource['metadata']['name']}"
        for reference in _of(resource):
            users = found.by.setdefault(reference, [])
            if user not in users:
                users.append(user)
    found.by = {
        reference: users for reference, users in found.by.items() if (reference.kind, reference.name) not in made
    }
    return found


def makes(resource: Resource) -> Iterator[tuple[str, str]]:
    """Kind and name of what a resource is, and of what its operator makes of it that others refer to by name."""
    kind, name, spec = resource["kind"], resource["metadata"]["name"], resource.get("spec", {})
    yield kind, name
    if kind == "Certificate":
        yield "Secret", spec["secretName"]
    if kind == "RayCluster":
        yield "Service", f"{name}-head-svc"
    if kind == "RayService":
        yield "Service", f"{name}-serve-svc"


def _of(resource: Resource) -> Iterator[Reference]:
    group = resource["apiVersion"].partition("/")[0]
    if "." in group and not group.endswith(".k8s.io"):
        yield Reference("Kind", f"{resource['apiVersion']} {resource['kind']}")
    yield from _within(resource.get("spec", {}))


def _within(value: Any) -> Iterator[Reference]:
    if isinstance(value, list):
        for each in value:
            yield from _within(each)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if reader := _READERS.get(name):
                yield from reader(inner)
            yield from _within(inner)


Reader = Callable[[Any], Iterable[Reference]]


def _named(kind: str) -> Reader:
    return lambda name: [Reference(kind, name)] if name else []


def _one_key(kind: str) -> Reader:
    return lambda of: [] if of.get("optional") else [Reference(kind, of["name"], of["key"])]


def _volume(kind: str, entry: str) -> Reader:
    """The keys that a volume names, or the whole."""
    return lambda of: [Reference(kind, of[entry], item["key"]) for item in of.get("items") or [{"key": ""}]]


_READERS: dict[str, Reader] = {
    "serviceAccountName": _named("ServiceAccount"),
    "priorityClassName": _named("PriorityClass"),
    "runtimeClassName": _named("RuntimeClass"),
    "ingressClassName": _named("IngressClass"),
    "gatewayClassName": _named("GatewayClass"),
    "secretKeyRef": _one_key("Secret"),
    "credentials": _one_key("Secret"),
    "configMapKeyRef": _one_key("ConfigMap"),
    "secret": _volume("Secret", "secretName"),
    "configMap": _volume("ConfigMap", "name"),
    "persistentVolumeClaim": lambda of: [Reference("PersistentVolumeClaim", of["claimName"])],
    "imagePullSecrets": lambda some: [Reference("Secret", each["name"]) for each in some],
    "authOptions": lambda of: [Reference("Secret", of["secretName"], "auth_token")] if "secretName" in of else [],
    # KubeRay makes certificates by cert-manager.
    "tlsOptions": lambda of: [Reference("Kind", "cert-manager.io/v1 Certificate")] if of.get("enabled") else [],
    "tls": lambda some: [
        Reference("Secret", each["secretName"], key) for each in some for key in ("tls.crt", "tls.key")
    ],
    "issuerRef": lambda of: [Reference(of.get("kind", "Issuer"), of["name"])],
    "service": lambda of: [Reference("Service", of["name"])],
    "nodeSelector": lambda of: [Reference("Machine", f"{key}={value}") for key, value in of.items()],
    "limits": lambda of: [Reference("Machine", GPU)] if GPU in of else [],
    "kubernetes.io/metadata.name": _named("Namespace"),
}
"""What an entry of a resource refers to, by the entry's name, which means the same wherever the chart has it."""
