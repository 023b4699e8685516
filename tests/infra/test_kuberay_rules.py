"""Each of the operator's rules refuses an example that breaks it, and none refuses the one that it is made from."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from kuberay_rules import GATES, cluster_of, refusals

Spoil = Callable[[dict[str, Any]], Any]
ALL = GATES | {"RayClusterMTLS", "RayClusterNetworkPolicy", "RayCronJob"}


def group(**more: Any) -> dict[str, Any]:
    container = {"name": "ray", "env": [], "volumeMounts": []}
    return {"rayStartParams": {}, "template": {"spec": {"containers": [container]}}, **more}


def cluster() -> dict[str, Any]:
    return {
        "rayVersion": "2.60.0",
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": {"version": "v2"},
        "headGroupSpec": group(),
        "workerGroupSpecs": [group(groupName="cpu", minReplicas=0, maxReplicas=2)],
    }


def rules(*some: tuple[str, str, int]) -> list[dict[str, Any]]:
    return [{"policy": name, "condition": {"jobStatus": status, "ttlSeconds": wait}} for name, status, wait in some]


def resource(kind: str) -> dict[str, Any]:
    deletion = {"deletionRules": rules(("DeleteCluster", "FAILED", 10), ("DeleteSelf", "FAILED", 20))}
    upgrade = {"type": "NewClusterWithIncrementalUpgrade"} | {
        "clusterUpgradeOptions": {"gatewayClassName": "g", "stepSizePercent": 5, "intervalSeconds": 9}
    }
    job = {"rayClusterSpec": cluster(), "deletionStrategy": deletion}
    specs = {
        "RayCluster": cluster(),
        "RayJob": job,
        "RayCronJob": {"schedule": "0 1 * * MON-FRI", "timeZone": "Europe/Berlin", "jobTemplate": job},
        "RayService": {"rayClusterConfig": cluster(), "upgradeStrategy": upgrade},
    }
    return {"kind": kind, "metadata": {"name": "night"}, "spec": specs[kind]}


def set_variable(name: str, value: str = "1") -> Spoil:
    return lambda spec: spec["headGroupSpec"]["template"]["spec"]["containers"][0]["env"].append(
        {"name": name, "value": value}
    )


def mount_tls(spec: dict[str, Any]) -> None:
    spec["tlsOptions"] = {"enabled": True}
    container = spec["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]
    container["volumeMounts"].append({"name": "mine", "mountPath": "/etc/ray/tls"})


def told_tls(spec: dict[str, Any]) -> None:
    spec["tlsOptions"] = {"enabled": True}
    spec["autoscalerOptions"]["env"] = [{"name": "RAY_USE_TLS", "value": "1"}]


def survive(*spoils: Spoil) -> Spoil:
    def spoil(spec: dict[str, Any]) -> None:
        spec["gcsFaultToleranceOptions"] = {"redisAddress": "rediss://redis:6379"}
        for each in spoils:
            each(spec)

    return spoil


def worker(**more: Any) -> Spoil:
    return lambda spec: spec["workerGroupSpecs"][0].update(more)


OF_EVERY_CLUSTER: list[tuple[Spoil, str]] = [
    (lambda spec: spec["headGroupSpec"]["template"]["spec"].update(containers=[]), "no container"),
    (lambda spec: spec["headGroupSpec"]["template"]["spec"].update(restartPolicy="Always"), "restartPolicy"),
    (lambda spec: spec["headGroupSpec"]["rayStartParams"].update(labels="a=b"), "labels in rayStartParams"),
    (lambda spec: spec["headGroupSpec"].update(labels={"a": "b c"}), "Kubernetes does not take"),
    (worker(resources={"CPU": "1"}, rayStartParams={"num-cpus": "1"}), "says its resources twice"),
    (worker(minReplicas=3), "replicas from 3 to 2"),
    (worker(minReplicas=-1), "replicas from -1 to 2"),
    (worker(suspend=True), "suspended under the autoscaler"),
    (lambda spec: (spec.update(enableInTreeAutoscaling=False), worker(maxReplicas=None)(spec)), "nothing scales it"),
    (lambda spec: (spec["autoscalerOptions"].clear(), worker(idleTimeoutSeconds=5)(spec)), "idleTimeoutSeconds"),
    (lambda spec: (spec.update(rayVersion="2.55.0"), worker(priority=1)(spec)), "priority wants"),
    (set_variable("RAY_enable_autoscaler_v2"), "stands beside RAY_enable_autoscaler_v2"),
    (
        lambda spec: (spec.update(enableInTreeAutoscaling=False), set_variable("RAY_enable_autoscaler_v2")(spec)),
        "without enableInTreeAutoscaling",
    ),
    (lambda spec: spec["autoscalerOptions"].update(idleTimeoutSeconds=-1), "idleTimeoutSeconds is negative"),
    (
        lambda spec: spec["autoscalerOptions"].update(env=[{"name": "KUBERAY_GEN_AUTOSCALER_START_CMD"}]),
        "KubeRay's own",
    ),
    (set_variable("RAY_REDIS_ADDRESS"), "RAY_REDIS_ADDRESS without"),
    (set_variable("REDIS_USERNAME"), "Redis user"),
    (survive(set_variable("REDIS_PASSWORD")), "REDIS_PASSWORD stands beside"),
    (survive(set_variable("RAY_REDIS_ADDRESS")), "RAY_REDIS_ADDRESS stands beside"),
    (survive(lambda spec: spec["headGroupSpec"]["rayStartParams"].update({"redis-password": "x"})), "redis-password"),
    (survive(lambda spec: spec["gcsFaultToleranceOptions"].update(storage={})), "not for Redis"),
    (lambda spec: spec.update(authOptions={"mode": "token"}, rayVersion="2.51.1"), "wants Ray 2.52"),
    (lambda spec: (spec.update(authOptions={"mode": "token"}), spec.pop("rayVersion")), "wants Ray 2.52, not None"),
    (lambda spec: spec.update(authOptions={"enableK8sTokenAuth": True}), "without mode token"),
    (mount_tls, "cpu mounts what KubeRay mounts"),
    (told_tls, "the autoscaler sets RAY_USE_TLS"),
]
OF_ONE_KIND: list[tuple[str, Spoil, str]] = [
    ("RayCluster", lambda all: all["metadata"].update(name="n" * 54), "longer than 53"),
    ("RayJob", lambda all: all["metadata"].update(name="n" * 48), "longer than 47"),
    ("RayService", lambda all: all["metadata"].update(name="1st"), "begins with a letter"),
    ("RayCluster", lambda all: all["spec"].update(upgradeStrategy={"type": "NewCluster"}), "not upgraded by"),
    ("RayCluster", lambda all: survive()(all["spec"]) or all["metadata"].update(FT), "ft-enabled stands beside"),
    ("RayJob", lambda all: cluster_of(all).update(upgradeStrategy={"type": "Recreate"}), "has no upgradeStrategy"),
    ("RayJob", lambda all: all["spec"].pop("rayClusterSpec"), "neither rayClusterSpec nor"),
    ("RayJob", lambda all: all["spec"].update(suspend=True), "is not suspended"),
    ("RayJob", lambda all: all["spec"].update(ttlSecondsAfterFinished=5), "goes with shutdownAfterJobFinishes"),
    ("RayJob", lambda all: all["spec"].update(shutdownAfterJobFinishes=True), "stand beside shutdownAfter"),
    ("RayJob", lambda all: all["spec"].update(clusterSelector={}), "a cluster that is chosen has a name"),
    ("RayJob", lambda all: all["spec"].update(submissionMode="InteractiveMode", backoffLimit=1), "not tried again"),
    ("RayJob", lambda all: all["spec"].update(submissionMode="SidecarMode", submitterConfig={}), "sidecar"),
    ("RayJob", lambda all: all["spec"].update(activeDeadlineSeconds=0), "activeDeadlineSeconds is not above 0"),
    ("RayJob", lambda all: all["spec"].update(backoffLimit=-1), "backoffLimit is negative"),
    ("RayJob", lambda all: all["spec"].update(deletionStrategy={"deletionRules": []}), "neither deletionRules nor"),
    ("RayJob", lambda all: delete(all, ("DeleteWorkers", "FAILED", 0)), "does not go with the autoscaler"),
    ("RayJob", lambda all: delete(all, ("DeleteSelf", "FAILED", -1)), "less than nothing"),
    ("RayJob", lambda all: delete(all, *[("DeleteSelf", "FAILED", 1)] * 2), "a second time"),
    ("RayJob", lambda all: delete(all, ("DeleteSelf", "FAILED", 1), ("DeleteCluster", "FAILED", 2)), "goes before"),
    (
        "RayJob",
        lambda all: all["spec"]["deletionStrategy"]["deletionRules"][0]["condition"].update(jobDeploymentStatus="x"),
        "names not one of",
    ),
    ("RayCronJob", lambda all: all["metadata"].update(name="n" * 37), "longer than 36"),
    ("RayCronJob", lambda all: all["spec"].update(schedule="TZ=UTC 0 1 * * *"), "five fields"),
    ("RayCronJob", lambda all: all["spec"].update(schedule="0 25 * * *"), "five fields"),
    ("RayCronJob", lambda all: all["spec"].update(timeZone="Europe/Bonn"), "is unknown"),
    ("RayCronJob", lambda all: all["spec"]["jobTemplate"].update(backoffLimit=-1), "backoffLimit is negative"),
    ("RayService", lambda all: all["spec"]["upgradeStrategy"].update(type="Recreate"), "not upgraded by"),
    ("RayService", lambda all: all["spec"]["upgradeStrategy"].pop("clusterUpgradeOptions"), "clusterUpgradeOptions"),
    ("RayService", lambda all: steps(all).update(stepSizePercent=60, maxSurgePercent=50), "above maxSurgePercent"),
    ("RayService", lambda all: steps(all).update(maxSurgePercent=101), "within 0 and 100"),
    ("RayService", lambda all: steps(all).update(intervalSeconds=0), "intervalSeconds"),
    ("RayService", lambda all: steps(all).update(gatewayClassName=""), "gatewayClassName"),
    ("RayService", lambda all: cluster_of(all).update(enableInTreeAutoscaling=False), "wants the autoscaler"),
    ("RayService", lambda all: all["spec"].update(rayClusterDeletionDelaySeconds=-1), "delay is negative"),
    ("RayService", lambda all: all["metadata"].update(annotations=SOON), "is no duration"),
]
FT = {"annotations": {"ray.io/ft-enabled": "true"}}
SOON = {"ray.io/initializing-timeout": "soon"}


def delete(job: dict[str, Any], *some: tuple[str, str, int]) -> None:
    job["spec"]["deletionStrategy"] = {"deletionRules": rules(*some)}


def steps(service: dict[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = service["spec"]["upgradeStrategy"]["clusterUpgradeOptions"]
    return options


@pytest.mark.parametrize("kind", ["RayCluster", "RayJob", "RayCronJob", "RayService"])
def test_what_is_right_is_taken(kind: str) -> None:
    assert refusals(resource(kind), ALL) == []


@pytest.mark.parametrize("kind", ["RayCluster", "RayJob", "RayCronJob", "RayService"])
@pytest.mark.parametrize(("spoil", "reason"), OF_EVERY_CLUSTER, ids=[reason for _, reason in OF_EVERY_CLUSTER])
def test_a_cluster_that_breaks_a_rule_is_refused(kind: str, spoil: Spoil, reason: str) -> None:
    spoiled = resource(kind)
    spoil(cluster_of(spoiled))
    assert [each for each in refusals(spoiled, ALL) if reason in each], refusals(spoiled, ALL)


@pytest.mark.parametrize(("kind", "spoil", "reason"), OF_ONE_KIND, ids=[f"{k}: {r}" for k, _, r in OF_ONE_KIND])
def test_a_resource_that_breaks_a_rule_of_its_kind_is_refused(kind: str, spoil: Spoil, reason: str) -> None:
    spoiled = resource(kind)
    spoil(spoiled)
    assert [each for each in refusals(spoiled, ALL) if reason in each], refusals(spoiled, ALL)


def test_a_field_behind_a_gate_wants_the_gate() -> None:
    for field, gate in (("tlsOptions", "RayClusterMTLS"), ("networkPolicy", "RayClusterNetworkPolicy")):
        gated = copy.deepcopy(resource("RayCluster"))
        gated["spec"][field] = {"enabled": True}
        assert [each for each in refusals(gated) if gate in each]
        assert refusals(gated, ALL) == []
    assert [each for each in refusals(resource("RayJob"), set()) if "RayJobDeletionPolicy" in each]
