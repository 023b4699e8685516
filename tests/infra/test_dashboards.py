"""The dashboards and alerts: written by their code, well formed, explained; their alerts fire when they should.

That a run exports what they ask for is tested where the runs are: `cluster/test_metrics.py`, `cluster/serve`.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import ray
import yaml
from promql import DASHBOARDS, IN_RAYS_SOURCE, QUERIES, ROOT, RULES, make, matched, missing, scraped_series, series


@pytest.mark.parametrize("name", make.DASHBOARDS)
def test_the_files_are_what_the_code_writes(name: str) -> None:
    assert (DASHBOARDS / f"{name}.json").read_text() == make.text(make.DASHBOARDS[name]), "run make.py"


@pytest.mark.parametrize("name", make.DASHBOARDS)
def test_a_dashboard_is_well_formed(name: str) -> None:
    dashboard = json.loads((DASHBOARDS / f"{name}.json").read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["description"].endswith("."), f"{panel['title']} explains nothing"
            assert panel["targets"]


@pytest.mark.parametrize(("where", "query"), QUERIES, ids=[where for where, _ in QUERIES])
def test_every_query_is_promql(where: str, query: str) -> None:
    assert list(matched(query)), where


def test_every_alert_has_an_entry_in_the_runbook_and_every_entry_an_alert() -> None:
    entries = set(re.findall(r"^## (S2I\w+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE))
    assert entries == {rule["alert"] for rule in RULES}
    for rule in RULES:
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in {"page", "ticket"}


def test_what_no_run_here_exports_is_known_to_ray() -> None:
    for name, module in IN_RAYS_SOURCE.items():
        assert f'"{name.removeprefix("ray_")}"' in (Path(ray.__file__).parent / module).read_text()


def test_a_query_for_what_nothing_exports_is_found_out() -> None:
    page = '# TYPE ray_s2i_outcomes_total counter\nray_s2i_outcomes_total{s2i_job="plan",status="ok"} 3\n'
    assert missing("sum(rate(ray_s2i_outcomes_total[5m]))", series(page)) == []
    assert missing("sum(rate(ray_s2i_outcome_total[5m]))", series(page)) == ["ray_s2i_outcome_total"]
    assert missing('ray_s2i_outcomes_total{state="ok"}', series(page)) == ["ray_s2i_outcomes_total{state}"]
    assert missing("sum by (recording) (ray_s2i_outcomes_total)", series(page)) == ["by (recording)"]
    # What the operator says of the pod is not what the pod says: by `job` both stages would be one.
    told = page.replace("s2i_job", "job")
    assert missing("sum by (job) (ray_s2i_outcomes_total)", series(told)) == ["by (job)"]
    assert missing("sum by (exported_job) (ray_s2i_outcomes_total)", series(told)) == []


def test_prometheus_takes_the_rules_and_they_fire(tool: Callable[[str], str], tmp_path: Path) -> None:
    """Each alert is raised by figures that deserve it, and by no others: Prometheus' own test of rules."""
    checked = subprocess.run(
        [tool("promtool"), "check", "rules", str(DASHBOARDS / "alerts.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    cases = yaml.safe_load(Path(__file__).with_name("alerts_fire.yaml").read_text())
    fired = {alert["alertname"] for case in cases["tests"] for alert in case["alert_rule_test"] if alert["exp_alerts"]}
    assert fired == {rule["alert"] for rule in RULES}
    quiet = {
        alert["alertname"] for case in cases["tests"] for alert in case["alert_rule_test"] if not alert["exp_alerts"]
    }
    assert quiet == fired
    cases["rule_files"] = [str(DASHBOARDS / "alerts.yaml")]
    for told in (each for case in cases["tests"] for each in case["input_series"]):
        told["series"] = scraped_series(told["series"])
    file = tmp_path / "cases.yaml"
    file.write_text(yaml.safe_dump(cases))
    answer = subprocess.run([tool("promtool"), "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
