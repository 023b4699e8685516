"""The roles of the terraform modules on a real S3 server: their own policies, as identities of the embedded store."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from hcl import TERRAFORM, blocks

from s2i_core.storage.embedded import EmbeddedStore

IDENTITIES = TERRAFORM / "modules" / "identities"
ROLES = ("writer", "reader", "analyst")
ARCHIVE, PICTURES = "archive", "pictures"

#: The module's values for recordings below `talks`, pictures below `out`.
VALUES = {
    "var.archive_arn": f"arn:aws:s3:::{ARCHIVE}",
    "var.pictures_arn": f"arn:aws:s3:::{PICTURES}",
    "var.key_arns": "arn:aws:kms:us-east-1:123456789012:key/s2i",
    "var.archive_prefix": "talks",
    "var.pictures_prefix": "out",
    "local.archive": f"arn:aws:s3:::{ARCHIVE}/talks",
    "local.pictures": f"arn:aws:s3:::{PICTURES}/out",
    "local.archive_keys": "talks/*",
    "local.pictures_keys": "out/*",
    "local.tables_keys": "out/tables/*",
}


def value(text: str) -> str:
    return re.sub(r"\$\{([\w.]+)\}", lambda found: VALUES[found[1]], text)


def values(expression: Any) -> list[str]:
    """A list of the module: written out, or the one function that it uses."""
    if isinstance(expression, list):
        return [value(each) for each in expression]
    if whole := re.fullmatch(r"\$\{([\w.]+)\}", expression):
        return [VALUES[whole[1]]]
    inner = re.fullmatch(r"\$\{compact\(\[(.*)\]\)\}", expression)
    assert inner, f"unknown expression {expression}"
    return [VALUES[name.strip()] for name in inner[1].split(",")]


def policy(role: str) -> dict[str, Any]:
    """The role's policy as JSON, as terraform would write it; rights on keys left out, which the store lacks."""
    (document,) = [block for block in blocks("data", IDENTITIES) if block.name == role]
    statements = []
    for statement in document.body["statement"]:
        actions = [action for action in statement["actions"] if not action.startswith("kms:")]
        if not actions:
            continue
        condition = {
            each["test"]: {each["variable"]: values(each["values"])} for each in statement.get("condition", ())
        }
        resources = values(statement["resources"])
        statements.append(
            {"Effect": "Allow", "Action": actions, "Resource": resources}
            | ({"Condition": condition} if condition else {})
        )
    return {"Version": "2012-10-17", "Statement": statements}


def login(name: str) -> dict[str, str]:
    return {"accessKey": f"{name}-access".upper(), "secretKey": f"{name}-key-for-this-test-only"}


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """S3 clients of a store of their own: one for each role, and the administrator's."""
    home = tmp_path_factory.mktemp("rights")
    identities: list[dict[str, Any]] = [
        {"name": "admin", "credentials": [login("admin")], "actions": ["Admin", "Read", "Write", "List"]}
    ]
    identities += [{"name": role, "credentials": [login(role)], "policyNames": [role]} for role in ROLES]
    policies = [{"name": role, "content": json.dumps(policy(role))} for role in ROLES]
    (home / "identities.json").write_text(json.dumps({"identities": identities, "policies": policies}))
    store = EmbeddedStore(home)
    info = store.up()
    try:
        found = {
            name: boto3.session.Session().client(
                "s3",
                endpoint_url=info.endpoint,
                region_name="us-east-1",
                aws_access_key_id=login(name)["accessKey"],
                aws_secret_access_key=login(name)["secretKey"],
            )
            for name in ("admin", *ROLES)
        }
        for bucket in (ARCHIVE, PICTURES, "others"):
            found["admin"].create_bucket(Bucket=bucket)
        for bucket, key in WHAT:
            found["admin"].put_object(Bucket=bucket, Key=key, Body=b"content")
        yield found
    finally:
        store.down()


RECORDING, OTHER_RECORDING = (ARCHIVE, "talks/a.mp3"), (ARCHIVE, "salaries/a.mp3")
IMAGE, PAGE = (PICTURES, "out/images/r/1.webp"), (PICTURES, "out/pages/index.html")
TABLE, OTHER = (PICTURES, "out/tables/images/_delta_log/0.json"), (PICTURES, "private/plan.txt")
FOREIGN = ("others", "x")
WHAT = (RECORDING, OTHER_RECORDING, IMAGE, PAGE, TABLE, OTHER, FOREIGN)

#: What each may do with each object: r reads, w writes over it, d deletes it.
RIGHTS = {
    "writer": {RECORDING: "r", IMAGE: "rwd", PAGE: "rwd", TABLE: "rwd"},
    "reader": {IMAGE: "r", PAGE: "r", TABLE: "r"},
    "analyst": {TABLE: "r"},
}
LISTS = {
    "writer": {(ARCHIVE, "talks/"), (PICTURES, "out/"), (PICTURES, "out/tables/images/")},
    "reader": {(PICTURES, "out/"), (PICTURES, "out/tables/images/")},
    "analyst": {(PICTURES, "out/tables/images/")},
}
PLACES = {
    *LISTS["writer"],
    (ARCHIVE, ""),
    (ARCHIVE, "talks"),  # would tell the names of what lies in `talks-private/`
    (PICTURES, "out"),
    (ARCHIVE, "salaries/"),
    (PICTURES, ""),
    (PICTURES, "private/"),
    ("others", ""),
}


def may(call: Any, **arguments: Any) -> bool:
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "AccessDenied", error
        return False
    return True


@pytest.mark.parametrize("role", ROLES)
def test_a_role_does_what_it_may_with_objects_and_nothing_else(clients: dict[str, Any], role: str) -> None:
    client = clients[role]
    for bucket, key in WHAT:
        rights = RIGHTS[role].get((bucket, key), "")
        assert may(client.get_object, Bucket=bucket, Key=key) is ("r" in rights), f"{role} reads {key}"
        assert may(client.put_object, Bucket=bucket, Key=key, Body=b"new") is ("w" in rights), f"{role} writes {key}"
        assert may(client.delete_object, Bucket=bucket, Key=key) is ("d" in rights), f"{role} deletes {key}"
        clients["admin"].put_object(Bucket=bucket, Key=key, Body=b"content")


@pytest.mark.parametrize("role", ROLES)
def test_a_role_lists_its_own_places_only(clients: dict[str, Any], role: str) -> None:
    for bucket, prefix in sorted(PLACES):
        allowed = may(clients[role].list_objects_v2, Bucket=bucket, Prefix=prefix)
        assert allowed is ((bucket, prefix) in LISTS[role]), f"{role} lists {bucket}/{prefix}"


@pytest.mark.parametrize("role", ROLES)
def test_no_role_changes_a_bucket(clients: dict[str, Any], role: str) -> None:
    client = clients[role]
    assert not may(client.create_bucket, Bucket=f"new-{role}")
    assert not may(client.delete_bucket, Bucket="others")
    public = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{PICTURES}/*"}
        ],
    }
    assert not may(client.put_bucket_policy, Bucket=PICTURES, Policy=json.dumps(public))


def test_the_values_are_those_that_the_module_computes() -> None:
    """This file knows the module's locals by heart: they must not change without it."""
    text = re.sub(r"\s+", " ", (IDENTITIES / "main.tf").read_text())
    for line in (
        'archive = trimsuffix("${var.archive_arn}/${var.archive_prefix}", "/")',
        'pictures = trimsuffix("${var.pictures_arn}/${var.pictures_prefix}", "/")',
        'archive_keys = var.archive_prefix == "" ? "*" : "${var.archive_prefix}/*"',
        'pictures_keys = var.pictures_prefix == "" ? "*" : "${var.pictures_prefix}/*"',
        'tables_keys = var.pictures_prefix == "" ? "tables/*" : "${var.pictures_prefix}/tables/*"',
    ):
        assert line in text, line


def test_a_run_gets_by_with_the_writers_rights(clients: dict[str, Any]) -> None:
    """Every call that the jobs make of the store is among those that the writer has: they are in `objects.py`."""
    source = (Path(__file__).parents[2] / "s2i_core" / "storage" / "objects.py").read_text()
    calls = set(
        re.findall(
            r"\.(list_objects_v2|get_object|head_object|put_object|delete_objects?|copy_object|create_bucket|upload_fileobj|download_fileobj)\(",
            source,
        )
    )
    needed = {
        "list_objects_v2": "s3:ListBucket",
        "get_object": "s3:GetObject",
        "head_object": "s3:GetObject",
        "put_object": "s3:PutObject",
        "upload_fileobj": "s3:PutObject",
        "download_fileobj": "s3:GetObject",
        "delete_object": "s3:DeleteObject",
        "delete_objects": "s3:DeleteObject",
        "copy_object": "s3:PutObject",
    }
    actions = {action for statement in policy("writer")["Statement"] for action in statement["Action"]}
    # A new bucket is made by the demo and by tests, never by a job.
    assert {needed[call] for call in calls - {"create_bucket"}} <= actions
