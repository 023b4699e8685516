"""What chart and modules refer to is made by somebody, what a size asks for fits a machine; the page says so."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import page
import pytest
import sizes
import yaml

from cluster.kubernetes.references import Reference, makes, needs

render = cache(sizes.render)
pytestmark = pytest.mark.usefixtures("helm_is_here")


@pytest.fixture
def helm_is_here(tool: Callable[[str], str]) -> None:
    tool("helm")


def test_the_page_is_what_the_code_writes() -> None:
    command = [sys.executable, str(page.ROOT / "infra" / "page.py"), "--check"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr


def test_prices_say_where_they_come_from_and_ones_own_take_their_place(tmp_path: Path) -> None:
    said = f"Prices: {sizes.PRICES['source']}, as of {sizes.PRICES['as_of']}. Check them"
    assert said in page.PAGE.read_text()
    own = yaml.safe_load((sizes.INFRA / "prices.yaml").read_text())
    own |= {"source": "our contract", "as_of": "2026-11-30", "control_plane_hour": 1.0}
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(own))
    command = [sys.executable, str(page.ROOT / "infra" / "page.py"), "--prices", str(file)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert "Prices: our contract, as of 2026-11-30." in answer.stdout and "control plane 730" in answer.stdout
    assert page.PAGE.read_text().count("our contract") == 0
    file.write_text("machines: {}")
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 2 and "it does not name as_of" in answer.stderr


def test_everything_that_is_referred_to_is_made_by_somebody() -> None:
    """Secret, key, account, class, claim, kind, machine; of every size with everything on, and of the modules."""
    found = page.referred()
    assert {each.kind for each in found} == {
        *("Kind", "Machine", "Namespace", "Secret", "ServiceAccount", "StorageClass"),
    }
    for reference in found:
        file, part = page.maker(reference).evidence
        assert not file or part in (page.ROOT / file).read_text(), f"{reference}: {file} no longer has {part}"
        # A secret by hand has each key that is asked for.
        if reference.kind == "Secret" and reference.key and not reference.key.startswith("tls."):
            (line,) = (
                line
                for line in (page.ROOT / file).read_text().splitlines()
                if f"secret generic {reference.name} " in line
            )
            assert f"--from-literal {reference.key}=" in line or f"--from-file {reference.key} " in line


def test_what_nobody_makes_is_found() -> None:
    with pytest.raises(LookupError, match="nobody"):
        page.maker(Reference("Secret", "forgotten"))


def test_a_default_render_of_each_size_makes_or_lists_what_it_needs() -> None:
    for size in sizes.SIZES:
        resources = render(size)
        made = {thing for resource in resources for thing in makes(resource)}
        assert {("ServiceAccount", "s2i-batch"), ("ServiceAccount", "s2i-serve")} <= made
        for reference in needs(resources):
            page.maker(reference)


VARIABLE = "extraEnv[0].name=A,extraEnv[0].valueFrom.configMapKeyRef"
STEPS = "service.upgrade.type=NewClusterWithIncrementalUpgrade,service.upgrade.gatewayClassName=istio"
OWN = {
    "cluster.gpu.enabled=true,cluster.gpu.runtimeClassName=nvidia": Reference("RuntimeClass", "nvidia"),
    "cluster.head.priorityClassName=nights": Reference("PriorityClass", "nights"),
    "weights.claim=weights": Reference("PersistentVolumeClaim", "weights"),
    "store.credentialsSecret=login,store.credentialsKeys.id=key": Reference("Secret", "login", "key"),
    "store.authorityConfigMap=company": Reference("ConfigMap", "company", "ca.crt"),
    "image.pullSecrets={registry}": Reference("Secret", "registry"),
    "serviceAccounts.batch.create=false": Reference("ServiceAccount", "s2i-batch"),
    f"{page.FULL},job.prefectUrl=https://p.example,job.prefectSecret=p": Reference(
        "Secret", "p", "PREFECT_API_AUTH_STRING"
    ),
    f"{page.FULL},service.ingress.className=nginx": Reference("IngressClass", "nginx"),
    "tls.enabled=true,tls.certificates=authority,tls.authoritySecret=a": Reference("Secret", "a", "tls.key"),
    f"{VARIABLE}.name=c,{VARIABLE.partition(',')[2]}.key=k": Reference("ConfigMap", "c", "k"),
    f"service.enabled=true,{STEPS}": Reference("GatewayClass", "istio"),
}


@pytest.mark.parametrize(
    ("setting", "reference"), OWN.items(), ids=[f"{each.kind} {each.name}" for each in OWN.values()]
)
def test_what_a_value_names_is_found(setting: str, reference: Reference) -> None:
    assert reference in needs(render("small", setting))
    assert reference not in needs(render("small"))


def test_an_authority_that_cert_manager_makes_is_not_asked_for() -> None:
    own = "tls.enabled=true,tls.certificates=authority,tls.authoritySecret=a,tls.makeAuthority=true"
    found = needs(render("small", own))
    assert not [each for each in found if (each.kind, each.name) == ("Secret", "a")]
    assert Reference("Kind", "cert-manager.io/v1 Certificate") in found


@pytest.mark.parametrize("size", ["medium", "large"])
def test_no_size_pays_for_machines_that_it_does_not_use(size: str) -> None:
    """A pod that asks for as much as a machine has would get the next larger one, and leave half of it empty."""
    for group in sizes.groups(render(size)):
        machines = sizes.machines(group, group.most)
        assert machines.used > 0.55, f"{group.name}: {machines.used:.0%} of {machines.kind}"
    full = sizes.Group("whole", "cpu", 8, 26, 0, 0, 1)
    assert sizes.machines(full, 1).used == 0.5, "a whole machine does not fit itself"


def test_a_pod_that_no_machine_can_carry_is_an_error() -> None:
    with pytest.raises(ValueError, match="no machine"):
        sizes.machines(sizes.Group("huge", "cpu", 512, 1, 0, 0, 1), 1)
