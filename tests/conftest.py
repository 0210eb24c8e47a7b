"""No test reaches the network: a connection to any other machine is an error."""

import ipaddress
import socket

import pytest


def is_here(address: object) -> bool:
    """Whether an address of a socket is on this machine."""
    if not isinstance(address, tuple):
        return True  # a path
    host = address[0]
    if host in ("localhost", ""):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name that would have to be looked up elsewhere
        return False


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Refuse connections to other machines while a test runs."""
    for name in ("connect", "connect_ex"):
        real = getattr(socket.socket, name)

        def refuse(self, address, real=real):
            if not is_here(address):
                raise RuntimeError(f"a test reached for {address}: tests run offline")
            return real(self, address)

        monkeypatch.setattr(socket.socket, name, refuse)


@pytest.fixture
def one_thread():
    """Two threads on tensors as small as a test's wait for each other most of the time."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
