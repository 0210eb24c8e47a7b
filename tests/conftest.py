"""What tests share: no network, one thread, and the real shop with its campaigns."""

import ipaddress
import socket

import pandas as pd
import pytest

START = pd.Timestamp("2017-07-12")  # of campaigns 11 and 12


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


@pytest.fixture(scope="module")
def shop():
    """The real shop with all that its campaigns need."""
    from pm_utils.data import load_shop

    tables = ["customers", "products", "order_lines", "campaigns", "contacts", "offers"]
    return load_shop([*tables, "responses"])


@pytest.fixture(scope="module")
def contacts(shop) -> pd.DataFrame:
    """Whom its campaigns addressed, from 2017 on."""
    from pm_utils.targeting.redemption.contacts import contact_table

    return contact_table(shop, first="2017-01-01", last="2018-01-08")


@pytest.fixture(scope="module")
def log(shop):
    """What it knows, to be asked as of a day."""
    from pm_utils.targeting.redemption.contacts import CampaignLog

    return CampaignLog.of(shop)
