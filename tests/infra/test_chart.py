"""The Helm chart: helm renders it, Kubernetes' and KubeRay's schemas take it, and what must hold of security holds."""

from __future__ import annotations

import copy
import importlib
import ipaddress
import math
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import operator_kinds
import pytest
import sizes
import yaml
from authorities import authority
from cryptography import x509
from hcl import TERRAFORM
from kuberay_kinds import KUBERNETES, check, templates
from kuberay_rules import GATES, cluster_of, refusals
from ray.serve.schema import ServeDeploySchema

from cluster import certificates
from cluster.serve.http import haproxy
from cluster.serve.settings import DESK_CPUS, Replicas, ServeSettings

CHART = Path(__file__).parents[2] / "infra" / "kuberay"
SIZES = ("small", "medium", "large")
DIGEST, GPU_DIGEST = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
NAMED = ["--set", "image.repository=registry.example/s2i"]
IMAGE = [*NAMED, "--set", f"image.digest={DIGEST},image.gpuDigest={GPU_DIGEST}"]
REDIS = ["--set", "redis.address=rediss://redis.example:6379,redis.cidr=10.1.0.0/16"]
"""What the larger sizes want named, and the small one does not use."""
ALL = "job.enabled=true,job.source=s3://archive,job.destination=s3://pictures,service.enabled=true,"
AUTHORITY = "tls.certificates=authority,tls.authoritySecret=s2i-ray-authority"
INGRESS = "service.ingress.enabled=true,service.ingress.host=s2i.example,service.ingress.tlsSecret=s2i-tls"

_PLATFORM = (TERRAFORM / "modules" / "platform" / "main.tf").read_text()
_VALUES = (TERRAFORM / "modules" / "platform" / "values.tf").read_text()
INSTALLED = GATES | set(re.findall(r'name = "(\w+)", enabled = true', _PLATFORM))
"""Feature gates of the operator that our module installs."""

OTHERS = {
    ("monitoring.coreos.com/v1", "PodMonitor"),
    ("monitoring.coreos.com/v1alpha1", "ScrapeConfig"),
    ("cert-manager.io/v1", "Issuer"),
    ("cert-manager.io/v1", "Certificate"),
    ("cilium.io/v2", "CiliumNetworkPolicy"),
}
"""What the chart has of other operators' kinds, once all of it is on."""

Helm = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def helm(tool: Callable[[str], str]) -> Helm:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([tool("helm"), *arguments], capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session", params=SIZES)
def rendered(request: pytest.FixtureRequest, helm: Helm) -> list[dict[str, Any]]:
    """All resources, with everything switched on."""
    values = ["-f", str(CHART / f"values-{request.param}.yaml"), *IMAGE, *REDIS, "--set", ALL + INGRESS]
    answer = helm("template", "night", str(CHART), "-n", "s2i", *values)
    assert answer.returncode == 0, answer.stderr
    return [resource for resource in yaml.safe_load_all(answer.stdout) if resource]


def of(resources: list[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    found = [resource for resource in resources if resource["kind"] in kinds]
    assert found, f"no {kinds} in the chart"
    return found


def ray(resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return of(resources, "RayCluster", "RayJob", "RayCronJob", "RayService")


@pytest.mark.parametrize("size", SIZES)
def test_helm_finds_no_fault(helm: Helm, size: str) -> None:
    answer = helm("lint", "--strict", str(CHART), "-f", str(CHART / f"values-{size}.yaml"), *IMAGE, *REDIS)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize("size", ["medium", "large"])
@pytest.mark.parametrize("missing", ["digest", "gpuDigest"])
def test_in_production_an_image_without_a_digest_is_a_choice(helm: Helm, size: str, missing: str) -> None:
    values = ["-f", str(CHART / f"values-{size}.yaml"), *IMAGE, *REDIS, "--set", f"image.{missing}="]
    answer = helm("template", "n", str(CHART), *values)
    assert answer.returncode != 0 and f"image.{missing} is empty" in answer.stderr
    answer = helm("template", "n", str(CHART), *values, "--set", "image.requireDigest=false")
    assert answer.returncode == 0, answer.stderr


def test_a_digest_wins_over_the_tag_in_every_pod(rendered: list[dict[str, Any]]) -> None:
    for resource in ray(rendered):
        for template in templates(resource):
            (container,) = template["spec"]["containers"]
            gpus = "nvidia.com/gpu" in container["resources"]["limits"]
            assert container["image"] == f"registry.example/s2i@{GPU_DIGEST if gpus else DIGEST}"


def test_a_trial_runs_tags(helm: Helm) -> None:
    answer = helm("template", "n", str(CHART), "-f", str(CHART / "values-small.yaml"), *NAMED)
    assert answer.returncode == 0 and "image: registry.example/s2i:0.1.0" in answer.stdout


def test_kubernetes_takes_every_core_resource(rendered: list[dict[str, Any]]) -> None:
    core = [
        resource
        for resource in rendered
        if resource["apiVersion"].split("/")[0] not in {"ray.io", "monitoring.coreos.com"}
    ]
    assert {"ServiceAccount", "NetworkPolicy", "PodDisruptionBudget", "Ingress"} == {each["kind"] for each in core}
    for resource in core:
        kubernetes_validate.validate(resource, KUBERNETES, strict=True)


def test_kuberay_takes_its_resources(rendered: list[dict[str, Any]]) -> None:
    assert {resource["kind"] for resource in ray(rendered)} == {"RayCluster", "RayJob", "RayService"}
    for resource in ray(rendered):
        check(resource, INSTALLED)


def test_every_other_operator_takes_its_resources(helm: Helm) -> None:
    """Prometheus', cert-manager's and Cilium's, with their rules."""
    chosen = f"{ALL}{AUTHORITY},tls.makeAuthority=true,metrics.podMonitor=true,network.storeNames={{s3.example}}"
    for size in SIZES:
        values = ["-f", str(CHART / f"values-{size}.yaml"), *IMAGE, *REDIS, "--set", f"{chosen},tls.enabled=true"]
        answer = helm("template", "night", str(CHART), *values)
        assert answer.returncode == 0, answer.stderr
        others = [
            resource
            for resource in yaml.safe_load_all(answer.stdout)
            if resource and resource["apiVersion"].split("/")[0] in {each[0].split("/")[0] for each in OTHERS}
        ]
        assert {(each["apiVersion"], each["kind"]) for each in others} == OTHERS
        for resource in others:
            operator_kinds.check(resource)


def test_an_operator_without_its_gate_takes_the_sizes_that_say_so(helm: Helm) -> None:
    """`tls.certificates: kuberay` wants RayClusterMTLS, which is off in a plain operator; the rest does without."""
    for chosen, taken in (("tls.enabled=false", True), (AUTHORITY, True), ("tls.certificates=kuberay", False)):
        answer = helm("template", "night", str(CHART), *IMAGE, "--set", f"{ALL}{chosen}")
        resources = ray([resource for resource in yaml.safe_load_all(answer.stdout) if resource])
        assert [not refusals(resource) for resource in resources] == [taken] * 3, chosen


def test_the_checks_of_kuberays_kinds_can_fail(rendered: list[dict[str, Any]]) -> None:
    job = of(rendered, "RayJob")[0]
    spoils: list[Callable[[dict[str, Any]], None]] = [
        lambda spec: spec.update(ttl=1),
        lambda spec: spec["deletionStrategy"]["deletionRules"][0]["condition"].update(jobDeploymentStatus="Failed"),
        lambda spec: spec["rayClusterSpec"]["headGroupSpec"]["template"]["spec"].update(restartPolicy="Always"),
        lambda spec: spec["rayClusterSpec"]["headGroupSpec"]["template"]["spec"].update(restart="Never"),
        lambda spec: spec["rayClusterSpec"].update(rayVersion="2.51.0"),
        lambda spec: spec["rayClusterSpec"]["workerGroupSpecs"][0].update(minReplicas=1000),
    ]
    for spoil in spoils:
        spoiled = copy.deepcopy(job)
        spoil(spoiled["spec"])
        with pytest.raises((AssertionError, jsonschema.ValidationError)):
            check(spoiled, INSTALLED)


def test_prometheus_takes_its_resources_and_finds_what_they_name(helm: Helm) -> None:
    chosen = ["--set", ALL + INGRESS + ",metrics.podMonitor=true"]
    answer = helm("template", "night", str(CHART), "-n", "s2i", *IMAGE, *chosen)
    assert answer.returncode == 0, answer.stderr
    resources = [resource for resource in yaml.safe_load_all(answer.stdout) if resource]
    (monitor,), (scrape,) = of(resources, "PodMonitor"), of(resources, "ScrapeConfig")
    for resource in (monitor, scrape):
        operator_kinds.check(resource)
        spoiled = copy.deepcopy(resource)
        spoiled["spec"]["interval"] = "15s"
        with pytest.raises(jsonschema.ValidationError):
            operator_kinds.check(spoiled)
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    # Ray forgets what a job said last after 20 s.
    assert endpoint["interval"] == scrape["spec"]["scrapeInterval"] == "15s"
    for resource in ray(resources):
        for template in templates(resource):
            if template["metadata"]["labels"].get("s2i/role") in {"head", "worker"}:
                assert monitor["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
                ports = [port["name"] for port in template["spec"]["containers"][0]["ports"]]
                assert endpoint["port"] in ports
    # The service that KubeRay makes of a RayService goes by its name.
    (service,) = of(resources, "RayService")
    name = f"{service['metadata']['name']}-serve-svc.s2i.svc:8000"
    assert scrape["spec"]["staticConfigs"] == [{"targets": [name]}]


def test_no_head_runs_work_and_idle_workers_go(rendered: list[dict[str, Any]]) -> None:
    for resource in ray(rendered):
        cluster = cluster_of(resource)
        assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
        assert cluster["enableInTreeAutoscaling"] and cluster["autoscalerOptions"]["version"] == "v2"
        assert cluster["autoscalerOptions"]["idleTimeoutSeconds"] > 0


def test_every_cluster_asks_for_the_token(rendered: list[dict[str, Any]]) -> None:
    for resource in ray(rendered):
        assert cluster_of(resource)["authOptions"] == {"mode": "token", "secretName": "s2i-ray-token"}


@pytest.fixture(scope="session")
def signing(helm: Helm) -> list[dict[str, Any]]:
    """All resources, with pods that make their own certificates."""
    chosen = f"{ALL}{AUTHORITY},cluster.gpu.enabled=true"
    answer = helm("template", "night", str(CHART), "-n", "s2i", *IMAGE, "--set", chosen)
    assert answer.returncode == 0, answer.stderr
    return [resource for resource in yaml.safe_load_all(answer.stdout) if resource]


def test_pods_make_their_own_certificates_where_kuberay_does_not(signing: list[dict[str, Any]]) -> None:
    for resource in ray(signing):
        check(resource)
        cluster = cluster_of(resource)
        assert "tlsOptions" not in cluster
        sidecar = cluster["autoscalerOptions"]
        for template in templates(resource):
            if template["metadata"]["labels"]["s2i/role"] == "submitter":
                continue  # it speaks HTTP with the job server
            pod = template["spec"]
            volumes = {volume["name"]: volume for volume in pod["volumes"]}
            assert volumes["authority"]["secret"]["secretName"] == "s2i-ray-authority"
            (first,), (container,) = pod["initContainers"], pod["containers"]
            (made,) = (mount for mount in first["volumeMounts"] if mount["name"] == "certificates")
            told = {each["name"]: each.get("value", "") for each in container["env"]}
            assert told["RAY_USE_TLS"] == "1"
            # Every process of Ray finds the files where the first container writes them; none sees the authority.
            mount = {"name": "certificates", "mountPath": made["mountPath"], "readOnly": True}
            for user in (container, sidecar):
                assert mount in user["volumeMounts"]
                assert "authority" not in {each["name"] for each in user["volumeMounts"]}
                assert {each["name"]: each.get("value", "") for each in user["env"]}.items() >= {
                    "RAY_USE_TLS": "1",
                    "RAY_TLS_SERVER_CERT": f"{made['mountPath']}/tls.crt",
                    "RAY_TLS_SERVER_KEY": f"{made['mountPath']}/tls.key",
                    "RAY_TLS_CA_CERT": f"{made['mountPath']}/ca.crt",
                }.items()


def test_a_certificate_names_what_its_pod_is_called_by(signing: list[dict[str, Any]], tmp_path: Path) -> None:
    """The first container's command as Kubernetes would fill it in."""
    signer = authority(tmp_path / "authority")
    filled = {"POD_IP": "10.0.3.7", "NAMESPACE": "s2i", "CLUSTER": "night-batch"}
    for resource in ray(signing):
        for template in templates(resource):
            role = template["metadata"]["labels"]["s2i/role"]
            if role == "submitter":
                continue
            (first,) = template["spec"]["initContainers"]
            command = " ".join([*first["command"], *first.get("args", ())])
            for each in first["env"]:
                command = command.replace(f"$({each['name']})", filled[each["name"]])
            program, flag, module, secret, folder, *names = command.split()
            assert (program, flag, module, secret, folder) == (
                *("python", "-m", certificates.__name__),
                *("/authority", "/certificates"),
            )
            certificates.certify(signer, tmp_path, names)
            made = x509.load_pem_x509_certificate((tmp_path / "tls.crt").read_bytes())
            called = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            assert ipaddress.ip_address("10.0.3.7") in called.get_values_for_type(x509.IPAddress)
            # By this one workers look for the head.
            service = "night-batch-head-svc.s2i.svc.cluster.local"
            assert (service in called.get_values_for_type(x509.DNSName)) is (role == "head")


def test_every_container_is_bounded_unprivileged_and_watched(
    rendered: list[dict[str, Any]], signing: list[dict[str, Any]]
) -> None:
    for resource in ray(rendered) + ray(signing):
        for template in templates(resource):
            pod = template["spec"]
            assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] >= 1000
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            assert "hostNetwork" not in pod and "hostPID" not in pod
            assert pod["serviceAccountName"] in {"s2i-batch", "s2i-serve"}
            head = template["metadata"]["labels"]["s2i/role"] == "head"
            assert pod["automountServiceAccountToken"] is head
            for container in [*pod["containers"], *pod.get("initContainers", ())]:
                security = container["securityContext"]
                assert not security["allowPrivilegeEscalation"] and security["capabilities"] == {"drop": ["ALL"]}
                for bound in ("requests", "limits"):
                    assert {"cpu", "memory"} <= container["resources"][bound].keys()
                assert ":latest" not in container["image"] and container["image"].partition(":")[2]
                if container["name"] not in {"submitter", "certificate"}:
                    assert "livenessProbe" in container and "readinessProbe" in container


def test_no_secret_stands_in_a_manifest(rendered: list[dict[str, Any]]) -> None:
    assert not [resource for resource in rendered if resource["kind"] == "Secret"]
    for resource in ray(rendered):
        for template in templates(resource):
            for container in template["spec"]["containers"]:
                for variable in container.get("env", ()):
                    secret = any(
                        word in variable["name"] for word in ("SECRET", "PASSWORD", "TOKEN", "ACCESS_KEY", "AUTH")
                    )
                    assert not (secret and "value" in variable), variable["name"]


def test_a_drain_leaves_the_heads_and_is_never_blocked_by_workers(rendered: list[dict[str, Any]]) -> None:
    budgets = {each["metadata"]["name"]: each["spec"] for each in of(rendered, "PodDisruptionBudget")}
    assert {"night-batch-head", "night-job-head", "night-serve-head", "night-serve-workers"} == budgets.keys()
    for budget in budgets.values():
        # Kubernetes cannot compute a share of pods whose owner it does not know how to count.
        assert isinstance(budget["minAvailable"], int) and "maxUnavailable" not in budget
    workers = cluster_of(of(rendered, "RayService")[0])["workerGroupSpecs"][0]
    assert budgets["night-serve-workers"]["minAvailable"] < workers["minReplicas"]


def test_budgets_and_policies_select_pods_that_exist(rendered: list[dict[str, Any]]) -> None:
    pods = [template["metadata"]["labels"] for resource in ray(rendered) for template in templates(resource)]
    for resource in of(rendered, "PodDisruptionBudget", "NetworkPolicy"):
        spec = resource["spec"]
        labels = (spec.get("selector") or spec["podSelector"])["matchLabels"]
        assert any(labels.items() <= pod.items() for pod in pods), resource["metadata"]["name"]


def test_the_network_is_closed_but_for_what_is_named(rendered: list[dict[str, Any]]) -> None:
    policies = {each["metadata"]["name"]: each["spec"] for each in of(rendered, "NetworkPolicy")}
    default = policies["night-default"]
    assert sorted(default["policyTypes"]) == ["Egress", "Ingress"]
    pods = [template["metadata"]["labels"] for resource in ray(rendered) for template in templates(resource)]
    assert all(default["podSelector"]["matchLabels"].items() <= pod.items() for pod in pods)
    for name, policy in policies.items():
        for rule in policy.get("ingress", ()):
            assert rule.get("from"), f"{name} lets everybody in"
            inside = all("podSelector" in peer for peer in rule["from"])
            assert inside or rule.get("ports"), f"{name} opens every port"
        for rule in policy.get("egress", ()):
            assert rule.get("to"), f"{name} lets everything out"
            for peer in rule["to"]:
                block = peer.get("ipBlock", {})
                if block.get("cidr") == "0.0.0.0/0":
                    assert "169.254.0.0/16" in block["except"], f"{name} reaches the metadata service"


def test_the_dashboard_has_no_way_in_from_outside(rendered: list[dict[str, Any]]) -> None:
    for ingress in of(rendered, "Ingress"):
        assert ingress["spec"]["tls"]
        ports = [
            path["backend"]["service"]["port"]["number"]
            for rule in ingress["spec"]["rules"]
            for path in rule["http"]["paths"]
        ]
        assert ports == [8000]
    for resource in ray(rendered):
        assert cluster_of(resource)["headGroupSpec"]["serviceType"] == "ClusterIP"


def test_a_job_leaves_nothing_behind_however_it_ends(rendered: list[dict[str, Any]]) -> None:
    rules = of(rendered, "RayJob")[0]["spec"]["deletionStrategy"]["deletionRules"]
    deleted = {
        (rule["policy"], *sorted(set(rule["condition"].values()) - {rule["condition"]["ttlSeconds"]})) for rule in rules
    }
    for policy in ("DeleteCluster", "DeleteSelf"):
        assert {(policy, "SUCCEEDED"), (policy, "FAILED"), (policy, "Failed")} <= deleted


def test_the_service_is_upgraded_beside_the_old_one(rendered: list[dict[str, Any]]) -> None:
    spec = of(rendered, "RayService")[0]["spec"]
    assert spec["upgradeStrategy"]["type"].startswith("NewCluster")
    worker = cluster_of(of(rendered, "RayService")[0])["workerGroupSpecs"][0]["template"]["spec"]
    assert worker["containers"][0]["readinessProbe"]["httpGet"]["path"] == "/-/healthz"
    assert worker["terminationGracePeriodSeconds"] == spec["rayClusterDeletionDelaySeconds"]


def test_no_pod_of_an_old_version_stays_in_the_batch_cluster(rendered: list[dict[str, Any]]) -> None:
    assert of(rendered, "RayCluster")[0]["spec"]["upgradeStrategy"] == {"type": "Recreate"}
    job = copy.deepcopy(of(rendered, "RayJob")[0])
    cluster_of(job)["upgradeStrategy"] = {"type": "Recreate"}
    with pytest.raises(jsonschema.ValidationError):
        check(job)


@pytest.mark.parametrize("namespace", ["", "istio-ingress"])
def test_an_upgrade_by_steps_lets_its_gateway_in(helm: Helm, namespace: str) -> None:
    steps = "service.upgrade.type=NewClusterWithIncrementalUpgrade,service.upgrade.gatewayClassName=istio"
    chosen = ["--set", f"service.enabled=true,{steps},network.gatewayNamespace={namespace}"]
    answer = helm("template", "night", str(CHART), "-n", "s2i", *IMAGE, *chosen)
    assert answer.returncode == 0, answer.stderr
    resources = [resource for resource in yaml.safe_load_all(answer.stdout) if resource]
    check(of(resources, "RayService")[0], INSTALLED)
    policies = {each["metadata"]["name"]: each for each in of(resources, "NetworkPolicy")}
    kubernetes_validate.validate(policies["night-serve-http"], KUBERNETES, strict=True)
    (rule,) = policies["night-serve-http"]["spec"]["ingress"]
    peer = (
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
        if namespace
        else {"podSelector": {"matchLabels": {"gateway.networking.k8s.io/gateway-name": "night-serve-gateway"}}}
    )
    assert peer in rule["from"] and rule["ports"] == [{"port": 8000, "protocol": "TCP"}]


def test_ray_serve_and_the_service_take_the_config(rendered: list[dict[str, Any]]) -> None:
    config = ServeDeploySchema.model_validate(yaml.safe_load(of(rendered, "RayService")[0]["spec"]["serveConfigV2"]))
    assert config.logging_config is not None and config.logging_config.encoding == "JSON"
    (application,) = config.applications
    module, _, name = application.import_path.partition(":")
    assert callable(getattr(importlib.import_module(module), name))
    settings = ServeSettings.model_validate(application.args)
    assert settings.access == "keys"
    # The file of keys is where every pod of the service mounts it.
    for template in templates(of(rendered, "RayService")[0]):
        mounts = template["spec"]["containers"][0]["volumeMounts"]
        assert {"name": "keys", "mountPath": str(Path(settings.keys_file).parent), "readOnly": True} in mounts


def pods_for(settings: ServeSettings, end: str, cpus: float, gpus: float) -> int:
    """Pods of a size that the fewest (`minimum`) or most (`maximum`) replicas of a service take, the largest first."""
    deployments = {name: getattr(settings, name) for name in ("generator", "encoder", "ingress")}
    pods: list[dict[str, Any]] = []
    for name, replicas in (deployments | {"desk": Replicas(num_cpus=DESK_CPUS)}).items():
        for _ in range(getattr(replicas, end)):
            fits = [
                pod
                for pod in [*pods, {"cpus": cpus, "gpus": gpus, "held": []}]
                if pod["cpus"] >= replicas.num_cpus
                and pod["gpus"] >= replicas.num_gpus
                and pod["held"].count(name) < (replicas.per_node or 1000)
            ]
            assert fits, f"no pod is large enough for {name}"
            pod = fits[0]
            pod["cpus"] -= replicas.num_cpus
            pod["gpus"] -= replicas.num_gpus
            pod["held"].append(name)
            if len(pod["held"]) == 1:
                pods.append(pod)
    return len(pods)


def test_the_services_replicas_fill_its_pods(rendered: list[dict[str, Any]]) -> None:
    """No pod of the fewest stands idle, and load brings as many as there may be."""
    service = of(rendered, "RayService")[0]
    config = ServeDeploySchema.model_validate(yaml.safe_load(service["spec"]["serveConfigV2"]))
    settings = ServeSettings.model_validate(config.applications[0].args)
    (group,) = cluster_of(service)["workerGroupSpecs"]
    limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    # KubeRay tells Ray of whole CPUs, rounded up.
    size = (math.ceil(sizes.cpus(limits["cpu"])), float(limits.get("nvidia.com/gpu", 0)))
    assert pods_for(settings, "minimum", *size) == group["minReplicas"]
    assert pods_for(settings, "maximum", *size) == group["maxReplicas"]
    # A node that is lost takes a share of each along, not all of one.
    for replicas in (settings.ingress, settings.encoder, settings.generator):
        assert replicas.per_node and replicas.per_node * group["minReplicas"] >= replicas.minimum


def test_heads_stand_where_the_module_keeps_them(helm: Helm) -> None:
    """On machines of the pool for heads, which are never spot; in every size."""
    heads = re.search(r"heads = \{\n(.*?)\n  \}", _VALUES, re.DOTALL)
    assert heads and '"s2i/pool" = "head"' in heads[1] and _VALUES.count("head = local.heads") == 2
    steered = "nodeSelector.s2i/pool=head"
    chosen = ",".join(f"{part}.head.{steered}" for part in ("cluster", "service"))
    for size in SIZES:
        values = ["-f", str(CHART / f"values-{size}.yaml"), *IMAGE, *REDIS, "--set", f"{ALL}{chosen}"]
        answer = helm("template", "night", str(CHART), *values)
        assert answer.returncode == 0, answer.stderr
        for resource in ray([resource for resource in yaml.safe_load_all(answer.stdout) if resource]):
            head = cluster_of(resource)["headGroupSpec"]["template"]["spec"]
            assert head["nodeSelector"] == {"s2i/pool": "head"}
            if size != "small":
                assert head["tolerations"] == [{"key": "s2i/pool", "value": "head", "effect": "NoSchedule"}]


def test_serves_own_proxy_stays_on_clusters(rendered: list[dict[str, Any]]) -> None:
    for template in templates(of(rendered, "RayService")[0]):
        (container,) = template["spec"]["containers"]
        assert {"name": haproxy.SWITCH, "value": "0"} in container["env"]


def test_no_timeout_cuts_live_connections_and_event_streams(rendered: list[dict[str, Any]]) -> None:
    config = ServeDeploySchema.model_validate(yaml.safe_load(of(rendered, "RayService")[0]["spec"]["serveConfigV2"]))
    assert config.http_options.request_timeout_s is None
    limits = ServeSettings.model_validate(config.applications[0].args).limits
    for ingress in of(rendered, "Ingress"):
        proxy = ingress["metadata"]["annotations"]
        assert int(proxy["nginx.ingress.kubernetes.io/proxy-read-timeout"]) >= limits.live_s
        size = proxy["nginx.ingress.kubernetes.io/proxy-body-size"]
        assert size.endswith("m") and int(size[:-1]) << 20 > limits.max_recording_bytes


def test_a_cut_link_is_noticed_within_a_minute(rendered: list[dict[str, Any]]) -> None:
    for resource in ray(rendered):
        for template in templates(resource):
            (container,) = template["spec"]["containers"]
            environment = {each["name"]: each.get("value") for each in container.get("env", ())}
            if template["metadata"]["labels"]["s2i/role"] == "head":
                period_ms, timeout_ms, times = (
                    int(environment[f"RAY_health_check_{name}"])
                    for name in ("period_ms", "timeout_ms", "failure_threshold")
                )
                assert (period_ms + timeout_ms) * times < 60_000


def test_traces_go_to_the_collector_and_are_let_out(helm: Helm) -> None:
    chosen = ["--set", ALL + "traces.endpoint=http://collector.monitoring:4318"]
    answer = helm("template", "n", str(CHART), *IMAGE, *chosen)
    assert answer.returncode == 0, answer.stderr
    resources = [resource for resource in yaml.safe_load_all(answer.stdout) if resource]
    for resource in ray(resources):
        for template in templates(resource):
            (container,) = template["spec"]["containers"]
            if container["name"] != "submitter":
                told = {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://collector.monitoring:4318"}
                assert told in container["env"]
    (default,) = (each for each in of(resources, "NetworkPolicy") if each["metadata"]["name"] == "n-default")
    ports = [(rule["to"][0], rule["ports"]) for rule in default["spec"]["egress"]]
    monitoring = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    assert (monitoring, [{"port": 4318, "protocol": "TCP"}]) in ports


@pytest.mark.parametrize("size", ["medium", "large"])
def test_the_head_survives_where_there_is_a_redis(helm: Helm, size: str) -> None:
    values = ["-f", str(CHART / f"values-{size}.yaml"), *IMAGE]
    answer = helm("template", "n", str(CHART), *values)
    assert answer.returncode != 0 and "redis.address is needed" in answer.stderr, "a head that survives, nowhere"
    for address, port in (("rediss://redis.example", 6379), ("rediss://redis.example:6400", 6400)):
        named = ["--set", f"redis.address={address},redis.cidr=10.1.0.0/16"]
        answer = helm("template", "n", str(CHART), *values, *named)
        assert answer.returncode == 0, answer.stderr
        resources = list(yaml.safe_load_all(answer.stdout))
        options = cluster_of(of(resources, "RayCluster")[0])["gcsFaultToleranceOptions"]
        assert options["redisAddress"] == address
        assert options["redisPassword"]["valueFrom"]["secretKeyRef"]["name"] == "s2i-redis"
        # The way to it is open by the same port.
        ways = [
            rule["ports"]
            for policy in of(resources, "NetworkPolicy")
            for rule in policy["spec"].get("egress", ())
            if {"ipBlock": {"cidr": "10.1.0.0/16"}} in rule["to"]
        ]
        assert ways and all(ports == [{"port": port, "protocol": "TCP"}] for ports in ways)


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("image.tag=latest", "tag"),
        ("image.digest=sha256:1234", "does not match pattern"),
        ("image.digest=0.1.0", "does not match pattern"),
        ("image.repository=", "image.repository is empty"),
        ("cluster.cpu.maxReplica=3", "additional properties"),
        ("cluster.head.memory=8GB", "does not match pattern"),
        ("auth.secretName=", "does not match pattern"),
        ("store.endpoint=https://user:password@store.example", "does not match pattern"),
        ("service.enabled=true,disruption.serveWorkers=1", "must be below service.minReplicas"),
        ("job.enabled=true", "job.source is needed"),
        ("job.enabled=true,job.source=archive", "does not match pattern"),
        (f"{ALL}job.keepHeadAfterFailureSeconds=90000", "is above job.deleteAfterSeconds"),
        ("redis.enabled=true", "redis.address is needed"),
        ("redis.enabled=true,redis.address=rediss://redis.example", "redis.cidr is needed"),
        ("redis.enabled=true,redis.address=rediss://redis.example:six", "does not match pattern"),
        ("tls.certificates=authority", "tls.authoritySecret is needed"),
        ("tls.certificates=mine", "value must be one of"),
        ("service.args.access=loopback", "not"),
        ("extraEnv[0].name=RAY_USE_TLS,extraEnv[0].value=1", "not"),
        ("extraEnv[0].name=AWS_REGION,extraEnv[0].value=moon", "not"),
        ("extraEnv[0].name=API_TOKEN,extraEnv[0].value=in-the-clear", "valueFrom"),
        ("extraEnv[0].name=MODE", "oneOf"),
        ("cluster.cpu.ephemeralStorage=20GB", "does not match pattern"),
        ("cluster.gpu.runtimeClassName=Not A Name", "does not match pattern"),
        ("service.topologySpread.whenUnsatisfiable=Never", "value must be one of"),
        ("network.dns.cidrs={anywhere}", "does not match pattern"),
        ("network.storeNames={https://s3.example}", "does not match pattern"),
        ("job.schedule=every night", "does not match pattern"),
        ("store.credentialsKeys.key=a", "additional properties"),
        ("service.requestTimeoutSeconds=120", "additional properties"),
        ("service.enabled=true,service.upgrade.type=None", "value must be one of"),
        ("service.enabled=true,service.ingress.enabled=true,service.ingress.host=a.example", "tlsSecret is needed"),
        ("service.enabled=true,service.upgrade.type=NewClusterWithIncrementalUpgrade", "gatewayClassName is needed"),
        (
            "service.enabled=true,service.upgrade.type=NewClusterWithIncrementalUpgrade,"
            f"service.upgrade.gatewayClassName=istio,{INGRESS}",
            "leads past the gateway",
        ),
    ],
)
def test_values_that_cannot_work_are_refused(helm: Helm, setting: str, reason: str) -> None:
    answer = helm("template", "n", str(CHART), *IMAGE, "--set", setting)
    assert answer.returncode != 0
    assert reason in answer.stderr, answer.stderr


def test_the_stores_authority_and_the_networks_proxy_reach_every_node(helm: Helm) -> None:
    chosen = ["store.authorityConfigMap=company", "store.proxy=http://proxy:3128", r"store.noProxy=.corp\,10.0.0.0/8"]
    answer = helm("template", "n", str(CHART), *IMAGE, *(word for each in [ALL, *chosen] for word in ("--set", each)))
    assert answer.returncode == 0, answer.stderr
    for resource in ray([resource for resource in yaml.safe_load_all(answer.stdout) if resource]):
        check(resource, INSTALLED)
        for template in templates(resource):
            (container,) = template["spec"]["containers"]
            if not container["name"].startswith("ray-"):  # what submits a job asks no store
                continue
            env = {each["name"]: each.get("value") for each in container["env"]}
            assert env["AWS_CA_BUNDLE"] == "/store-authority/ca.crt"
            assert "/store-authority" in {mount["mountPath"] for mount in container["volumeMounts"]}
            assert env["HTTPS_PROXY"] == env["HTTP_PROXY"] == "http://proxy:3128"
            assert env["NO_PROXY"] == "localhost,127.0.0.1,::1,169.254.169.254,.svc,.cluster.local,.corp,10.0.0.0/8"


def rendered_with(helm: Helm, *settings: str) -> list[dict[str, Any]]:
    """All resources with everything on, and these settings."""
    answer = helm("template", "night", str(CHART), *IMAGE, *(word for each in settings for word in ("--set", each)))
    assert answer.returncode == 0, answer.stderr
    resources = [resource for resource in yaml.safe_load_all(answer.stdout) if resource]
    for resource in resources:
        group = resource["apiVersion"].split("/")[0]
        if group == "ray.io":
            check(resource, INSTALLED | {"RayCronJob"})
        elif "." not in group or group.endswith("k8s.io"):
            kubernetes_validate.validate(resource, KUBERNETES, strict=True)
    return resources


def nodes(resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The pod of every Ray node."""
    found = [template for resource in ray(resources) for template in templates(resource)]
    return [each for each in found if each["metadata"]["labels"]["s2i/role"] != "submitter"]


def test_each_group_of_pods_has_its_classes_disk_and_annotations(helm: Helm) -> None:
    groups = ("cluster.head", "cluster.cpu", "cluster.gpu", "service", "service.head")
    own = {"priorityClassName": "nights", "runtimeClassName": "nvidia", "ephemeralStorage": "20Gi"}
    chosen = [f"{group}.{name}={value}" for group in groups for name, value in own.items()]
    chosen += [f"{group}.annotations.team=pictures" for group in groups]
    pods = nodes(rendered_with(helm, f"{ALL}cluster.gpu.enabled=true", *chosen))
    assert len(pods) == 8
    for pod in pods:
        assert pod["metadata"]["annotations"] == {"team": "pictures"}
        assert (pod["spec"]["priorityClassName"], pod["spec"]["runtimeClassName"]) == ("nights", "nvidia")
        (container,) = pod["spec"]["containers"]
        for bound in ("requests", "limits"):
            assert container["resources"][bound]["ephemeral-storage"] == "20Gi"


def test_more_variables_reach_every_node_and_none_is_set_twice(helm: Helm) -> None:
    chosen = (
        "extraEnv[0].name=SSL_CERT_FILE,extraEnv[0].value=/store-authority/ca.crt,extraEnv[1].name=HOOK_TOKEN,"
        "extraEnv[1].valueFrom.secretKeyRef.name=hook,extraEnv[1].valueFrom.secretKeyRef.key=token"
    )
    refused = yaml.safe_load((CHART / "values.schema.json").read_text())["properties"]["extraEnv"]["items"]
    taken = re.compile(refused["properties"]["name"]["not"]["pattern"])
    full = f"{ALL}job.prefectUrl=https://prefect.example,job.prefectSecret=prefect,store.credentialsSecret=login"
    full += ",store.authorityConfigMap=company,store.proxy=http://proxy:3128,traces.endpoint=http://c:4318"
    for pod in nodes(rendered_with(helm, full, "store.endpoint=https://store.example", AUTHORITY, chosen)):
        (container,) = pod["spec"]["containers"]
        names = [each["name"] for each in container["env"]]
        assert {"SSL_CERT_FILE", "HOOK_TOKEN"} <= set(names) and len(set(names)) == len(names)
        for name in set(names) - {"SSL_CERT_FILE", "HOOK_TOKEN"}:
            assert taken.search(name), f"extraEnv would set {name} a second time"


def test_secrets_may_have_keys_of_their_own_names(helm: Helm) -> None:
    own = {
        "redis.passwordKey": "pw",
        "store.credentialsKeys.id": "id",
        "store.credentialsKeys.secret": "sk",
        "store.authorityKey": "ca.pem",
        "job.prefectKey": "auth",
        "service.keysKey": "hashed.json",
        "metrics.serveKeyKey": "key",
    }
    full = f"{ALL}job.prefectUrl=https://prefect.example,job.prefectSecret=prefect,store.credentialsSecret=login"
    full += ",store.authorityConfigMap=company,metrics.podMonitor=true,redis.enabled=true,redis.passwordSecret=redis"
    resources = rendered_with(helm, full, REDIS[1], *(f"{name}={key}" for name, key in own.items()))
    text = yaml.safe_dump_all(resources)
    assert set(re.findall(r"\bkey: (\S+)", text)) == set(own.values())
    # Wherever it comes from, it lies where the programs look.
    assert set(re.findall(r"path: (\S+\.\w+)$", text, re.MULTILINE)) == {"ca.crt", "keys.json"}


def test_accounts_of_ones_own_are_used_and_not_made(helm: Helm) -> None:
    chosen = "serviceAccounts.batch.create=false,serviceAccounts.batch.name=mine,serviceAccounts.serve.name=ours"
    resources = rendered_with(helm, ALL + chosen)
    assert [each["metadata"]["name"] for each in of(resources, "ServiceAccount")] == ["ours"]
    assert {pod["spec"]["serviceAccountName"] for pod in nodes(resources)} == {"mine", "ours"}


def test_the_services_pods_are_spread_as_told(helm: Helm) -> None:
    def spread(*settings: str) -> list[tuple[str, int, str]]:
        service = of(rendered_with(helm, ALL, *settings), "RayService")[0]
        (group,) = cluster_of(service)["workerGroupSpecs"]
        found = group["template"]["spec"].get("topologySpreadConstraints", ())
        labels = group["template"]["metadata"]["labels"]
        assert all(each["labelSelector"]["matchLabels"].items() <= labels.items() for each in found)
        return [(each["topologyKey"], each["maxSkew"], each["whenUnsatisfiable"]) for each in found]

    zone, machine = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
    assert spread() == [(zone, 1, "ScheduleAnyway")]
    own = f"service.topologySpread.topologyKeys={{{zone},{machine}}},service.topologySpread.maxSkew=2"
    assert spread(f"{own},service.topologySpread.whenUnsatisfiable=DoNotSchedule") == [
        (zone, 2, "DoNotSchedule"),
        (machine, 2, "DoNotSchedule"),
    ]


def test_the_way_to_names_and_to_the_api_is_where_they_are(helm: Helm) -> None:
    chosen = "network.dns.namespace=openshift-dns,network.dns.port=5353,network.dns.cidrs={169.254.20.10/32}"
    labels = r"network.dns.podLabels.k8s-app=null,network.dns.podLabels.dns\.operator=default"
    policies = of(rendered_with(helm, ALL + chosen, labels, "network.apiPort=6443"), "NetworkPolicy")
    by_name = {each["metadata"]["name"]: each["spec"] for each in policies}
    dns = by_name["night-default"]["egress"][0]
    pods, cache = dns["to"]
    assert pods["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "openshift-dns"}}
    assert pods["podSelector"] == {"matchLabels": {"dns.operator": "default"}}
    assert cache == {"ipBlock": {"cidr": "169.254.20.10/32"}}
    assert dns["ports"] == [{"port": 5353, "protocol": "UDP"}, {"port": 5353, "protocol": "TCP"}]
    for part in ("batch", "job", "serve"):
        assert by_name[f"night-{part}-head"]["egress"][0]["ports"] == [{"port": 6443, "protocol": "TCP"}]


def test_the_store_is_reached_by_address_or_by_name_and_nothing_beside_it(helm: Helm) -> None:
    def ways(*settings: str) -> list[Any]:
        resources = rendered_with(helm, ALL, *settings)
        (default,) = (each for each in of(resources, "NetworkPolicy") if each["metadata"]["name"] == "night-default")
        return [rule["to"] for rule in default["spec"]["egress"] if {"port": 443, "protocol": "TCP"} in rule["ports"]]

    # An endpoint of the kind Interface, by its subnets, which are private.
    assert ways("network.storeCidrs={10.0.0.0/20}") == [[{"ipBlock": {"cidr": "10.0.0.0/20"}}]]
    names = r"network.storeNames={s3.eu-central-1.amazonaws.com,*.s3.eu-central-1.amazonaws.com}"
    assert ways(names) == [], "by address too, everything stays open"
    resources = rendered_with(helm, ALL, names)
    (policy,) = of(resources, "CiliumNetworkPolicy")
    names_of_dns, store = policy["spec"]["egress"]
    assert store["toFQDNs"] == [
        {"matchName": "s3.eu-central-1.amazonaws.com"},
        {"matchPattern": "*.s3.eu-central-1.amazonaws.com"},
    ]
    # Without a look at the answers of the DNS no name is ever known.
    assert names_of_dns["toPorts"][0]["rules"] == {"dns": [{"matchPattern": "*"}]}
    selected = policy["spec"]["endpointSelector"]["matchLabels"].items()
    assert all(selected <= pod["metadata"]["labels"].items() for pod in nodes(resources))


def test_a_schedule_makes_the_job_one_of_many_nights(helm: Helm) -> None:
    resources = rendered_with(helm, ALL, "job.schedule=0 1 * * *", "job.timeZone=Europe/Berlin")
    (night,) = of(resources, "RayCronJob")
    assert not [each for each in resources if each["kind"] == "RayJob"]
    assert (night["spec"]["schedule"], night["spec"]["timeZone"]) == ("0 1 * * *", "Europe/Berlin")
    assert night["spec"]["jobTemplate"] == of(rendered_with(helm, ALL), "RayJob")[0]["spec"]
    # Started where the module's operator has the gate, and said to need it.
    assert [each for each in refusals(night) if "RayCronJob" in each] and not refusals(night, INSTALLED)
    # One night ends before the next begins.
    assert night["spec"]["jobTemplate"]["activeDeadlineSeconds"] < 24 * 3600


def test_cert_manager_makes_the_authority_that_the_pods_are_signed_by(helm: Helm) -> None:
    resources = rendered_with(helm, f"{ALL}{AUTHORITY}", "tls.makeAuthority=true")
    (certificate,), (issuer,) = of(resources, "Certificate"), of(resources, "Issuer")
    assert certificate["spec"]["isCA"] and certificate["spec"]["issuerRef"]["name"] == issuer["metadata"]["name"]
    for pod in nodes(resources):
        (secret,) = (each["secret"]["secretName"] for each in pod["spec"]["volumes"] if each["name"] == "authority")
        assert secret == certificate["spec"]["secretName"]
    assert not [each for each in rendered_with(helm, f"{ALL}{AUTHORITY}") if each["kind"] == "Certificate"]
