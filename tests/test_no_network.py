"""The guard that keeps tests offline works."""

import socket
import urllib.request

import pytest

from tests.conftest import is_here


@pytest.mark.parametrize(
    ("address", "here"),
    [
        (("127.0.0.1", 80), True),
        (("::1", 80, 0, 0), True),
        (("localhost", 80), True),
        ("/run/a-socket", True),
        (("192.0.2.1", 80), False),
        (("2001:db8::1", 80, 0, 0), False),
        (("example.org", 80), False),
        (("10.0.0.1", 80), False),
    ],
)
def test_what_is_on_this_machine(address, here):
    assert is_here(address) == here


@pytest.mark.parametrize("name", ["connect", "connect_ex"])
def test_another_machine_cannot_be_reached(name):
    with socket.socket() as one, pytest.raises(RuntimeError, match="tests run offline"):
        getattr(one, name)(("192.0.2.1", 80))


def test_a_library_cannot_reach_it_either():
    with pytest.raises(RuntimeError, match="tests run offline"):
        urllib.request.urlopen("http://192.0.2.1/", timeout=1)


def test_this_machine_can_be_reached():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as one:
        one.connect(server.getsockname())
        accepted, _ = server.accept()
        accepted.close()
