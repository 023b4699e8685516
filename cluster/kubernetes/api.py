"""The Kubernetes API, read only, through kubectl: which knows every way to log in that a kubeconfig names."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import Any

from s2i_core.errors import ConfigError

_TIMEOUT_S = 8


class NotThere(Exception):
    """The API answers, and has no such thing."""


class NotAllowed(Exception):
    """The API answers, and this login may not look."""


def get(path: str) -> dict[str, Any]:
    """What the API says at a path, such as `/api/v1/namespaces/s2i/pods`.

    Raises:
        NotThere: there is no such resource or kind.
        NotAllowed: this login may not read it.
        ConfigError: there is no kubectl, or no API that answers and takes the login.
    """
    program = shutil.which("kubectl")
    if program is None:
        raise ConfigError("kubectl", "it is not on the PATH", "Install kubectl, and see that it reaches the cluster.")
    command = [program, "get", "--raw", path, f"--request-timeout={_TIMEOUT_S}s"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=2 * _TIMEOUT_S, check=False)
    if answer.returncode == 0:
        return dict(json.loads(answer.stdout))
    told = answer.stderr.strip().splitlines()
    said = told[-1] if told else f"kubectl ended with {answer.returncode}"
    if "(NotFound)" in said:
        raise NotThere(path)
    if "(Forbidden)" in said:
        raise NotAllowed(path)
    login = re.search(r"Unauthorized|must be logged in|credentials", said)
    remedy = (
        "Log in again (on EKS: aws eks update-kubeconfig --name NAME --region REGION)."
        if login
        else "See `kubectl config current-context`: is it this cluster, and does the network lead there?"
    )
    raise ConfigError("Kubernetes", said, remedy)
