"""The flow `compact_tables`: joins the small files of a destination's tables into large ones."""

from __future__ import annotations

from typing import Annotated

from prefect import flow
from prefect.logging import get_run_logger
from pydantic import Field

from s2i_core import logs, tracing
from s2i_core.logs import Log
from s2i_core.storage.objects import ObjectStore, S3Settings
from s2i_core.storage.places import destination as place_of
from s2i_core.storage.tables import Lake

_Uri = Annotated[str, Field(json_schema_extra={"pattern": "^s3://[^/]+(/.*)?$"})]


@flow(name="compact-tables", flow_run_name="compact {destination}", persist_result=False)
def compact_tables(destination: _Uri) -> dict[str, tuple[int, int]]:
    """Join small files of tables, and delete files that no version of the last week needs. Runs may continue meanwhile.

    Args:
        destination: `s3://bucket/prefix` of the images and tables.

    Returns:
        Number of files of each table, before and after.

    Raises:
        ConfigError: that is no address of a bucket.
        StorageError: the bucket, the login or a permission is missing; raised before anything is changed.
        StorageUnavailable: the store does not answer.
    """
    logs.to_stderr()
    with tracing.span("flow compact-tables", {"s2i.destination": destination}):
        store = ObjectStore(S3Settings.from_env())
        place = place_of(destination)
        store.check_writable(place.bucket, place.name)
        files = Lake(store.settings, destination).compact()
    counts = {name: list(each) for name, each in files.items()}
    Log("flows", flow="compact-tables").info("tables compacted", destination=destination, files=counts)
    get_run_logger().info("%s", counts)
    return files
