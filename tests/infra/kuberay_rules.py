"""What KubeRay's operator refuses though its schema takes it, as its 1.7.0 does: `ray-operator/controllers/ray/utils/
validation.go` and the names in `constant.go` of https://github.com/ray-project/kuberay, written down as ours.

Not here: rules on fields that `kuberay_kinds` does not let through (history servers, KubeRay's own network policies,
its RocksDB), and on status.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from zoneinfo import available_timezones

Resource = dict[str, Any]

GATES = {"RayClusterStatusConditions", "RayJobDeletionPolicy", "RayMultiHostIndexing", "RayServiceIncrementalUpgrade"}
"""The feature gates that are on where nobody says anything."""
LONGEST_NAME = {"RayCluster": 53, "RayJob": 47, "RayService": 47, "RayCronJob": 36}
DELETION_ORDER = ("DeleteWorkers", "DeleteCluster", "DeleteSelf")
_TLS_MOUNT = {"ray-tls", "/etc/ray/tls"}
_TLS_VARIABLES = {"RAY_USE_TLS", "RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY", "RAY_TLS_CA_CERT"}
_V2 = "RAY_enable_autoscaler_v2"
_LABEL = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")


def cluster_of(resource: Resource) -> Resource:
    """The spec of the cluster within a resource of any of the four kinds."""
    spec: Resource = resource["spec"]
    spec = spec.get("jobTemplate", spec)
    within = {"RayCluster": spec, "RayJob": spec.get("rayClusterSpec"), "RayService": spec.get("rayClusterConfig")}
    return (within | {"RayCronJob": within["RayJob"]})[resource["kind"]] or {}


def refusals(resource: Resource, gates: set[str] = GATES) -> list[str]:
    """Why the operator, with these feature gates on, would refuse a resource of Ray."""
    rules: dict[str, Callable[..., Iterator[str]]] = {
        "RayCluster": _cluster,
        "RayJob": _job,
        "RayCronJob": _cron,
        "RayService": _service,
    }
    return [*_metadata(resource), *rules[resource["kind"]](resource, gates)]


def _metadata(resource: Resource) -> Iterator[str]:
    name, longest = resource["metadata"]["name"], LONGEST_NAME[resource["kind"]]
    if len(name) > longest:
        yield f"the name {name} is longer than {longest}"
    if not re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name):
        yield f"the name {name} is no DNS label that begins with a letter"


def _cluster(resource: Resource, gates: set[str]) -> Iterator[str]:
    strategy = resource["spec"].get("upgradeStrategy", {}).get("type", "None")
    if strategy not in {"Recreate", "None"}:
        yield f"a cluster is not upgraded by {strategy}"
    yield from _spec(resource, gates)


def _service(resource: Resource, gates: set[str]) -> Iterator[str]:
    spec, cluster = resource["spec"], cluster_of(resource)
    yield from _spec(resource, gates)
    yield from _no_own_upgrade(cluster)
    if cluster["headGroupSpec"].get("headService", {}).get("metadata", {}).get("name"):
        yield "the head's service has a name of its own"
    if cluster.get("authOptions", {}).get("enableK8sTokenAuth"):
        yield "Kubernetes' tokens are not taken for services"
    strategy = spec.get("upgradeStrategy", {})
    if strategy.get("type", "NewCluster") not in {"NewClusterWithIncrementalUpgrade", "NewCluster", "None"}:
        yield f"a service is not upgraded by {strategy['type']}"
    if spec.get("rayClusterDeletionDelaySeconds", 0) < 0:
        yield "the deletion's delay is negative"
    if strategy.get("type") == "NewClusterWithIncrementalUpgrade" and "RayServiceIncrementalUpgrade" in gates:
        yield from _steps(strategy.get("clusterUpgradeOptions"), cluster)
    patience = resource["metadata"].get("annotations", {}).get("ray.io/initializing-timeout")
    if patience and not re.fullmatch(r"(\d+(\.\d+)?(h|m|s))+|[1-9]\d*", patience):
        yield f"ray.io/initializing-timeout: {patience} is no duration"


def _steps(options: Resource | None, cluster: Resource) -> Iterator[str]:
    if not cluster.get("enableInTreeAutoscaling"):
        yield "an upgrade by steps wants the autoscaler"
    if options is None:
        yield "an upgrade by steps wants clusterUpgradeOptions"
        return
    surge, step = options.get("maxSurgePercent", 100), options.get("stepSizePercent", -1)
    if not 0 <= surge <= 100:
        yield "maxSurgePercent is not within 0 and 100"
    if not 0 <= step <= 100:
        yield "stepSizePercent is not within 0 and 100"
    if step > surge:
        yield "stepSizePercent is above maxSurgePercent"
    if options.get("intervalSeconds", 0) <= 0:
        yield "intervalSeconds is not above 0"
    if not options.get("gatewayClassName"):
        yield "gatewayClassName is lacking"


def _cron(resource: Resource, gates: set[str]) -> Iterator[str]:
    spec = resource["spec"]
    if "RayCronJob" not in gates:
        yield "nothing starts a RayCronJob without the feature gate RayCronJob"
    if "TZ" in spec["schedule"] or not _is_schedule(spec["schedule"]):
        yield f"the schedule {spec['schedule']} is not five fields of cron"
    if "timeZone" in spec and spec["timeZone"] not in available_timezones():
        yield f"the time zone {spec['timeZone']} is unknown"
    yield from _job({"kind": "RayJob", "metadata": {}, "spec": spec["jobTemplate"]}, gates)


def _is_schedule(text: str) -> bool:
    """Whether it is what cron's standard parser takes: five fields, each of numbers within its bounds, or names."""
    bounds = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)]
    fields = text.split()
    if len(fields) != len(bounds):
        return False
    for field, (least, most) in zip(fields, bounds, strict=True):
        for part in field.split(","):
            found = re.fullmatch(r"(?:[*?]|(\d+|[A-Za-z]{3})(?:-(\d+|[A-Za-z]{3}))?)(?:/\d+)?", part)
            if not found or any(each and each.isdigit() and not least <= int(each) <= most for each in found.groups()):
                return False
    return True


def _job(resource: Resource, gates: set[str]) -> Iterator[str]:
    spec, cluster = resource["spec"], cluster_of(resource)
    ends = spec.get("shutdownAfterJobFinishes", False)
    if spec.get("suspend") and not ends:
        yield "a job that is not shut down when it ends is not suspended"
    if spec.get("ttlSecondsAfterFinished", 0) < 0 or (spec.get("ttlSecondsAfterFinished", 0) > 0 and not ends):
        yield "ttlSecondsAfterFinished goes with shutdownAfterJobFinishes only, and is not negative"
    chosen = spec.get("clusterSelector")
    if not cluster and not chosen:
        yield "neither rayClusterSpec nor clusterSelector"
    if chosen is not None and (not chosen.get("ray.io/cluster") or spec.get("backoffLimit", 0) or spec.get("suspend")):
        yield "a cluster that is chosen has a name, and neither tries again nor is suspended"
    mode = spec.get("submissionMode", "K8sJobMode")
    if mode == "InteractiveMode" and spec.get("backoffLimit", 0) > 0:
        yield "an interactive job is not tried again"
    if mode == "SidecarMode":
        if chosen or "submitterPodTemplate" in spec or "submitterConfig" in spec:
            yield "beside a sidecar there is neither a submitter nor a chosen cluster"
        if cluster and _policy(cluster["headGroupSpec"]) != "Never":
            yield "the head beside a sidecar is not restarted"
    if cluster.get("authOptions", {}).get("enableK8sTokenAuth"):
        yield "Kubernetes' tokens are not taken for jobs"
    for name in ("activeDeadlineSeconds", "preRunningDeadlineSeconds"):
        if spec.get(name, 1) <= 0:
            yield f"{name} is not above 0"
    if spec.get("backoffLimit", 0) < 0:
        yield "backoffLimit is negative"
    if "deletionStrategy" in spec:
        yield from _deletion(spec, cluster, gates)
    if cluster:
        yield from _spec(resource, gates)
        yield from _no_own_upgrade(cluster)


def _deletion(spec: Resource, cluster: Resource, gates: set[str]) -> Iterator[str]:
    if "RayJobDeletionPolicy" not in gates:
        yield "deletionStrategy wants the feature gate RayJobDeletionPolicy"
    strategy = spec["deletionStrategy"]
    rules = strategy.get("deletionRules", [])
    old = [strategy[name] for name in ("onSuccess", "onFailure") if name in strategy]
    if rules and old:
        yield "deletionRules stand beside onSuccess and onFailure"
    if rules and spec.get("shutdownAfterJobFinishes"):
        yield "deletionRules stand beside shutdownAfterJobFinishes"
    if not rules and len(old) != 2:
        yield "neither deletionRules nor both of onSuccess and onFailure"
    scaled, chosen = cluster.get("enableInTreeAutoscaling"), spec.get("clusterSelector")
    kept: dict[tuple[str, str], dict[str, int]] = {}
    for rule in [*rules, *old]:
        policy = rule.get("policy")
        if policy == "DeleteWorkers" and scaled:
            yield "DeleteWorkers does not go with the autoscaler"
        if policy in {"DeleteWorkers", "DeleteCluster"} and chosen:
            yield f"{policy} does not go with a cluster that is chosen"
    for number, rule in enumerate(rules):
        condition = rule["condition"]
        named = [name for name in ("jobStatus", "jobDeploymentStatus") if name in condition]
        if len(named) != 1:
            yield f"rule {number} names not one of jobStatus and jobDeploymentStatus"
            continue
        if condition.get("ttlSeconds", 0) < 0:
            yield f"rule {number} waits for less than nothing"
        of_condition = kept.setdefault((named[0], condition[named[0]]), {})
        if rule["policy"] in of_condition:
            yield f"rule {number} says {rule['policy']} a second time for {condition[named[0]]}"
        of_condition[rule["policy"]] = condition.get("ttlSeconds", 0)
    for (_, status), waits in kept.items():
        inside_out = [waits[policy] for policy in DELETION_ORDER if policy in waits]
        if inside_out != sorted(inside_out):
            yield f"for {status} something goes before what it holds"


def _no_own_upgrade(cluster: Resource) -> Iterator[str]:
    if "upgradeStrategy" in cluster:
        yield "the cluster of a job or a service has no upgradeStrategy"


def _spec(resource: Resource, gates: set[str]) -> Iterator[str]:
    """`ValidateRayClusterSpec`, for the cluster within any of the kinds."""
    cluster, annotations = cluster_of(resource), resource["metadata"].get("annotations", {})
    head, workers = cluster["headGroupSpec"], cluster.get("workerGroupSpecs", [])
    scaled = bool(cluster.get("enableInTreeAutoscaling"))
    options = cluster.get("autoscalerOptions", {})
    v2 = options.get("version") == "v2"
    version = tuple(int(part) for part in re.findall(r"\d+", cluster.get("rayVersion", ""))[:2])
    for group in (head, *workers):
        yield from _group(group, group.get("groupName", "head"))
    for group in workers:
        two = v2 or _variable(head, _V2) in {"1", "true"}
        yield from _workers(group, group["groupName"], scaled=scaled, v2=two, version=version)
    if scaled and v2 and any(_policy(group) != "Never" for group in (head, *workers)):
        yield "with autoscaler v2 no pod of Ray is restarted: restartPolicy is Never or not said"
    if scaled and "version" in options and _variable(head, _V2) is not None:
        yield f"autoscalerOptions.version stands beside {_V2}"
    if not scaled and _variable(head, _V2) in {"1", "true"}:
        yield f"{_V2} without enableInTreeAutoscaling"
    if options.get("idleTimeoutSeconds", 0) < 0:
        yield "autoscalerOptions.idleTimeoutSeconds is negative"
    if "KUBERAY_GEN_AUTOSCALER_START_CMD" in _names(options.get("env", ())):
        yield "KUBERAY_GEN_AUTOSCALER_START_CMD is KubeRay's own"
    yield from _head_that_survives(cluster, annotations)
    yield from _login(cluster.get("authOptions", {}), cluster.get("rayVersion"), version)
    if "networkPolicy" in cluster and "RayClusterNetworkPolicy" not in gates:
        yield "networkPolicy wants the feature gate RayClusterNetworkPolicy"
    if "tlsOptions" in cluster:
        if "RayClusterMTLS" not in gates:
            yield "tlsOptions wants the feature gate RayClusterMTLS"
        elif cluster["tlsOptions"].get("enabled"):
            yield from _own_tls(cluster)


def _group(group: Resource, name: str) -> Iterator[str]:
    started = group.get("rayStartParams", {})
    if not group["template"]["spec"].get("containers"):
        yield f"{name} has no container"
    if group.get("resources") and started.keys() & {"num-cpus", "num-gpus", "memory", "resources"}:
        yield f"{name} says its resources twice: in rayStartParams and in resources"
    if "labels" in started:
        yield f"{name} has labels in rayStartParams"
    for key, value in group.get("labels", {}).items():
        bare = key.rpartition("/")[2]
        if not bare or not all(len(text) <= 63 and _LABEL.fullmatch(text) for text in (bare, value)):
            yield f"{name} has the label {key}: {value}, which Kubernetes does not take"


def _workers(group: Resource, name: str, *, scaled: bool, v2: bool, version: tuple[int, ...]) -> Iterator[str]:
    fewest, most = group.get("minReplicas"), group.get("maxReplicas")
    if not scaled and (fewest is None or most is None):
        yield f"{name} wants minReplicas and maxReplicas where nothing scales it"
    if (fewest or 0) < 0 or (most or 0) < 0 or (fewest is not None and most is not None and fewest > most):
        yield f"{name} has replicas from {fewest} to {most}"
    if group.get("suspend") and scaled:
        yield f"{name} is suspended under the autoscaler"
    if "idleTimeoutSeconds" in group and (group["idleTimeoutSeconds"] < 0 or not v2):
        yield f"{name}: idleTimeoutSeconds wants autoscaler v2, and is not negative"
    if group.get("priority") and not (v2 and version >= (2, 56)):
        yield f"{name}: priority wants autoscaler v2 and Ray 2.56"


def _head_that_survives(cluster: Resource, annotations: Resource) -> Iterator[str]:
    head = cluster["headGroupSpec"]
    own = cluster.get("gcsFaultToleranceOptions")
    if own is not None and annotations.get("ray.io/ft-enabled"):
        yield "ray.io/ft-enabled stands beside gcsFaultToleranceOptions"
    annotated = annotations.get("ray.io/ft-enabled", "").lower() == "true"
    if own is None and not annotated and _variable(head, "RAY_REDIS_ADDRESS") is not None:
        yield "RAY_REDIS_ADDRESS without gcsFaultToleranceOptions"
    if own is not None:
        if head.get("rayStartParams", {}).get("redis-password"):
            yield "redis-password in rayStartParams"
        for name in ("REDIS_PASSWORD", "RAY_REDIS_ADDRESS"):
            if _variable(head, name) is not None:
                yield f"{name} stands beside gcsFaultToleranceOptions"
        if annotations.get("ray.io/external-storage-namespace"):
            yield "ray.io/external-storage-namespace stands beside gcsFaultToleranceOptions"
        if "storage" in own and own.get("backend", "redis") == "redis":
            yield "gcsFaultToleranceOptions.storage is not for Redis"
    if head.get("rayStartParams", {}).get("redis-username") or _variable(head, "REDIS_USERNAME") is not None:
        yield "a Redis user is named elsewhere than in gcsFaultToleranceOptions"


def _login(auth: Resource, told: str | None, version: tuple[int, ...]) -> Iterator[str]:
    own = auth.get("enableK8sTokenAuth")
    if auth.get("mode") == "token":
        if not told or version < (2, 52):
            yield f"authOptions.mode token wants Ray 2.52, not {told}"
        if own and (version < (2, 55) or auth.get("secretName")):
            yield "enableK8sTokenAuth wants Ray 2.55 and no secretName"
    elif own:
        yield "enableK8sTokenAuth without mode token"


def _own_tls(cluster: Resource) -> Iterator[str]:
    users = {group.get("groupName", "head"): _container(group) for group in _groups(cluster)}
    for name, user in (users | {"the autoscaler": cluster.get("autoscalerOptions", {})}).items():
        for variable in sorted(_TLS_VARIABLES & _names(user.get("env", ()))):
            yield f"{name} sets {variable} beside tlsOptions"
        if any({mount["name"], mount["mountPath"]} & _TLS_MOUNT for mount in user.get("volumeMounts", ())):
            yield f"{name} mounts what KubeRay mounts for tlsOptions"


def _groups(cluster: Resource) -> list[Resource]:
    return [cluster["headGroupSpec"], *cluster.get("workerGroupSpecs", ())]


def _container(group: Resource) -> Resource:
    return (group["template"]["spec"].get("containers") or [{}])[0]


def _names(variables: Any) -> set[str]:
    return {variable["name"] for variable in variables}


def _variable(group: Resource, name: str) -> str | None:
    found = [each for each in _container(group).get("env", ()) if each["name"] == name]
    return found[0].get("value", "") if found else None


def _policy(group: Resource) -> str:
    return str(group["template"]["spec"].get("restartPolicy") or "Never")
