"""The OpenTofu modules: they parse, fit together, and hold what must hold of security. No provider is asked: checked
here is what is written, not what AWS makes of it."""

from __future__ import annotations

import json
import re
import shutil
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
from hcl import FOLDERS, TERRAFORM, Block, blocks, files
from kuberay_kinds import KUBERNETES
from prefect.utilities.templating import apply_values

RESOURCES = blocks("resource")
MODULES = TERRAFORM / "modules"
ROOT = TERRAFORM.parents[1]
_SIZES = re.findall(r"(\w+) += \{ cpus = (\d+), gpus = (\d+) \}", (TERRAFORM / "examples/complete/main.tf").read_text())
SIZES = {size: {"cpus": int(cpus), "gpus": int(gpus)} for size, cpus, gpus in _SIZES}
"""What `examples/complete` says that each size asks for."""


def of(kind: str, folder: Path = TERRAFORM) -> list[Block]:
    return [block for block in blocks("resource", folder) if block.kind == kind]


def allowed(document: Block) -> list[dict[str, Any]]:
    return [each for each in document.body.get("statement", ()) if each.get("effect", "Allow") == "Allow"]


POLICIES = [block for block in blocks("data") if block.kind == "aws_iam_policy_document"]


def test_every_file_parses() -> None:
    assert len(list(files())) > 10
    assert {folder.name for folder in FOLDERS} >= {"storage", "identities", "cluster", "platform", "complete"}


@pytest.mark.parametrize("section", ["variable", "output"])
def test_every_input_and_output_says_what_it_is(section: str) -> None:
    for block in blocks(section):
        assert block.body.get("description", "").endswith("."), str(block)
        assert section == "output" or "type" in block.body, str(block)


def test_every_provider_and_module_from_elsewhere_is_pinned() -> None:
    for path, content in files():
        for settings in content.get("terraform", ()):
            assert settings["required_version"], path
            for provider in (each for group in settings.get("required_providers", ()) for each in group.values()):
                assert provider["version"].startswith("~>"), path
    outside = [block for block in blocks("module") if not block.body["source"].startswith(".")]
    assert outside
    for block in outside:
        assert re.fullmatch(r"\d+\.\d+\.\d+", block.body["version"]), str(block)


def test_calls_of_own_modules_fit() -> None:
    own = [block for block in blocks("module") if block.body["source"].startswith(".")]
    assert own
    for call in own:
        folder = (call.file.parent / call.body["source"]).resolve()
        variables = {block.name: block.body for block in blocks("variable", folder)}
        given = call.body.keys() - {"source", "depends_on", "providers"}
        assert given <= variables.keys(), f"{call}: {given - variables.keys()}"
        needed = {name for name, body in variables.items() if "default" not in body}
        assert needed <= given, f"{call}: {needed - given}"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(TERRAFORM)))
def test_names_that_are_used_are_there(folder: Path) -> None:
    text = "\n".join(path.read_text() for path in sorted(folder.glob("*.tf")))
    own = [(path, content) for path, content in files(folder) if path.parent == folder]

    def names(section: str) -> set[str]:
        return {name for _, content in own for entry in content.get(section, ()) for name in entry}

    assert set(re.findall(r"\bvar\.(\w+)", text)) == names("variable")
    assert set(re.findall(r"\blocal\.(\w+)", text)) <= names("locals")
    assert set(re.findall(r"\bmodule\.(\w+)", text)) <= names("module")
    there = {(block.kind, block.name) for block in blocks("resource", folder) + blocks("data", folder)}
    assert set(re.findall(r"\b((?:aws|helm|kubernetes)_\w+)\.(\w+)\b", text)) <= there
    for module in names("module"):
        call = next(block for block in blocks("module", folder) if block.name == module)
        if call.body["source"].startswith("."):
            outputs = {block.name for block in blocks("output", (folder / call.body["source"]).resolve())}
            assert set(re.findall(rf"\bmodule\.{module}\.(\w+)", text)) <= outputs


@pytest.mark.parametrize("folder", [MODULES / "storage", TERRAFORM / "bootstrap"], ids=lambda folder: folder.name)
def test_every_bucket_is_closed_encrypted_and_versioned(folder: Path) -> None:
    (bucket,) = of("aws_s3_bucket", folder)
    assert bucket.body["lifecycle"] == [{"prevent_destroy": True}] and not bucket.body.get("force_destroy")
    every = f"${{aws_s3_bucket.{bucket.name}}}" if "for_each" in bucket.body else None

    def one(kind: str) -> dict[str, Any]:
        (block,) = of(kind, folder)
        assert block.body.get("for_each") == every, f"{block} leaves a bucket out"
        return block.body

    access = one("aws_s3_bucket_public_access_block")
    for setting in ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets"):
        assert access[setting] is True
    assert one("aws_s3_bucket_versioning")["versioning_configuration"] == [{"status": "Enabled"}]
    encryption = one("aws_s3_bucket_server_side_encryption_configuration")["rule"][0]
    algorithm = encryption["apply_server_side_encryption_by_default"][0]["sse_algorithm"]
    assert "aws:kms" in algorithm and "none" not in algorithm.lower()
    rules = one("aws_s3_bucket_lifecycle_configuration")["rule"]
    assert any("noncurrent_version_expiration" in rule for rule in rules)
    assert any("abort_incomplete_multipart_upload" in rule for rule in rules)
    policy = next(each for each in POLICIES if each.file.parent == folder and "OnlyWithTls" in str(each.body))
    denied = next(each for each in policy.body["statement"] if each["sid"] == "OnlyWithTls")
    assert denied["effect"] == "Deny" and denied["condition"][0]["variable"] == "aws:SecureTransport"
    one("aws_s3_bucket_policy")


def test_keys_are_renewed() -> None:
    keys = of("aws_kms_key")
    assert keys and all(key.body["enable_key_rotation"] is True for key in keys)


def test_no_right_is_given_by_a_wildcard() -> None:
    assert len(POLICIES) >= 5
    for document in POLICIES:
        for statement in allowed(document):
            assert not [action for action in statement["actions"] if "*" in action], str(document)
            # What only looks cannot be bound to a resource on EC2.
            looks = all(action.startswith("ec2:Describe") for action in statement["actions"])
            assert looks or "*" not in statement.get("resources", ()), str(document)
            for principal in statement.get("principals", ()):
                assert "*" not in principal["identifiers"], str(document)


def test_the_wildcard_check_can_fail() -> None:
    bad = Block("data", "bad", {"statement": [{"actions": ["s3:*"], "resources": ["*"]}]}, TERRAFORM / "bad.tf")
    assert [action for statement in allowed(bad) for action in statement["actions"] if "*" in action]


def test_only_the_writer_writes() -> None:
    writes = re.compile(r":(Put|Delete|Create|Abort|Generate)")
    documents = {each.name: each for each in POLICIES if each.file.parent == MODULES / "identities"}
    for name in ("reader", "analyst"):
        actions = {action for statement in allowed(documents[name]) for action in statement["actions"]}
        assert not [action for action in actions if writes.search(action)]
    archive = [each for each in allowed(documents["writer"]) if "local.archive}" in str(each["resources"])]
    assert [each["actions"] for each in archive] == [["s3:GetObject"]]


def test_nothing_leads_to_the_cluster_from_everywhere() -> None:
    (eks,) = [block for block in blocks("module") if block.name == "eks"]
    assert eks.body["endpoint_public_access"] == "${length(var.api_cidrs) > 0}"
    assert eks.body["encryption_config"] == {"resources": ["secrets"]} and eks.body["create_kms_key"] is True
    assert "audit" in eks.body["enabled_log_types"]
    metadata = eks.body["eks_managed_node_groups"]["system"]["metadata_options"]
    assert metadata == {"http_tokens": "required", "http_put_response_hop_limit": 1}
    text = "".join(path.read_text() for path in TERRAFORM.rglob("*.tf"))
    assert re.findall(r'"0\.0\.0\.0/0"', text) == ['"0.0.0.0/0"'], "only the check that refuses it names it"


def test_no_secret_is_written_down() -> None:
    for path in TERRAFORM.rglob("*"):
        if path.suffix in {".tf", ".yaml", ".example"}:
            found = re.findall(r'(?i)\b(?:password|secret_key|token|auth_string)\b\s*=\s*"[^"$]+"', path.read_text())
            assert not found, f"{path}: {found}"
    assert not [block for block in RESOURCES if block.kind.startswith(("random_password", "kubernetes_secret"))]


def test_prefect_and_grafana_ask_for_a_login() -> None:
    releases = {block.name: str(block.body) for block in of("helm_release", MODULES / "platform")}
    assert "basicAuth" in releases["prefect_server"] and "existingSecret" in releases["prefect_server"]
    assert "auth.anonymous" in releases["monitoring"]


def test_prefect_is_reached_by_tls_or_not_at_all() -> None:
    (server,) = (block for block in of("helm_release", MODULES / "platform") if block.name == "prefect_server")
    (values,) = server.body["values"]
    assert "ingress = {enabled = var.prefect_ingress.host != " in values
    # The chart's own switch, `tls`, gives none without cert-manager or a certificate that nobody trusts.
    assert "extraTls = [{hosts = [var.prefect_ingress.host], secretName = var.prefect_ingress.tls_secret}]" in values
    assert "extraHosts" not in values and "selfSigned" not in values
    found = [each for _, content in files(MODULES / "platform") for each in content.get("locals", ())]
    (local,) = (each for each in found if "prefect_ui_api_url" in each)
    url = local["prefect_ui_api_url"]
    assert url.endswith('"https://${var.prefect_ingress.host}/api"}')


def test_state_is_remote_encrypted_and_locked() -> None:
    for path, content in files(TERRAFORM / "examples"):
        if path.name == "main.tf":
            (settings,) = content["terraform"]
            assert "s3" in settings["backend"][0], path
    (backend,) = [block for block in blocks("output", TERRAFORM / "bootstrap") if block.name == "backend"]
    assert "encrypt      = true" in backend.body["value"] and "use_lockfile = true" in backend.body["value"]


def test_files_that_modules_read_are_there() -> None:
    for path in TERRAFORM.rglob("*.tf"):
        for found in re.findall(r'\$\{path\.module\}/([^"$]+)"', path.read_text()):
            assert (path.parent / found).exists(), f"{path}: {found}"


VERSIONS = yaml.safe_load((TERRAFORM.parent / "versions.yaml").read_text())


def default(folder: Path, name: str) -> Any:
    (block,) = (block for block in blocks("variable", folder) if block.name == name)
    return block.body["default"]


def test_versions_go_together_and_are_those_that_are_installed() -> None:
    kubernetes = VERSIONS["kubernetes"]
    minor = int(kubernetes.partition(".")[2])
    for name, part in VERSIONS.items():
        if name != "kubernetes":
            first, last = (int(each.partition(".")[2]) for each in part["kubernetes"])
            assert first <= minor <= last, f"{name} {part['version']} is not for Kubernetes {kubernetes}"
    assert default(MODULES / "cluster", "kubernetes_version") == kubernetes == KUBERNETES
    assert default(MODULES / "cluster", "karpenter_version") == VERSIONS["karpenter"]["version"]
    variables = (MODULES / "platform" / "variables.tf").read_text()
    for name in ("cert_manager", "kuberay", "prefect"):
        (found,) = re.findall(rf'{name} += optional\(string, "([^"]+)"\)', variables)
        assert found == VERSIONS[name]["version"]


def test_the_launchers_machines_have_the_profiles_that_a_module_makes() -> None:
    named = set(re.findall(r"IamInstanceProfile: \{Name: ([\w-]+)\}", (ROOT / "cluster/configs/aws.yaml").read_text()))
    made = {block.name: block.body["name"] for block in of("aws_iam_instance_profile", MODULES / "identities")}
    assert named == {name.replace("${var.name}", "s2i") for name in made.values()} == {"s2i-head", "s2i-writer"}


def test_the_pods_of_flows_can_start_and_may_do_what_they_must() -> None:
    """By the worker's base job template: Kubernetes takes it, its profile is restricted, what it names is there."""
    platform = (MODULES / "platform" / "main.tf").read_text()
    given = re.search(r"job-template\.json\.tftpl\", \{(.*?)\n +\}\)", platform, re.DOTALL)
    assert given is not None
    names = set(re.findall(r"(\w+) +=", given[1]))
    text = (MODULES / "platform" / "job-template.json.tftpl").read_text()
    assert set(re.findall(r"\$\{(\w+)\}", text)) == names
    secrets = dict(
        re.findall(r'(\w+) += optional\(string, "([^"]*)"\)', (MODULES / "platform/variables.tf").read_text())
    )
    values = {"region": "eu-central-1", "image": f"registry.example/s2i@sha256:{'1' * 64}"}
    for name in names:
        text = text.replace(f"${{{name}}}", values.get(name) or secrets[name])
    template = json.loads(text)
    variables = template["variables"]["properties"]
    assert set(re.findall(r"\{\{ (\w+) \}\}", text)) <= variables.keys()
    filled = {name: each["default"] for name, each in variables.items() if "default" in each}
    filled |= {"name": "a-run", "command": ["prefect", "flow-run", "execute"]}
    manifest = apply_values(template["job_configuration"]["job_manifest"], filled)
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
    pod = manifest["spec"]["template"]["spec"]
    assert (
        pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    )
    (container,) = pod["containers"]
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert container["image"] == values["image"] and manifest["metadata"]["namespace"] == "s2i"
    # The account that the module gives a writer's rights, and secrets that the README makes in this namespace.
    accounts = next(block for block in blocks("variable", MODULES / "identities") if block.name == "service_accounts")
    assert accounts.body["default"]["writer"] == {"namespace": "s2i", "name": pod["serviceAccountName"]}
    readme = (TERRAFORM / "README.md").read_text()
    references = [each["valueFrom"]["secretKeyRef"] for each in container["env"] if "valueFrom" in each]
    assert {each["name"] for each in references} == {"s2i-ray-token", "prefect-auth"}
    assert "-n s2i create secret generic s2i-ray-token --from-literal auth_token" in readme
    assert (
        "for name in prefect s2i; do kubectl -n $name create secret generic prefect-auth --from-literal auth-string"
        in readme
    )
    # The network lets in who comes from where these pods are, and the worker is there too.
    assert 'submitterNamespace = "s2i"' in (MODULES / "platform" / "values.tf").read_text()
    worker = platform[platform.index('"prefect_worker"') :]
    assert 'kubernetes_namespace_v1.this["s2i"]' in worker[: worker.index("repository")]


@pytest.mark.parametrize("size", ["small", "medium", "large"])
def test_what_a_size_asks_for_is_within_what_may_be_bought(tool: Callable[[str], str], size: str) -> None:
    """By the sums of `examples/complete`, which refuses less: of machines, as Karpenter counts what those have."""
    tool("helm")
    asked = {"cpu": 0, "gpu": 0, "head": 0}
    for group in sizes.groups(sizes.render(size)):
        machines = sizes.machines(group, group.most)
        asked[group.pool] += machines.count * sizes.PRICES["machines"][machines.kind]["gpus" if group.gpus else "cpus"]
    assert SIZES[size] == {"cpus": asked["cpu"], "gpus": asked["gpu"]}
    # A service's upgrade has two heads, and the nightly job one of its own.
    assert 3 * asked["head"] <= 2 * default(MODULES / "cluster", "head_limit")


def test_karpenter_takes_the_pools(tool: Callable[[str], str]) -> None:
    chart = MODULES / "cluster" / "pools"
    (release,) = (block for block in of("helm_release", MODULES / "cluster") if block.name == "pools")
    given = set(re.findall(r"(\w+)\s*[:=]", " ".join(release.body["values"])))
    assert given == yaml.safe_load((chart / "values.yaml").read_text()).keys()
    values = ["--set", "cluster=night,role=night-node"]
    for command in (["lint", "--strict", str(chart)], ["template", "node-pools", str(chart)]):
        answer = subprocess.run([tool("helm"), *command, *values], capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stdout + answer.stderr
    resources = [resource for resource in yaml.safe_load_all(answer.stdout) if resource]
    (storage,) = (resource for resource in resources if resource["kind"] == "StorageClass")
    kubernetes_validate.validate(storage, KUBERNETES, strict=True)
    # The class that Prefect's volume asks for, by a driver that is installed.
    assert storage["metadata"]["name"] == default(MODULES / "platform", "storage_class")
    (eks,) = (block for block in blocks("module") if block.name == "eks")
    assert storage["provisioner"] == "ebs.csi.aws.com" and "aws-ebs-csi-driver" in eks.body["addons"]
    resources.remove(storage)
    assert sorted(resource["kind"] for resource in resources) == ["EC2NodeClass"] * 3 + ["NodePool"] * 3
    for resource in resources:
        operator_kinds.check(resource)
        with pytest.raises(jsonschema.ValidationError):
            operator_kinds.check(resource | {"spec": resource["spec"] | {"ttlSecondsAfterEmpty": 30}})
    classes = {each["metadata"]["name"]: each["spec"] for each in resources if each["kind"] == "EC2NodeClass"}
    for pool in (each["spec"] for each in resources if each["kind"] == "NodePool"):
        machine = classes[pool["template"]["spec"]["nodeClassRef"]["name"]]
        assert machine["metadataOptions"] == {"httpTokens": "required", "httpPutResponseHopLimit": 1}
        assert all(device["ebs"]["encrypted"] for device in machine["blockDeviceMappings"])
        kinds = {need["key"]: need["values"] for need in pool["template"]["spec"]["requirements"]}
        head = pool["template"]["metadata"]["labels"] == {"s2i/pool": "head"}
        assert kinds["karpenter.sh/capacity-type"] == (["on-demand"] if head else ["spot", "on-demand"])
        assert pool["limits"], "nothing bounds what it may buy"
        # A budget of disruptions that leaves a head would else hold an old machine for ever.
        assert pool["template"]["spec"]["terminationGracePeriod"]


@pytest.mark.skipif(
    not (shutil.which("tofu") or shutil.which("terraform")), reason="neither tofu nor terraform is here"
)
def test_the_files_are_in_the_standard_format() -> None:
    program = shutil.which("tofu") or shutil.which("terraform")
    answer = subprocess.run(
        [str(program), "fmt", "-check", "-recursive", str(TERRAFORM)], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stdout


@pytest.fixture
def evaluated(tmp_path: Path) -> Callable[..., list[Any]]:
    """YAML documents of a local value of the platform, as OpenTofu evaluates it without a provider."""
    program = shutil.which("tofu") or shutil.which("terraform")
    if not program:
        pytest.skip("neither tofu nor terraform is here")
    for name in ("values.tf", "variables.tf", "alertmanager.yaml.tftpl"):
        shutil.copy(MODULES / "platform" / name, tmp_path)

    def evaluate(name: str, **variables: Any) -> list[Any]:
        image = {
            "repository": "registry.example/s2i",
            "digest": f"sha256:{'1' * 64}",
            "gpuDigest": f"sha256:{'2' * 64}",
        }
        given = {"region": "eu-central-1", "image": image} | variables
        (tmp_path / "terraform.tfvars.json").write_text(json.dumps(given))
        answer = subprocess.run(
            [program, "console"],
            input=f"jsonencode(jsonencode(local.{name}))\n",
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr
        written = answer.stdout.strip().splitlines()[-1]
        return [yaml.safe_load(each) for each in json.loads(json.loads(json.loads(written)))]

    return evaluate


NIGHT = {"clock": "chart", "source": "s3://archive", "destination": "s3://pictures", "cron": "0 1 * * *"}


@pytest.mark.parametrize(
    ("chosen", "kinds"),
    [
        ({}, {"RayCluster", "RayService"}),
        (
            {"redis": {"address": "rediss://redis:6379", "cidr": "10.1.0.0/16"}, "night": NIGHT},
            {"RayCluster", "RayService", "RayCronJob"},
        ),
    ],
    ids=["prefect has the clock", "the chart has the clock, with a Redis"],
)
def test_the_chart_takes_the_modules_values(
    tool: Callable[[str], str], evaluated: Callable[..., list[Any]], tmp_path: Path, chosen: Any, kinds: set[str]
) -> None:
    files = []
    for number, document in enumerate(evaluated("chart", **chosen)):
        (tmp_path / f"{number}.yaml").write_text(yaml.safe_dump(document))
        files += ["-f", str(tmp_path / f"{number}.yaml")]
    chart = TERRAFORM.parent / "kuberay"
    command = [tool("helm"), "template", "s2i", str(chart), "-f", str(chart / "values-medium.yaml"), *files]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    found = [each for each in yaml.safe_load_all(answer.stdout) if each]
    assert {each["kind"] for each in found if each["apiVersion"] == "ray.io/v1"} == kinds


@pytest.mark.parametrize(
    "night",
    [{"clock": "both"}, {"clock": "chart"}, NIGHT | {"clock": "prefect"}, NIGHT | {"cron": ""}],
    ids=["both", "chart without its night", "prefect with the chart's", "no cron"],
)
def test_one_of_the_two_has_the_clock(evaluated: Callable[..., list[Any]], night: dict[str, str]) -> None:
    with pytest.raises(AssertionError, match="night"):
        evaluated("chart", night=night)


def test_alertmanager_takes_its_receivers_and_reads_the_address_from_a_secret(
    tool: Callable[[str], str], evaluated: Callable[..., list[Any]], tmp_path: Path
) -> None:
    assert evaluated("alerting") == [], "no alert goes anywhere, and no budget is said"
    budget, alerts = evaluated("alerting", budget_usd_a_day=150, alerts={"secret": "s2i-alerts"})
    (group,) = budget["additionalPrometheusRulesMap"]["s2i-budget"]["groups"]
    assert group["rules"] == [{"record": "s2i_budget_usd_a_day", "expr": "vector(150)"}]
    config = alerts["alertmanager"]["config"]
    assert alerts["alertmanager"]["alertmanagerSpec"]["secrets"] == ["s2i-alerts"]
    # By the operator's own folder for secrets.
    for receiver in config["receivers"][1:]:
        (told,) = receiver["slack_configs"]
        assert told["api_url_file"] == "/etc/alertmanager/secrets/s2i-alerts/url" and "api_url" not in told
    file = tmp_path / "alertmanager.yaml"
    file.write_text(yaml.safe_dump(config))
    amtool = tool("amtool")
    answer = subprocess.run([amtool, "check-config", str(file)], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    for severity, receiver in (("page", "pages"), ("ticket", "tickets")):
        command = [amtool, "config", "routes", "test", f"--config.file={file}", f"severity={severity}"]
        assert subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() == receiver


def test_what_the_alerts_ask_of_others_is_scraped() -> None:
    platform = (MODULES / "platform" / "main.tf").read_text()
    for name in ("karpenter", "cert-manager", "kuberay-operator"):
        assert re.search(rf"{name} += \{{ namespace", platform), name
    assert "honorLabels = true" in platform, "a namespace would be that of the operator"
    (dcgm,) = (block for block in of("helm_release", MODULES / "platform") if block.name == "dcgm")
    (values,) = dcgm.body["values"]
    assert "serviceMonitor = {enabled = true" in values and "nvidia.com/gpu" in values


def test_existing_buckets_are_left_as_they_are_and_have_roles_all_the_same() -> None:
    storage = (MODULES / "storage" / "main.tf").read_text()
    assert "if !contains(var.existing, role)" in storage and "if contains(var.existing, role)" in storage
    for block in blocks("resource", MODULES / "storage"):
        if block.kind.startswith("aws_s3_bucket"):
            assert "existing" not in str(block.body), f"{block} changes a bucket that is not ours"


def test_recordings_stay_readable_without_a_restore_in_every_class_that_may_be_chosen() -> None:
    (variable,) = (each for each in blocks("variable", MODULES / "storage") if each.name == "archive_class")
    (rule,) = variable.body["validation"]
    assert set(re.findall(r"[A-Z_]{4,}", rule["condition"])) == {"GLACIER_IR", "STANDARD_IA", "INTELLIGENT_TIERING"}
    assert "costs at each read" in variable.body["description"]


def test_who_may_talk_to_the_api_is_named_one_by_one() -> None:
    (variable,) = (each for each in blocks("variable", MODULES / "cluster") if each.name == "access")
    conditions = " ".join(rule["condition"] for rule in variable.body["validation"])
    assert 'strcontains(entry.principal, "*")' in conditions and 'endswith(entry.principal, ":root")' in conditions
    (eks,) = (block for block in blocks("module", MODULES / "cluster") if block.name == "eks")
    assert "var.access" in str(eks.body["access_entries"])
    text = (MODULES / "cluster" / "main.tf").read_text()
    for policy in ("View", "Edit", "ClusterAdmin"):
        assert f'"{policy}"' in text


def test_another_token_reaches_both_clusters_and_the_pods_of_flows(evaluated: Callable[..., list[Any]]) -> None:
    values = evaluated("chart", secrets={"ray_token": "s2i-ray-token-2"})
    assert values[0]["auth"] == {"secretName": "s2i-ray-token-2"}
    platform = (MODULES / "platform" / "main.tf").read_text()
    assert "ray_token      = var.secrets.ray_token" in platform
