"""How a request leaves this machine: past the proxy or through it, and by whose word a certificate is believed.

Every client in s2i reads the environment in its own way: boto3 knows no `ALL_PROXY` and no networks in `NO_PROXY`, the
tables' client reads the certificates of the system, boto3 those of certifi, Prefect and Ray others again. So the answer
is found here, once, and each of them is told.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import os
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from s2i_core.errors import ConfigError

#: This machine, and the service by which a machine in a cloud learns of its role: a proxy would tell it the proxy's.
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1", "169.254.169.254", "metadata.google.internal")
#: gRPC reads its own variable before the common one, and only where it is set.
_NO_PROXY = ("NO_PROXY", "no_proxy")
_NO_GRPC_PROXY = "no_grpc_proxy"

#: What names an authority, the strongest first. boto3 reads the first, each of the others is some client's own.
_NAMED_BY = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
#: Who reads what: the tables' client, aiohttp and urllib; Ray's job client; Prefect's client.
_TOLD_BY = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PREFECT_API_SSL_CERT_FILE")
_SYSTEM_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_OTHER_NAME = ("hostname mismatch", "ip address mismatch", "doesn't match", "notvalidforname", "not valid for name")
_OUT_OF_DATE = ("certificate has expired", "not yet valid", "certificate expired", "notvalidyet")
_UNKNOWN_AUTHORITY = ("certificate verify failed", "unknownissuer", "unknown issuer", "invalid peer certificate")
_NO_TLS = ("wrong_version_number", "record layer failure", "invalidcontenttype")
_NO_LOGIN = ("407 proxy", "(407)")
_PROXY = ("proxyconnectionerror", "proxy url", "tunnel error", "tunnel connection failed")
_NO_NAME = (
    "dns error",
    "name or service not known",
    "failed to resolve",
    "nodename nor servname",
    "getaddrinfo failed",
)
_PEM = b"-----BEGIN CERTIFICATE-----"

CA_REMEDY = (
    "Name the file with the certificate of its authority: AWS_CA_BUNDLE=/path/to/ca.pem, on every machine that works "
    "(docs/own-bucket.md, Private authorities)."
)


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine itself, whatever a name server says."""
    host = urlsplit(url).hostname or ""
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def proxy_for(url: str) -> str | None:
    """The proxy by which a URL is asked, as the environment has it; None where it is asked directly.

    `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` in upper or lower case; lower case wins. `NO_PROXY` takes
    hosts, `.suffixes`, `host:port`, addresses, networks (`10.0.0.0/8`) and `*`. Loopback is never asked through one.

    Raises:
        ConfigError: the proxy is none that speaks HTTP.
    """
    if is_loopback(url):
        return None
    parts, proxies = urlsplit(url), getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or _spared(parts.hostname or "", parts.netloc, proxies.get("no", "")):
        return None
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    if urlsplit(proxy).scheme not in {"http", "https"}:
        raise ConfigError(
            f"proxy {without_login(proxy)}",
            f"it is the way to {parts.hostname}, and an object store is asked through proxies that speak HTTP only",
            f"Set {parts.scheme.upper()}_PROXY to an HTTP proxy, or put {parts.hostname} into NO_PROXY.",
        )
    return proxy


def without_login(url: str) -> str:
    """A URL as it may be shown."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def spare_loopback() -> None:
    """Have the clients of this process and of those that it starts ask this machine directly, whatever proxy is set."""
    for name, value in direct_loopback().items():
        os.environ[name] = value


def direct_loopback() -> dict[str, str]:
    """The variables of `spare_loopback`, for the environment of others; none where no proxy is set, or all is said."""
    if not getproxies().keys() - {"no", "no_grpc"}:
        return {}
    names = [*_NO_PROXY, *([_NO_GRPC_PROXY] if os.environ.get(_NO_GRPC_PROXY) else [])]
    changed = {}
    for name in names:
        value = os.environ.get(name) or os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
        entries = [entry.strip() for entry in value.split(",") if entry.strip()]
        missing = [] if "*" in entries else [each for each in _THIS_MACHINE if each not in entries]
        if missing or os.environ.get(name) is None:
            changed[name] = ",".join([*entries, *missing])
    return changed


def trust(configured: str | None = None) -> None:
    """Have every client of this process, and of those that it starts, believe the authority that the user named.

    It is named by `AWS_CA_BUNDLE`, as for boto3 and the AWS programs; else by `REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE` or
    `SSL_CERT_FILE`. The others get a file of its certificates and those of the system, because their clients must
    still reach the rest of the world. Nothing happens where nothing is named, or all is done already.

    Args:
        configured: the file that boto's own configuration names (`ca_bundle` of a profile), where no variable does.

    Raises:
        ConfigError: the file is missing or holds no certificate.
    """
    for each in _NAMED_BY:
        if os.environ.get(each) == "":  # as if it were not there; boto refuses it
            del os.environ[each]
    if configured:
        os.environ.setdefault("AWS_CA_BUNDLE", configured)
    name = next((name for name in _NAMED_BY if os.environ.get(name)), None)
    if name is None:
        return
    named = Path(os.environ[name]).absolute()
    own = _certificates(name, named)
    os.environ.setdefault("AWS_CA_BUNDLE", str(named))
    if name == "AWS_CA_BUNDLE":
        os.environ[name] = str(named)  # workers have another working folder
    for told in _TOLD_BY:
        known = b""
        with contextlib.suppress(OSError):  # one that is gone says nothing
            known = b"".join(_files(Path(os.environ.get(told) or os.devnull)))
        if own in known:
            continue
        os.environ[told] = str(_kept((known or b"".join(_public())) + b"\n" + own))


@dataclass(frozen=True)
class Trouble:
    """Why no answer came.

    Attributes:
        reason: in one clause, of the server that was asked.
        remedy: what to do.
        passes: whether it may pass with nobody doing anything.
    """

    reason: str
    remedy: str
    passes: bool = False


def trouble(text: str, url: str) -> Trouble | None:
    """What the words of a client's error mean; None where they tell of nothing on the way to the server.

    Python's TLS, the one of the tables' client, and that of boto each have words of their own.

    Args:
        text: of the error, with those that caused it.
        url: what was asked.
    """
    words, host, variable = text.lower(), urlsplit(url).hostname, f"{urlsplit(url).scheme.upper()}_PROXY"
    proxy = without_login(getproxies().get(urlsplit(url).scheme) or getproxies().get("all") or "of the environment")
    known = {
        _OTHER_NAME: Trouble(
            f"its certificate is not for {host}", f"Ask it by a name of its certificate, or have {host} put into that."
        ),
        _OUT_OF_DATE: Trouble(
            "its certificate is not valid today", "Have it renewed; see that this machine's clock is right."
        ),
        _UNKNOWN_AUTHORITY: Trouble("its certificate is from an authority that is not known here", CA_REMEDY),
        _NO_TLS: Trouble(
            "it does not speak TLS there", f"Correct the URL (http:// or https://, the port), or that of {variable}."
        ),
        _NO_LOGIN: Trouble(
            f"the proxy {proxy} asks for a login", f"Write it into {variable}: http://user:password@proxy:port."
        ),
        _PROXY: Trouble(
            f"the proxy {proxy} does not answer, or does not let it through",
            f"Correct {variable}, or put {host} into NO_PROXY if it is reached without one.",
            passes=True,
        ),
        _NO_NAME: Trouble(
            f"no name server knows {host}",
            f"Correct S2I_S3_ENDPOINT or AWS_REGION; where only a proxy finds it, set {variable}.",
            passes=True,
        ),
    }
    return next((found for said, found in known.items() if any(each in words for each in said)), None)


def _certificates(variable: str, path: Path) -> bytes:
    try:
        found = b"".join(_files(path))
    except OSError as error:
        raise ConfigError(f"{variable}={path}", f"it cannot be read ({error.strerror})", CA_REMEDY) from error
    if _PEM not in found:
        raise ConfigError(f"{variable}={path}", "it holds no certificate in PEM", CA_REMEDY)
    return found


def _files(path: Path) -> list[bytes]:
    """Contents of a file, or of the files of a folder of certificates."""
    if path.is_dir():
        return [each.read_bytes() for each in sorted(path.iterdir()) if each.is_file()]
    return [path.read_bytes()]


def _public() -> list[bytes]:
    """The certificates that are believed without anything said: the system's, and those that Python's clients bring."""
    import certifi

    system = [ssl.get_default_verify_paths().cafile, *_SYSTEM_FILES]
    there = [Path(name) for name in system if name and Path(name).is_file()]
    return [Path(certifi.where()).read_bytes(), *(path.read_bytes() for path in there[:1])]


def _kept(certificates: bytes) -> Path:
    """A file of ours with these certificates, one for all processes; nobody else can have written it.

    Raises:
        ConfigError: somebody else has its folder.
    """
    folder = Path(tempfile.gettempdir()) / f"s2i-authorities-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    facts = folder.lstat()
    if facts.st_uid != os.getuid() or facts.st_mode & 0o022 or not folder.is_dir() or folder.is_symlink():
        raise ConfigError(str(folder), "it is not a folder of this user alone", "Remove it, or set TMPDIR.")
    path = folder / f"{hashlib.sha256(certificates).hexdigest()[:32]}.pem"
    if not path.exists() or path.read_bytes() != certificates:
        descriptor, new = tempfile.mkstemp(dir=folder)
        with os.fdopen(descriptor, "wb") as file:
            file.write(certificates)
        Path(new).replace(path)
    return path


def _spared(host: str, netloc: str, no_proxy: str) -> bool:
    if proxy_bypass(netloc.rpartition("@")[2]):
        return True
    address = _address(host)
    for entry in (each.strip().lower() for each in no_proxy.split(",")):
        if entry.startswith("*.") and host.endswith(entry[1:]):
            return True
        if address is not None and entry:
            with contextlib.suppress(ValueError):
                if address in ipaddress.ip_network(entry.strip("[]"), strict=False):
                    return True
    return False


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
