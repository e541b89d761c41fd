"""Where webhooks may go."""

import pytest

from dbre.capabilities.incident.address_guard import AddressPolicy, check_addresses
from dbre.capabilities.incident.errors import AddressRefused
from dbre.core.network import Target

STRICT = AddressPolicy()
OPEN = AddressPolicy(allow_loopback=True, allow_private=True)


def check(*hosts: str, policy: AddressPolicy = STRICT) -> Target:
    return check_addresses("hooks.example", [Target(host=host, port=443) for host in hosts], policy)[0]


@pytest.mark.parametrize("host", ["8.8.8.8", "2606:4700:4700::1111"])
def test_public_addresses_are_allowed(host):
    assert check(host).host == host


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "fd20:ce::254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",  # NAT64
        "2002:a9fe:a9fe::1",  # 6to4
    ],
)
def test_metadata_and_link_local_addresses_are_refused_whatever_is_allowed(host):
    with pytest.raises(AddressRefused, match="which is"):
        check(host, policy=OPEN)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_allowed_by_the_receiver_only(host):
    with pytest.raises(AddressRefused, match="allow_loopback"):
        check(host, policy=AddressPolicy(allow_private=True))
    assert check(host, policy=AddressPolicy(allow_loopback=True))


@pytest.mark.parametrize("host", ["10.0.0.1", "172.31.255.1", "192.168.1.1", "100.64.0.1", "fc00::1", "::ffff:10.1.1.1"])
def test_private_addresses_are_allowed_by_the_receiver_only(host):
    with pytest.raises(AddressRefused, match="allow_private"):
        check(host, policy=AddressPolicy(allow_loopback=True))
    assert check(host, policy=AddressPolicy(allow_private=True))


@pytest.mark.parametrize("host", ["192.0.2.1", "198.51.100.7", "2001:db8::1"])
def test_documentation_addresses_are_no_public_addresses(host):
    with pytest.raises(AddressRefused):
        check(host, policy=OPEN)


@pytest.mark.parametrize("host", ["::7f00:1", "::a9fe:a9fe", "::ffff:0:7f00:1", "64:ff9b:1::7f00:1", "fec0::1", "4000::1"])
def test_addresses_that_wrap_others_or_are_given_to_nobody_are_refused(host):
    with pytest.raises(AddressRefused, match="not a public address"):
        check(host, policy=OPEN)


def test_one_inner_address_among_public_ones_refuses_the_name():
    with pytest.raises(AddressRefused, match=r"169\.254\.169\.254"):
        check("8.8.8.8", "169.254.169.254")
