"""What KubeRay 1.7 takes, from its API reference: the fields that the chart uses, closed, and the operator's own rules.

https://ray-project.github.io/kuberay/reference/api/
"""

from __future__ import annotations

from typing import Any

import jsonschema
import kubernetes_validate

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
_SPECS = {"RayCluster": _OWN_CLUSTER, "RayJob": JOB, "RayService": SERVICE}
_LONGEST_NAME = {"RayCluster": 63, "RayJob": 47, "RayService": 47}


def cluster_of(resource: dict[str, Any]) -> dict[str, Any]:
    """The spec of the cluster within a resource of any of the three kinds."""
    spec = resource["spec"]
    return {"RayCluster": spec, "RayJob": spec.get("rayClusterSpec"), "RayService": spec.get("rayClusterConfig")}[
        resource["kind"]
    ]


def templates(resource: dict[str, Any]) -> list[dict[str, Any]]:
    """Every pod template of a resource."""
    cluster = cluster_of(resource)
    groups = [cluster["headGroupSpec"], *cluster.get("workerGroupSpecs", ())]
    submitter = resource["spec"].get("submitterPodTemplate")
    return [group["template"] for group in groups] + ([submitter] if submitter else [])


def check(resource: dict[str, Any]) -> None:
    """Raise where KubeRay, or Kubernetes for a pod of it, would refuse the resource."""
    kind = resource["kind"]
    jsonschema.Draft202012Validator(_SPECS[kind]).validate(resource["spec"])
    name = resource["metadata"]["name"]
    assert len(name) <= _LONGEST_NAME[kind], f"{name} is too long"
    cluster = cluster_of(resource)
    for template in templates(resource):
        kubernetes_validate.validate(
            {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "checked"}, "template": template},
            KUBERNETES,
            strict=True,
        )
    # The operator's rules (its validation.go), where our fields can break them.
    groups = [cluster["headGroupSpec"], *cluster.get("workerGroupSpecs", ())]
    if "tlsOptions" in cluster:
        for group in groups:
            (container,) = group["template"]["spec"]["containers"]
            names = {variable["name"] for variable in container.get("env", ())}
            assert not [name for name in names if name.startswith(("RAY_USE_TLS", "RAY_TLS_"))]
    if cluster.get("autoscalerOptions", {}).get("version") == "v2":
        assert all(group["template"]["spec"].get("restartPolicy", "Never") == "Never" for group in groups)
    assert all(group["minReplicas"] <= group["maxReplicas"] for group in groups[1:])
    if cluster.get("authOptions", {}).get("mode") == "token":
        major, minor, _ = map(int, cluster["rayVersion"].split("."))
        assert (major, minor) >= (2, 52)
    if "gcsFaultToleranceOptions" in cluster:
        head = groups[0]
        names = {variable["name"] for variable in head["template"]["spec"]["containers"][0].get("env", ())}
        assert not names & {"RAY_REDIS_ADDRESS", "REDIS_PASSWORD"}
        assert "redis-password" not in head["rayStartParams"]
    options = resource["spec"].get("upgradeStrategy", {}).get("clusterUpgradeOptions")
    assert options is None or options["stepSizePercent"] <= options["maxSurgePercent"]
