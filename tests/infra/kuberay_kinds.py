"""What KubeRay 1.7 takes, from its API reference: the fields that the chart uses, closed. `kuberay_rules` has what its
operator refuses all the same.

https://ray-project.github.io/kuberay/reference/api/
"""

from __future__ import annotations

from typing import Any

import jsonschema
import kuberay_rules
import kubernetes_validate
from kuberay_rules import cluster_of

KUBERNETES = "1.35"

_string, _boolean, _object = {"type": "string"}, {"type": "boolean"}, {"type": "object"}
_strings = {"type": "object", "additionalProperties": _string}


def integer(minimum: int = 0) -> dict[str, Any]:
    """A schema of whole numbers."""
    return {"type": "integer", "minimum": minimum}


def closed(required: str = "", **properties: Any) -> dict[str, Any]:
    """A schema of objects with no other properties than these."""
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "required": required.split(),
    }


_from_secret = closed(
    "valueFrom", valueFrom=closed("secretKeyRef", secretKeyRef=closed("name key", name=_string, key=_string))
)
_head = closed(
    "template rayStartParams",
    serviceType={"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
    rayStartParams=_strings,
    template=_object,
)
_group = closed(
    "groupName minReplicas maxReplicas template rayStartParams",
    groupName=_string,
    replicas=integer(),
    minReplicas=integer(),
    maxReplicas=integer(),
    idleTimeoutSeconds=integer(),
    rayStartParams=_strings,
    template=_object,
)
CLUSTER = closed(
    "headGroupSpec",
    rayVersion=_string,
    authOptions=closed("mode", mode={"enum": ["token", "disabled"]}, secretName=_string),
    tlsOptions=closed(enabled=_boolean),
    gcsFaultToleranceOptions=closed(
        redisAddress=_string, redisUsername=_from_secret, redisPassword=_from_secret, externalStorageNamespace=_string
    ),
    enableInTreeAutoscaling=_boolean,
    autoscalerOptions=closed(
        version={"enum": ["v1", "v2"]},
        idleTimeoutSeconds=integer(),
        upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]},
        imagePullPolicy={"enum": ["Always", "IfNotPresent", "Never"]},
        securityContext=_object,
        env={"type": "array", "items": closed("name value", name=_string, value=_string)},
        volumeMounts={
            "type": "array",
            "items": closed("name mountPath", name=_string, mountPath=_string, readOnly=_boolean),
        },
        resources=_object,
    ),
    headGroupSpec=_head,
    workerGroupSpecs={"type": "array", "items": _group},
)
_rule = closed(
    "policy condition",
    policy={"enum": ["DeleteCluster", "DeleteWorkers", "DeleteSelf", "DeleteNone"]},
    condition=closed(
        jobStatus={"enum": ["SUCCEEDED", "FAILED"]}, jobDeploymentStatus={"enum": ["Failed"]}, ttlSeconds=integer()
    )
    | {"oneOf": [{"required": ["jobStatus"]}, {"required": ["jobDeploymentStatus"]}]},
)
JOB = closed(
    "rayClusterSpec entrypoint",
    entrypoint=_string,
    entrypointNumCpus={"type": "number"},
    submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
    backoffLimit=integer(),
    preRunningDeadlineSeconds=integer(1),
    activeDeadlineSeconds=integer(1),
    deletionStrategy=closed("deletionRules", deletionRules={"type": "array", "minItems": 1, "items": _rule}),
    submitterConfig=closed(backoffLimit=integer()),
    submitterPodTemplate=_object,
    rayClusterSpec=CLUSTER,
)
CRON_JOB = closed(
    "schedule jobTemplate", schedule=_string, timeZone={"type": "string", "minLength": 1}, jobTemplate=JOB
)
SERVICE = closed(
    "rayClusterConfig serveConfigV2",
    upgradeStrategy=closed(
        "type",
        type={"enum": ["NewCluster", "NewClusterWithIncrementalUpgrade", "None"]},
        clusterUpgradeOptions=closed(
            "gatewayClassName stepSizePercent intervalSeconds",
            gatewayClassName=_string,
            stepSizePercent=integer(1),
            intervalSeconds=integer(1),
            maxSurgePercent=integer(1),
        ),
    ),
    rayClusterDeletionDelaySeconds=integer(),
    excludeHeadPodFromServeSvc=_boolean,
    serveConfigV2=_string,
    rayClusterConfig=CLUSTER,
)
_OWN_CLUSTER = CLUSTER | {
    # Refused by the operator in the clusters of jobs and services.
    "properties": CLUSTER["properties"] | {"upgradeStrategy": closed("type", type={"enum": ["Recreate", "None"]})}
}
_SPECS = {"RayCluster": _OWN_CLUSTER, "RayJob": JOB, "RayCronJob": CRON_JOB, "RayService": SERVICE}


def templates(resource: dict[str, Any]) -> list[dict[str, Any]]:
    """Every pod template of a resource."""
    cluster = cluster_of(resource)
    groups = [cluster["headGroupSpec"], *cluster.get("workerGroupSpecs", ())]
    spec = resource["spec"]
    submitter = spec.get("jobTemplate", spec).get("submitterPodTemplate")
    return [group["template"] for group in groups] + ([submitter] if submitter else [])


def check(resource: dict[str, Any], gates: set[str] = kuberay_rules.GATES) -> None:
    """Raise where KubeRay with these feature gates, or Kubernetes for a pod of it, would refuse the resource."""
    jsonschema.Draft202012Validator(_SPECS[resource["kind"]]).validate(resource["spec"])
    assert kuberay_rules.refusals(resource, gates) == []
    for template in templates(resource):
        kubernetes_validate.validate(
            {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "checked"}, "template": template},
            KUBERNETES,
            strict=True,
        )
