"""One run as `s2i run` makes it, in processes of its own: its trace at a collector, and its log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from otlp import facts, receiving
from small_archive import SETTINGS

from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.tables import Lake

ABOVE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_trace_and_one_run_id_lead_from_the_flow_to_the_store(
    objects: ObjectStore, archive: tuple[str, str], checkpoint: str, tmp_path: Path
) -> None:
    chosen = [text for name, value in SETTINGS.items() for text in ("--set", f"{name}={value}")]
    command = [sys.executable, "-m", "s2i_core.cli", "run", *archive, "--checkpoint", checkpoint, *chosen, "--json"]
    with receiving() as receiver:
        environment = os.environ | receiver.environment | {"S2I_HOME": str(tmp_path), "TRACEPARENT": ABOVE}
        environment.pop("PREFECT_API_URL", None)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    run_id = json.loads(done.stdout)["run_id"]

    spans = list(receiver.spans.values())
    assert {span.trace_id.hex() for span in spans} == {ABOVE.split("-")[1]}
    flow = "flow illustrate-archive"
    for name, above in {
        "job plan": flow,
        "job illustrate": flow,
        "stage decode": "job plan",
        "stage encode": "job plan",
        "stage draw": "job illustrate",
    }.items():
        assert receiver.named(name), f"no span {name} among {sorted({span.name for span in spans})}"
        for span in receiver.named(name):
            assert above in receiver.above(span)
            assert facts(span)["s2i.run_id"] == run_id
    drawn = sum(facts(span)["s2i.batch"] for span in receiver.named("stage draw"))
    images = Lake(objects.settings, archive[1]).images.read(["key", "recording_id"])
    assert drawn == images.num_rows >= 2
    # Each image's own request to the store, from the worker's threads, stands below all of them.
    written = {facts(span)["aws.s3.key"]: span for span in receiver.named("S3 PutObject")}
    for key in images["key"].to_pylist():
        assert receiver.above(written[key])[:2] == ["stage draw", "job illustrate"]
        assert flow in receiver.above(written[key])
    read = [span for span in receiver.named("S3 GetObject") if "stage decode" in receiver.above(span)]
    assert {facts(span)["aws.s3.key"] for span in read} >= {"sea animals.wav", "broken.mp3"}

    lines = [json.loads(line) for line in (tmp_path / "prefect" / "log.jsonl").read_text("utf-8").splitlines()]
    assert {line["run_id"] for line in lines} == {run_id}
    assert {line["trace_id"] for line in lines} == {ABOVE.split("-")[1]}
    told = {line["source_uri"].rpartition("/")[2]: line for line in lines if line["message"].startswith("recording ")}
    assert told["sea animals.wav"]["recording_id"] in images["recording_id"].to_pylist()
    assert told["broken.mp3"]["level"] == "warning" and told["broken.mp3"]["reason"] == "DecodeError"
    ends = [line["message"] for line in lines if line["logger"] in {"s2i.flows", "s2i.jobs"}]
    assert (ends[0], ends[-1]) == ("run began", "run ended")
    assert ends.count("job began") == ends.count("job ended") == 2
