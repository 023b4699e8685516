"""What Karpenter 1.11 and cert-manager 1.20 refuse though a closed schema takes it, written down as ours.

From the rules in the types, in `*_validation.go` and in `labels.go` of `pkg/apis/v1` of
https://github.com/kubernetes-sigs/karpenter and https://github.com/aws/karpenter-provider-aws, and from
`internal/apis/certmanager/validation/certificate.go` of https://github.com/cert-manager/cert-manager. Not here: rules
on fields that `operator_kinds` does not let through.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Resource = dict[str, Any]

_QUALIFIED = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_WAIT = re.compile(r"([0-9]+(s|m|h))+")
_POOL = "karpenter.sh/nodepool"
_CAPACITY = {"spot", "on-demand", "reserved"}
_OF_MACHINES = re.split(
    " ",
    "hypervisor encryption-in-transit-supported category capability-flex family generation local-nvme size cpu "
    "cpu-manufacturer cpu-sustained-clock-speed-mhz memory ebs-bandwidth network-bandwidth gpu-name gpu-manufacturer "
    "gpu-count gpu-memory accelerator-name accelerator-manufacturer accelerator-count tenancy",
)
_WELL_KNOWN = {_POOL, "karpenter.sh/capacity-type"} | {f"karpenter.k8s.aws/instance-{name}" for name in _OF_MACHINES}
_FAMILIES = {"al2", "al2023", "bottlerocket", "windows2019", "windows2022", "windows2025"}
_USAGES = {
    *("signing", "digital signature", "content commitment", "key encipherment", "key agreement", "data encipherment"),
    *("cert sign", "crl sign", "encipher only", "decipher only", "any", "server auth", "client auth", "code signing"),
    *("email protection", "s/mime", "ipsec end system", "ipsec tunnel", "ipsec user", "timestamping", "ocsp signing"),
    *("microsoft sgc", "netscape sgc"),
}


def refusals(resource: Resource) -> list[str]:
    """Why the operator of this kind would refuse the resource; nothing for kinds without rules."""
    rules = {"NodePool": _node_pool, "EC2NodeClass": _node_class, "Certificate": _certificate}
    return list(rules.get(resource["kind"], lambda _: iter(()))(resource["spec"]))


def _node_pool(spec: Resource) -> Iterator[str]:
    template = spec["template"]["spec"]
    if not 1 <= spec.get("weight", 1) <= 100:
        yield "the weight is not within 1 and 100"
    waits = {"consolidateAfter": spec["disruption"].get("consolidateAfter", "Never")}
    waits |= {name: template[name] for name in ("expireAfter", "terminationGracePeriod") if name in template}
    for name, text in waits.items():
        never = text == "Never" and name != "terminationGracePeriod"
        if not never and not _WAIT.fullmatch(text):
            yield f"{name} {text} is not of hours, minutes and seconds"
    for key, value in spec["template"].get("metadata", {}).get("labels", {}).items():
        yield from _key(key, "label")
        if not _LABEL.fullmatch(value):
            yield f"the label {key} has {value}, which is no label"
    seen = set()
    for taint in template.get("taints", ()):
        if not _QUALIFIED.fullmatch(taint["key"]) or not _LABEL.fullmatch(taint.get("value", "")):
            yield f"the taint {taint['key']} is no qualified name, or its value no label"
        if (taint["key"], taint["effect"]) in seen:
            yield f"the taint {taint['key']} stands there twice"
        seen.add((taint["key"], taint["effect"]))
    needs = template["requirements"]
    if len(needs) > 100:
        yield "more than 100 requirements"
    for need in needs:
        yield from _requirement(need)


def _requirement(need: Resource) -> Iterator[str]:
    key, values = need["key"], need["values"]
    yield from _key(key, "requirement")
    if need["operator"] == "In" and not values:
        yield f"the requirement {key} names no value"
    if need["operator"] in {"Gt", "Lt", "Gte", "Lte"} and not (len(values) == 1 and values[0].isdigit()):
        yield f"the requirement {key} wants one whole number"
    if key == "karpenter.sh/capacity-type" and not set(values) & _CAPACITY:
        yield f"the requirement {key} has no value that Karpenter knows"
    yield from (
        f"the requirement {key} has {value}, which is no label" for value in values if not _LABEL.fullmatch(value)
    )


def _key(key: str, what: str) -> Iterator[str]:
    domain = key.rpartition("/")[0]
    if not _QUALIFIED.fullmatch(key):
        yield f"the {what} {key} is no qualified name"
    karpenters = any(f".{domain}".endswith(f".{own}") for own in ("karpenter.sh", "karpenter.k8s.aws"))
    if key in {_POOL, "kubernetes.io/hostname"} or (karpenters and key not in _WELL_KNOWN):
        yield f"the {what} {key} is restricted"


def _node_class(spec: Resource) -> Iterator[str]:
    if not spec.get("role"):
        yield "the role is empty"
    for name in ("subnetSelectorTerms", "securityGroupSelectorTerms"):
        for term in spec[name]:
            if not term.get("tags") or not all(key and value for key, value in term["tags"].items()):
                yield f"{name} has an empty tag"
    images = spec["amiSelectorTerms"]
    for alias in (term["alias"] for term in images if "alias" in term):
        family, _, version = alias.partition("@")
        if len(images) > 1:
            yield "an alias stands alone among amiSelectorTerms"
        if family not in _FAMILIES or not version or len(alias) > 30:
            yield f"the alias {alias} is not family@version of a family that Karpenter knows"
    for device in spec.get("blockDeviceMappings", ()):
        if not device["ebs"].keys() & {"volumeSize", "snapshotID"}:
            yield f"{device['deviceName']} has neither volumeSize nor snapshotID"
    if not 1 <= spec.get("metadataOptions", {}).get("httpPutResponseHopLimit", 1) <= 64:
        yield "httpPutResponseHopLimit is not within 1 and 64"


def _certificate(spec: Resource) -> Iterator[str]:
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", spec["secretName"]):
        yield "secretName is empty, or no name"
    if not spec["issuerRef"].get("name"):
        yield "issuerRef has no name"
    if spec["issuerRef"].get("group", "cert-manager.io") == "cert-manager.io" and spec["issuerRef"].get(
        "kind", "Issuer"
    ) not in {"Issuer", "ClusterIssuer"}:
        yield "issuerRef is neither an Issuer nor a ClusterIssuer"
    if not spec.get("commonName") and not spec.get("dnsNames"):
        yield "it certifies no name"
    if len(spec.get("commonName", "")) > 64:
        yield "commonName is longer than 64"
    key = spec.get("privateKey", {})
    size = key.get("size", 0)
    fits = {"RSA": 2048 <= size <= 8192, "ECDSA": size in {256, 384, 521}, "Ed25519": True}
    if size and not fits[key.get("algorithm", "RSA")]:
        yield f"a key of {size} bits is none of {key.get('algorithm', 'RSA')}"
    yield from (f"the usage {usage} is unknown" for usage in spec.get("usages", ()) if usage not in _USAGES)
    lasts_s = _seconds(spec.get("duration", "2160h"))
    if lasts_s < 3600:
        yield "it lasts less than an hour"
    if "renewBefore" in spec and not 300 <= _seconds(spec["renewBefore"]) < lasts_s:
        yield "renewBefore is under five minutes, or not before its end"


def _seconds(text: str) -> float:
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([0-9.]+)([hms])", text))
