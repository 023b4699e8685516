import re

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from cluster.serve.http import page


@pytest.fixture
def client():
    app = FastAPI()
    app.include_router(page.router)
    return TestClient(app)


def test_the_page_and_all_that_it_names_are_there(client):
    html = client.get("/").text
    scripts = [client.get(f"/studio/{name}").text for name in page.assets() if name.endswith(".js")]
    named = set(re.findall(r'(?:href|src)="studio/([^"]+)"', html))
    named |= {name for script in scripts for name in re.findall(r'(?:from|URL\() ?"\./([^"]+)"', script)}
    assert {"studio.js", "studio.css", "base.css", "capture.js", "icon.svg"} <= named
    for name in named:
        answer = client.get(f"/studio/{name}")
        assert answer.status_code == 200, name
        assert answer.headers["content-type"].startswith(("text/", "image/svg+xml"))
        assert answer.headers["content-security-policy"] == page.POLICY


def test_the_policy_lets_in_nothing_from_elsewhere_and_nothing_inline(client):
    assert "unsafe" not in page.POLICY and "http" not in page.POLICY and "default-src 'none'" in page.POLICY
    html = client.get("/").text
    assert not re.search(r"\sstyle=|\son\w+=|<style|<script(?![^>]*\ssrc=)", html)
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", html)


def test_an_unchanged_file_is_not_sent_again(client):
    first = client.get("/studio/studio.css")
    again = client.get("/studio/studio.css", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_slow_network_gets_it_packed_and_all_modules_at_once(client):
    whole = {name: client.get(f"/studio/{name}", headers={"Accept-Encoding": "identity"}) for name in page.assets()}
    packed = {name: client.get(f"/studio/{name}", headers={"Accept-Encoding": "br, gzip;q=0.5"}) for name in whole}
    assert all(packed[name].content == answer.content for name, answer in whole.items())
    assert all("content-encoding" not in answer.headers for answer in whole.values())
    sent = [int(answer.headers["content-length"]) for answer in packed.values()]
    assert sum(sent) < 0.4 * sum(len(answer.content) for answer in whole.values()) and sum(sent) < 50_000
    etag = packed["studio.js"].headers["etag"]
    assert etag != whole["studio.js"].headers["etag"]
    again = client.get("/studio/studio.js", headers={"Accept-Encoding": "gzip", "If-None-Match": etag})
    assert again.status_code == 304
    refused = client.get("/studio/studio.js", headers={"Accept-Encoding": "gzip;q=0"})
    assert "content-encoding" not in refused.headers

    named = {found for answer in whole.values() for found in re.findall(r'from "\./([^"]+)"', answer.text)}
    assert named == set(re.findall(r'modulepreload" href="studio/([^"]+)"', client.get("/").text))
    assert client.get("/studio/worker.js").headers["service-worker-allowed"] == "/"


@pytest.mark.parametrize("name", ["nothing.js", "page.py", "__init__.py", "..%2Fpage.py", "%2e%2e/page.py"])
def test_nothing_else_is_there(client, name):
    assert client.get(f"/studio/{name}").status_code == 404
