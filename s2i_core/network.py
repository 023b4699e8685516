"""How a request leaves this machine: directly or through a proxy, and which authorities' certificates are trusted.

Every client in s2i reads the environment in its own way: boto3 knows neither `ALL_PROXY` nor networks in `NO_PROXY`;
the client of the tables reads the system's certificates, boto3 those of certifi, Prefect and Ray yet others. So the
answer is found here, once, and each of them is told.
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
from urllib.request import getproxies, proxy_bypass_environment  # type: ignore[attr-defined]

from s2i_core.errors import ConfigError

#: This machine, and the services by which a cloud machine learns its role: through a proxy it would get the proxy's.
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1", "169.254.169.254", "metadata.google.internal")
#: gRPC prefers a variable of its own to the common one, if it is set.
_NO_PROXY = ("NO_PROXY", "no_proxy")
_NO_GRPC_PROXY = "no_grpc_proxy"
#: For us alone: entries of NO_PROXY with IPv6 networks or brackets, on which httpx, and so Prefect, would break off.
_OWN_NO_PROXY = "S2I_NO_PROXY"

#: Variables that name an authority, by precedence. boto3 reads the first; each of the others is some client's own.
_NAMED_BY = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
#: Read by the tables' client, aiohttp and urllib; by Ray's job client; by Prefect's client.
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
    """The proxy through which to request a URL, according to the environment; None for a direct connection.

    `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` in upper or lower case; lower case wins. `NO_PROXY` takes
    hosts, `.suffixes`, `host:port`, addresses, networks (`10.0.0.0/8`) and `*`. Loopback never goes through a proxy.

    Raises:
        ConfigError: the proxy does not speak HTTP.
    """
    if is_loopback(url):
        return None
    parts, proxies = urlsplit(url), getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    spared = ",".join(filter(None, (proxies.get("no"), os.environ.get(_OWN_NO_PROXY))))
    if not proxy or _spared(parts.hostname or "", parts.netloc, spared):
        return None
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    if urlsplit(proxy).scheme not in {"http", "https"}:
        raise ConfigError(
            f"proxy {without_login(proxy)}",
            f"it is the way to {parts.hostname}, but an object store is reached through HTTP proxies only",
            f"Set {parts.scheme.upper()}_PROXY to an HTTP proxy, or put {parts.hostname} into NO_PROXY.",
        )
    return proxy


def without_login(url: str) -> str:
    """A URL that is safe to show."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def spare_loopback() -> None:
    """Have the clients of this process and of its children reach this machine directly, whatever proxy is set."""
    os.environ.update(direct_loopback())


def direct_loopback() -> dict[str, str]:
    """The variables that `spare_loopback` sets, for the environment of others; empty where nothing has to change."""
    has_proxy = bool(getproxies().keys() - {"no", "no_grpc"})
    names = [*_NO_PROXY, *([_NO_GRPC_PROXY] if os.environ.get(_NO_GRPC_PROXY) else [])]
    changed, own = {}, _entries(os.environ.get(_OWN_NO_PROXY))
    for name in names:
        entries = _entries(os.environ.get(name) or os.environ.get("no_proxy") or os.environ.get("NO_PROXY"))
        unreadable = [entry for entry in entries if ":" in entry and ("/" in entry or "[" in entry)]
        missing = _THIS_MACHINE if has_proxy and "*" not in entries else ()
        wanted = dict.fromkeys([*(entry for entry in entries if entry not in unreadable), *missing])
        if list(wanted) != entries or (has_proxy and os.environ.get(name) is None):
            changed[name] = ",".join(wanted)
        own += unreadable
    return changed | ({_OWN_NO_PROXY: ",".join(dict.fromkeys(own))} if changed and own else {})


def _entries(value: str | None) -> list[str]:
    return [entry for each in (value or "").split(",") if (entry := each.strip())]


def trust(configured: str | None = None) -> None:
    """Have every client of this process and of its children trust the authority that the user named.

    It is named by `AWS_CA_BUNDLE`, as for boto3 and the AWS programs; else by `REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE` or
    `SSL_CERT_FILE`. The others are set to a file with its certificates and those of the system, as their clients must
    still reach the rest of the world. Nothing happens if none is named, or if all is done already.

    Args:
        configured: the file that boto's own configuration names (`ca_bundle` of a profile), if no variable does.

    Raises:
        ConfigError: the file is missing or holds no certificate.
    """
    for each in _NAMED_BY:
        if os.environ.get(each) == "":  # means unset; boto would refuse it
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
        os.environ[name] = str(named)  # workers have another working directory
    for told in _TOLD_BY:
        known = b""
        with contextlib.suppress(OSError):  # one that is gone counts as empty
            known = b"".join(_files(Path(os.environ.get(told) or os.devnull)))
        if own in known:
            continue
        os.environ[told] = str(_kept((known or b"".join(_public())) + b"\n" + own))


@dataclass(frozen=True)
class Trouble:
    """Why no answer came.

    Attributes:
        reason: in one clause, about the server that was asked.
        remedy: what to do.
        passes: whether it may pass without anyone doing anything.
    """

    reason: str
    remedy: str
    passes: bool = False


def trouble(text: str, url: str) -> Trouble | None:
    """What a client's error message means; None if it is not about the way to the server.

    Python's TLS, boto and the tables' client each have a wording of their own.

    Args:
        text: the message of the error and of its causes.
        url: what was requested.
    """
    words, host, variable = text.lower(), urlsplit(url).hostname, f"{urlsplit(url).scheme.upper()}_PROXY"
    proxy = without_login(getproxies().get(urlsplit(url).scheme) or getproxies().get("all") or "of the environment")
    known = {
        _OTHER_NAME: Trouble(
            f"its certificate is not for {host}", f"Use a name that is in its certificate, or have {host} added to it."
        ),
        _OUT_OF_DATE: Trouble("its certificate is not valid today", "Have it renewed; check this machine's clock."),
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
    """The certificates that are trusted by default: the system's, and those that Python's clients bring along."""
    import certifi

    system = [ssl.get_default_verify_paths().cafile, *_SYSTEM_FILES]
    there = [Path(name) for name in system if name and Path(name).is_file()]
    return [Path(certifi.where()).read_bytes(), *(path.read_bytes() for path in there[:1])]


def _kept(certificates: bytes) -> Path:
    """A file of ours with these certificates, shared by all processes; nobody else can have written it.

    Raises:
        ConfigError: its folder belongs to someone else.
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
    if proxy_bypass_environment(netloc.rpartition("@")[2], {"no": no_proxy}):
        return True
    address = _address(host)
    for entry in _entries(no_proxy.lower()):
        if entry.startswith("*.") and host.endswith(entry[1:]):
            return True
        if address is not None:
            with contextlib.suppress(ValueError):
                if address in ipaddress.ip_network(entry.strip("[]"), strict=False):
                    return True
    return False


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
