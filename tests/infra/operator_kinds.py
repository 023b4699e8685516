"""What Prometheus' operator 0.80, Karpenter 1, cert-manager 1.20 and Cilium 1 take, from their API references: the
fields that we use, closed. `operator_rules` has what they refuse all the same.

https://prometheus-operator.dev/docs/api-reference/api/, https://karpenter.sh/docs/concepts/,
https://cert-manager.io/docs/reference/api-docs/, https://docs.cilium.io/en/stable/network/kubernetes/policy/
"""

from __future__ import annotations

from typing import Any

import jsonschema
import operator_rules
from kuberay_kinds import closed, integer

_string, _boolean = {"type": "string"}, {"type": "boolean"}
_text_by_name = {"type": "object", "additionalProperties": _string}
_duration = {"type": "string", "pattern": r"^([0-9]+(ms|s|m|h|d|w|y))+$"}


def _some(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": item}


POD_MONITOR = closed(
    "selector podMetricsEndpoints",
    selector=closed("matchLabels", matchLabels=_text_by_name),
    podMetricsEndpoints=_some(closed("port", port=_string, path=_string, interval=_duration)),
)
SCRAPE_CONFIG = closed(
    scrapeInterval=_duration,
    metricsPath=_string,
    authorization=closed("credentials", type=_string, credentials=closed("name key", name=_string, key=_string)),
    staticConfigs=_some(closed("targets", targets=_some(_string), labels=_text_by_name)),
)
NODE_CLASS = closed(
    "role amiSelectorTerms subnetSelectorTerms securityGroupSelectorTerms",
    role={"type": "string", "minLength": 1},
    amiSelectorTerms=_some(closed("alias", alias={"type": "string", "pattern": "^[a-z0-9]+@.+$"})),
    subnetSelectorTerms=_some(closed("tags", tags=_text_by_name)),
    securityGroupSelectorTerms=_some(closed("tags", tags=_text_by_name)),
    blockDeviceMappings=_some(
        closed(
            "deviceName ebs",
            deviceName=_string,
            ebs=closed(
                volumeSize={"type": "string", "pattern": "^[0-9]+(Gi|G|Ti|T)$"},
                volumeType={"enum": ["standard", "io1", "io2", "gp2", "sc1", "st1", "gp3"]},
                encrypted=_boolean,
                deleteOnTermination=_boolean,
            ),
        )
    ),
    metadataOptions=closed(httpTokens={"enum": ["required", "optional"]}, httpPutResponseHopLimit=integer(1)),
)
NODE_POOL = closed(
    "template",
    limits={"type": "object", "minProperties": 1, "additionalProperties": integer(1)},
    disruption=closed(
        "consolidateAfter",
        consolidationPolicy={"enum": ["WhenEmpty", "WhenEmptyOrUnderutilized"]},
        consolidateAfter=_duration,
    ),
    template=closed(
        "spec",
        metadata=closed(labels=_text_by_name),
        spec=closed(
            "nodeClassRef requirements",
            nodeClassRef=closed("group kind name", group=_string, kind=_string, name=_string),
            expireAfter=_duration,
            terminationGracePeriod=_duration,
            taints=_some(
                closed(
                    "key effect",
                    key=_string,
                    value=_string,
                    effect={"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]},
                )
            ),
            requirements=_some(
                closed(
                    "key operator values",
                    key=_string,
                    operator={"enum": ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]},
                    values=_some(_string),
                )
            ),
        ),
    ),
)
CERTIFICATE = closed(
    "secretName issuerRef",
    isCA=_boolean,
    commonName=_string,
    secretName=_string,
    dnsNames=_some(_string),
    duration=_string,
    renewBefore=_string,
    privateKey=closed(algorithm={"enum": ["RSA", "ECDSA", "Ed25519"]}, size=integer()),
    usages=_some(_string),
    issuerRef=closed("name", kind=_string, name=_string, group=_string),
)
_cilium_ports = _some(closed("port protocol", port=_string, protocol={"enum": ["TCP", "UDP", "SCTP", "ANY"]}))
CILIUM_POLICY = closed(
    "endpointSelector",
    endpointSelector=closed("matchLabels", matchLabels=_text_by_name),
    egress=_some(
        closed(
            "toPorts",
            toEndpoints=_some(closed("matchLabels", matchLabels=_text_by_name)),
            toFQDNs=_some(closed(matchName=_string, matchPattern=_string) | {"minProperties": 1, "maxProperties": 1}),
            toPorts=_some(
                closed("ports", ports=_cilium_ports, rules=closed("dns", dns=_some(closed(matchPattern=_string))))
            ),
        )
    ),
)
_SPECS = {
    ("cert-manager.io/v1", "Issuer"): closed("selfSigned", selfSigned=closed()),
    ("cert-manager.io/v1", "Certificate"): CERTIFICATE,
    ("cilium.io/v2", "CiliumNetworkPolicy"): CILIUM_POLICY,
    ("monitoring.coreos.com/v1", "PodMonitor"): POD_MONITOR,
    ("monitoring.coreos.com/v1alpha1", "ScrapeConfig"): SCRAPE_CONFIG,
    ("karpenter.k8s.aws/v1", "EC2NodeClass"): NODE_CLASS,
    ("karpenter.sh/v1", "NodePool"): NODE_POOL,
}


def check(resource: dict[str, Any]) -> None:
    """Raise where the operator of this kind would refuse the resource, or does not know the kind."""
    spec = _SPECS[resource["apiVersion"], resource["kind"]]
    jsonschema.Draft202012Validator(spec).validate(resource["spec"])
    assert operator_rules.refusals(resource) == []
