"""What an address means: a folder or one object, and never what begins with the same letters."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from s2i_core.errors import ConfigError, StorageError
from s2i_core.storage.embedded import EmbeddedStore
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.places import Place, destination, keep_apart

KEYS = ["talks", "talks/a.mp3", "talks/sub/b.mp3", "talks2/c.mp3", "talks-private/d.mp3", "talks.mp3", "other/talks/e"]


@pytest.mark.parametrize(
    ("address", "meant"),
    [
        ("talks", ["talks", "talks/a.mp3", "talks/sub/b.mp3"]),
        ("talks/", ["talks/a.mp3", "talks/sub/b.mp3"]),
        ("talks//", ["talks/a.mp3", "talks/sub/b.mp3"]),
        ("talks/sub", ["talks/sub/b.mp3"]),
        ("talks/a.mp3", ["talks/a.mp3"]),
        ("talks/a", []),
        ("talk", []),
        ("talks.mp3", ["talks.mp3"]),
        ("talks.mp3/", []),
        ("", KEYS),
        ("/", KEYS),
        ("talks//sub", []),
    ],
)
def test_an_address_means_a_folder_or_one_object(
    objects: ObjectStore, bucket: str, address: str, meant: list[str]
) -> None:
    for key in KEYS:
        objects.put(bucket, key, b"x")
    place = Place.of(f"s3://{bucket}/{address}")
    assert [key for key in KEYS if place.holds(bucket, key)] == meant
    assert sorted(item.key for item in objects.within(place)) == sorted(meant)
    assert Place.of(place.uri) == place
    assert not any(place.holds("another", key) for key in KEYS)
    objects.check_readable(place.bucket, place.name)


def test_a_leading_slash_is_part_of_a_key() -> None:
    place = Place.of("s3://b//talks")
    assert place.holds("b", "/talks/a.mp3")
    assert not place.holds("b", "talks/a.mp3")


@pytest.mark.parametrize(
    ("source", "results"),
    [
        ("s3://b", "s3://b"),
        ("s3://b/", "s3://b/out"),
        ("s3://b", "s3://b/out/"),
        ("s3://b/talks", "s3://b"),
        ("s3://b/talks", "s3://b/talks/"),
        ("s3://b/talks/", "s3://b/talks"),
        ("s3://b/talks", "s3://b/talks/out"),
        ("s3://b/talks//", "s3://b/talks/out"),
        ("s3://b/talks/2024", "s3://b/talks"),
        ("s3://b//talks", "s3://b/talks"),
        ("s3://b/a//talks", "s3://b/a/talks/out"),
        ("s3://b/talks/a.mp3", "s3://b/talks"),
        ("s3://b/talks/a.mp3", "s3://b/talks/a.mp3"),
    ],
)
def test_source_and_destination_must_not_lie_in_each_other(source: str, results: str) -> None:
    with pytest.raises(ConfigError, match="would read what this one wrote"):
        keep_apart(source, results)


@pytest.mark.parametrize(
    ("source", "results"),
    [
        ("s3://b", "s3://c"),
        ("s3://b/talks", "s3://b/talks2"),
        ("s3://b/talks/", "s3://b/talks-out/"),
        ("s3://b/talks/a.mp3", "s3://b/talks/a"),
        ("s3://b/talks/a.mp3", "s3://b/out"),
    ],
)
def test_neighbours_are_apart(source: str, results: str) -> None:
    assert [place.bucket for place in keep_apart(source, results)] == [source[5:6], results[5:6]]


@pytest.mark.parametrize("uri", ["s3://b//out", "s3://b/a//out", "s3://b/../out", "s3://b/./out"])
def test_a_destination_on_a_way_without_a_name_is_refused(uri: str) -> None:
    with pytest.raises(ConfigError, match="has no name") as caught:
        destination(uri)
    assert "out." in caught.value.remedy
    assert destination("s3://b/out//").uri == "s3://b/out/"
    assert destination("s3://b//").uri == "s3://b"


def test_results_beside_others_with_the_same_beginning(objects: ObjectStore, bucket: str) -> None:
    objects.put(bucket, "out2/tables/recordings/_delta_log/00000000000000000000.json", b"{}")
    from flows.overview import overview
    from s2i_core.storage.tables import Lake

    assert overview(Lake(objects.settings, f"s3://{bucket}/out")).runs == []


LIMITED = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket"],
            "Resource": ["arn:aws:s3:::rights"],
            "Condition": {"StringLike": {"s3:prefix": ["talks/*"]}},
        },
        {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::rights/talks/*"]},
    ],
}


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """A store, with a login that may list and read the folder `talks` of the bucket `rights`, and nothing beside it."""
    home: Path = tmp_path_factory.mktemp("limited")
    identities = [
        {"name": "admin", "credentials": [_login("admin")], "actions": ["Admin", "Read", "Write", "List"]},
        {"name": "limited", "credentials": [_login("limited")], "policyNames": ["limited"]},
    ]
    policies = [{"name": "limited", "content": json.dumps(LIMITED)}]
    (home / "identities.json").write_text(json.dumps({"identities": identities, "policies": policies}))
    store = EmbeddedStore(home)
    info = store.up()
    with pytest.MonkeyPatch.context() as environment:
        try:
            for name in ("admin", "limited"):
                environment.setenv("AWS_ACCESS_KEY_ID", _login(name)["accessKey"])
                environment.setenv("AWS_SECRET_ACCESS_KEY", _login(name)["secretKey"])
                client = ObjectStore(info.settings())
                if name == "admin":
                    client.create_bucket("rights")
                    for key in ("talks/a.mp3", "talks2/b.mp3", "alone.mp3"):
                        client.put("rights", key, b"x")
            yield client
        finally:
            store.down()


def _login(name: str) -> dict[str, str]:
    return {"accessKey": f"{name}-access".upper(), "secretKey": f"{name}-key-for-this-test-only"}


def test_rights_on_the_folder_alone_are_enough(limited: ObjectStore) -> None:
    limited.check_readable("rights", "talks")
    assert [item.key for item in limited.within(Place.of("s3://rights/talks"))] == ["talks/a.mp3"]
    assert [item.key for item in limited.within(Place.of("s3://rights/talks/a.mp3"))] == ["talks/a.mp3"]
    for other in ("talks2", "alone.mp3"):
        with pytest.raises(StorageError, match="refused access"):
            list(limited.within(Place.of(f"s3://rights/{other}")))
