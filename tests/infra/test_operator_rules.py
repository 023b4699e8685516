"""Each rule of Karpenter and cert-manager refuses an example that breaks it, and none the one that it is made from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from operator_rules import refusals

Spoil = Callable[[dict[str, Any]], Any]


def resource(kind: str) -> dict[str, Any]:
    need = {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["spot", "on-demand"]}
    template = {
        "metadata": {"labels": {"s2i/pool": "gpu"}},
        "spec": {
            "expireAfter": "168h",
            "terminationGracePeriod": "1h",
            "taints": [{"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}],
            "requirements": [need],
        },
    }
    specs = {
        "NodePool": {"disruption": {"consolidateAfter": "2m"}, "template": template},
        "EC2NodeClass": {
            "role": "s2i-node",
            "amiSelectorTerms": [{"alias": "al2023@latest"}],
            "subnetSelectorTerms": [{"tags": {"karpenter.sh/discovery": "s2i"}}],
            "securityGroupSelectorTerms": [{"tags": {"karpenter.sh/discovery": "s2i"}}],
            "blockDeviceMappings": [{"deviceName": "/dev/xvda", "ebs": {"volumeSize": "100Gi"}}],
        },
        "Certificate": {
            "secretName": "authority",
            "commonName": "ray",
            "duration": "24h",
            "renewBefore": "8h",
            "privateKey": {"algorithm": "ECDSA", "size": 256},
            "usages": ["cert sign"],
            "issuerRef": {"kind": "Issuer", "name": "own"},
        },
    }
    return {"kind": kind, "spec": specs[kind]}


def need(**changed: Any) -> Spoil:
    return lambda spec: spec["template"]["spec"]["requirements"][0].update(changed)


def machine(**changed: Any) -> Spoil:
    return lambda spec: spec["template"]["spec"].update(changed)


def labels(**changed: Any) -> Spoil:
    return lambda spec: spec["template"]["metadata"].update(labels=changed)


def told(**changed: Any) -> Spoil:
    return lambda spec: spec.update(changed)


BROKEN: list[tuple[str, Spoil, str]] = [
    ("NodePool", told(weight=101), "weight"),
    ("NodePool", lambda spec: spec["disruption"].update(consolidateAfter="2d"), "consolidateAfter 2d"),
    ("NodePool", machine(expireAfter="1w"), "expireAfter 1w"),
    ("NodePool", machine(terminationGracePeriod="Never"), "terminationGracePeriod Never"),
    ("NodePool", labels(**{"karpenter.sh/nodepool": "gpu"}), "restricted"),
    ("NodePool", labels(**{"karpenter.sh/mine": "gpu"}), "restricted"),
    ("NodePool", labels(**{"kubernetes.io/hostname": "one"}), "restricted"),
    ("NodePool", labels(**{"a/b/c": "d"}), "no qualified name"),
    ("NodePool", labels(pool="two words"), "no label"),
    ("NodePool", machine(taints=[{"key": "", "effect": "NoSchedule"}]), "no qualified name"),
    ("NodePool", machine(taints=[{"key": "a", "effect": "NoSchedule"}] * 2), "stands there twice"),
    ("NodePool", need(key="karpenter.sh/nodepool"), "restricted"),
    ("NodePool", need(key="karpenter.k8s.aws/instance-colour"), "restricted"),
    ("NodePool", need(values=[]), "names no value"),
    (
        "NodePool",
        need(key="karpenter.k8s.aws/instance-generation", operator="Gt", values=["5", "6"]),
        "one whole number",
    ),
    ("NodePool", need(key="karpenter.k8s.aws/instance-generation", operator="Gt", values=["-1"]), "one whole number"),
    ("NodePool", need(values=["cheap"]), "no value that Karpenter knows"),
    ("NodePool", need(values=["spot", "on demand"]), "which is no label"),
    ("NodePool", machine(requirements=[{"key": "a", "operator": "Exists", "values": []}] * 101), "more than 100"),
    ("EC2NodeClass", told(role=""), "role is empty"),
    ("EC2NodeClass", told(subnetSelectorTerms=[{"tags": {"karpenter.sh/discovery": ""}}]), "empty tag"),
    ("EC2NodeClass", told(amiSelectorTerms=[{"alias": "ubuntu@latest"}]), "family@version"),
    ("EC2NodeClass", told(amiSelectorTerms=[{"alias": "al2023@latest"}, {"id": "ami-1"}]), "stands alone"),
    ("EC2NodeClass", told(blockDeviceMappings=[{"deviceName": "a", "ebs": {}}]), "neither volumeSize"),
    ("EC2NodeClass", told(metadataOptions={"httpPutResponseHopLimit": 65}), "within 1 and 64"),
    ("Certificate", told(secretName=""), "secretName"),
    ("Certificate", told(issuerRef={"kind": "Issuer", "name": ""}), "has no name"),
    ("Certificate", told(issuerRef={"kind": "VaultIssuer", "name": "a"}), "neither an Issuer"),
    ("Certificate", told(commonName=""), "certifies no name"),
    ("Certificate", told(commonName="n" * 65), "longer than 64"),
    ("Certificate", told(privateKey={"algorithm": "ECDSA", "size": 2048}), "none of ECDSA"),
    ("Certificate", told(privateKey={"size": 1024}), "none of RSA"),
    ("Certificate", told(usages=["sign all"]), "is unknown"),
    ("Certificate", told(duration="30m", renewBefore="10m"), "less than an hour"),
    ("Certificate", told(renewBefore="25h"), "renewBefore"),
]


@pytest.mark.parametrize("kind", ["NodePool", "EC2NodeClass", "Certificate"])
def test_what_is_right_is_taken(kind: str) -> None:
    assert refusals(resource(kind)) == []


@pytest.mark.parametrize(("kind", "spoil", "reason"), BROKEN, ids=[f"{kind}: {reason}" for kind, _, reason in BROKEN])
def test_what_breaks_a_rule_is_refused(kind: str, spoil: Spoil, reason: str) -> None:
    spoiled = resource(kind)
    spoil(spoiled["spec"])
    assert [each for each in refusals(spoiled) if reason in each], refusals(spoiled)
