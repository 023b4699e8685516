"""The gRPC port of a replica is on loopback, and a Ray that opens it in another way is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import grpc
import psutil
import pytest
from ray.serve._private import constants, replica

from cluster.serve.ports import PortsError, keep_to_loopback


def test_a_replica_listens_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "add_port_to_grpc_server", replica.add_port_to_grpc_server)  # as it was, at the end
    keep_to_loopback()
    keep_to_loopback()
    server = grpc.server(ThreadPoolExecutor(1))
    port = replica.add_port_to_grpc_server(server, "[::]:0")
    server.start()
    try:
        listening = {each.laddr for each in psutil.Process().net_connections("tcp") if each.status == "LISTEN"}
        assert {address.ip for address in listening if address.port == port} <= {"127.0.0.1", "::ffff:127.0.0.1"}
        grpc.channel_ready_future(grpc.insecure_channel(f"127.0.0.1:{port}")).result(20)
    finally:
        server.stop(None)


def test_another_ray_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as context:
        context.setattr(constants, "RAY_SERVE_USE_GRPC_BY_DEFAULT", True)
        with pytest.raises(PortsError, match="Unset it"):
            keep_to_loopback()
    monkeypatch.delattr(replica, "add_port_to_grpc_server")
    with pytest.raises(PortsError, match="Install the version of Ray"):
        keep_to_loopback()
