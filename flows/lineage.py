"""Runs as OpenLineage events, for catalogues that follow where data come from: where `OPENLINEAGE_URL` is set.

A run begins with START and ends with COMPLETE, FAIL, or ABORT where it is stopped; its inputs are the source, its
outputs the tables with their columns. The variables are those of OpenLineage's own clients. A catalogue that does not
answer never harms a run.
Reference: the OpenLineage specification 2-0-2, and its facets.
"""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

import pyarrow as pa

from s2i_core.errors import ConfigError
from s2i_core.logs import Log
from s2i_core.records import EDITS, FAILURES, IMAGES, RECORDINGS, SCENES, THINGS, now
from s2i_core.storage.artifacts import join
from s2i_core.storage.places import parse_uri

Kind = Literal["START", "COMPLETE", "FAIL", "ABORT"]

_PRODUCER = f"urn:s2i:{version('s2i')}"
_SPEC = "https://openlineage.io/spec"
_TABLES = {
    "recordings": RECORDINGS,
    "scenes": SCENES,
    "things": THINGS,
    "images": IMAGES,
    "edits": EDITS,
    "failures": FAILURES,
}
_TIMEOUT_S = 5.0
_LONGEST_MESSAGE = 2000


@dataclass(frozen=True)
class Lineage:
    """Where the events of one run go, and what they are about.

    Attributes:
        url: to which they are posted; empty for nowhere.
        key: sent as a bearer's token; empty for none.
        namespace: of the job.
        run: its id in Prefect.
        job: name of the flow.
        source, destination: addresses.
    """

    url: str
    key: str
    namespace: str
    run: UUID
    job: str
    source: str
    destination: str

    @classmethod
    def from_env(cls, run: UUID, job: str, source: str, destination: str) -> Lineage:
        """As `OPENLINEAGE_URL`, `_ENDPOINT`, `_API_KEY` and `_NAMESPACE` say.

        Raises:
            ConfigError: the URL is none of HTTP.
        """
        url = os.environ.get("OPENLINEAGE_URL", "")
        if url and urlsplit(url).scheme not in {"http", "https"}:
            raise ConfigError(
                "OPENLINEAGE_URL", f"{url!r} is no address of HTTP", "Write it as https://catalogue:5000."
            )
        endpoint = os.environ.get("OPENLINEAGE_ENDPOINT", "api/v1/lineage")
        return cls(
            url=f"{url.rstrip('/')}/{endpoint.lstrip('/')}" if url else "",
            key=os.environ.get("OPENLINEAGE_API_KEY", ""),
            namespace=os.environ.get("OPENLINEAGE_NAMESPACE", "s2i"),
            run=run,
            job=job,
            source=source,
            destination=destination,
        )

    def tell(self, kind: Kind, facts: Mapping[str, Any] | None = None, error: Exception | None = None) -> bool:
        """Send an event; whether it was taken.

        Args:
            facts: of the run, for a facet of our own.
            error: by which it ended.
        """
        if not self.url:
            return False
        data = json.dumps(self.event(kind, facts or {}, error), ensure_ascii=False).encode()
        request = urllib.request.Request(self.url, data, {"Content-Type": "application/json"})
        if self.key:
            request.add_header("Authorization", f"Bearer {self.key}")
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S):
                return True
        except (OSError, ValueError, http.client.HTTPException) as fault:
            Log("flows", flow=self.job).warning("lineage was not taken", url=self.url, error=str(fault))
            return False

    def event(self, kind: Kind, facts: Mapping[str, Any], error: Exception | None = None) -> dict[str, Any]:
        """A RunEvent of the specification."""
        facets = {"processing_engine": _facet("ProcessingEngineRunFacet", "1-1-1", name="s2i", version=version("s2i"))}
        if facts:
            facets["s2i"] = _facet("", "", **facts)
        if error is not None:
            message = str(error)[:_LONGEST_MESSAGE]
            facets["errorMessage"] = _facet(
                "ErrorMessageRunFacet", "1-0-1", message=message, programmingLanguage="python"
            )
        bucket, prefix = parse_uri(self.destination)
        return {
            "eventType": kind,
            "eventTime": now().isoformat(),
            "producer": _PRODUCER,
            "schemaURL": f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent",
            "run": {"runId": str(self.run), "facets": facets},
            "job": {"namespace": self.namespace, "name": self.job, "facets": {}},
            "inputs": [_dataset(*parse_uri(self.source))],
            "outputs": [
                _dataset(bucket, join(prefix, "tables", name))
                | {"facets": {"schema": _facet("SchemaDatasetFacet", "1-1-1", fields=_fields(schema))}}
                for name, schema in _TABLES.items()
            ],
        }


def _dataset(bucket: str, name: str) -> dict[str, Any]:
    """Named as the specification names what lies in S3."""
    return {"namespace": f"s3://{bucket}", "name": name.strip("/") or "/"}


def _facet(name: str, number: str, /, **values: Any) -> dict[str, Any]:
    schema = f"{_SPEC}/facets/{number}/{name}.json#/$defs/{name}" if name else f"{_SPEC}/2-0-2/OpenLineage.json"
    return {"_producer": _PRODUCER, "_schemaURL": schema, **values}


def _fields(schema: pa.Schema) -> list[dict[str, str]]:
    return [{"name": field.name, "type": str(field.type)} for field in schema]
