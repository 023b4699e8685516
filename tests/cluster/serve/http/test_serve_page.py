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


@pytest.mark.parametrize("name", ["nothing.js", "page.py", "__init__.py", "..%2Fpage.py", "%2e%2e/page.py"])
def test_nothing_else_is_there(client, name):
    assert client.get(f"/studio/{name}").status_code == 404
