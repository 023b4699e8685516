"""Ports of the replicas: on loopback, all of them.

Ray Serve gives every replica a gRPC server on all interfaces. It asks for no login and unpickles what it is sent, so
that whoever reaches it runs programs as the service. Calls between deployments take that way with
`RAY_SERVE_USE_GRPC_BY_DEFAULT` only; here they go through Ray itself, and nothing needs the port.
"""

from __future__ import annotations

from typing import Any

from s2i_core.errors import S2IError

_OPENS_PORT = "add_port_to_grpc_server"


class PortsError(S2IError):
    """A port of a replica cannot be closed to other machines."""


def keep_to_loopback() -> None:
    """Have this replica's gRPC server listen on 127.0.0.1: to be called in the `__init__` of every deployment.

    Serve opens the port once that is done. Outside a replica nothing opens one.

    Raises:
        PortsError: this Ray opens the port in another way, or is set to use it.
    """
    from ray.serve._private import constants, replica

    opens = getattr(replica, _OPENS_PORT, None)
    if opens is None:
        reason = f"ray.serve._private.replica has no {_OPENS_PORT}, by which its gRPC port is closed to others"
        raise PortsError("Ray Serve", reason, "Install the version of Ray that s2i names.")
    if constants.RAY_SERVE_USE_GRPC_BY_DEFAULT:
        reason = "it sends calls between replicas over a port that anybody may use"
        remedy = "Unset it, and RAY_SERVE_THROUGHPUT_OPTIMIZED."
        raise PortsError("RAY_SERVE_USE_GRPC_BY_DEFAULT", reason, remedy)

    def on_loopback(server: Any, address: str) -> int:
        port: int = opens(server, f"127.0.0.1:{address.rpartition(':')[2]}")
        return port

    if opens.__module__ != __name__:
        setattr(replica, _OPENS_PORT, on_loopback)
