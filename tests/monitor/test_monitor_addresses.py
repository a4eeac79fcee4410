"""Which machines may be asked: what is private stays private, whatever it is written as."""

from __future__ import annotations

import socket

import pytest

from metier.apps.addresses import allowed, may_reach, pinned, shown
from metier.errors import RecipeError


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "192.168.0.9", "172.16.3.4", "100.64.0.1", "100.127.255.254", "::1", "fd00::1",
        "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::ffff:10.0.0.1",
    ],
)  # fmt: skip
def test_a_private_address_is_reached_only_when_allowed(address: str) -> None:
    assert not may_reach(address)
    assert may_reach(address, allow_private=True)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254", "fe80::1", "fe80::1%eth0", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "::ffff:169.254.169.254",
        "168.63.129.16", "100.100.100.200", "::ffff:168.63.129.16", "64:ff9b::6464:64c8", "fd00:ec2::254",
    ],
)  # fmt: skip
def test_some_addresses_are_never_reached(address: str) -> None:
    assert not may_reach(address)
    assert not may_reach(address, allow_private=True)


def test_what_no_setting_allows_is_refused_without_advice_to_set_one() -> None:
    with pytest.raises(RecipeError, match="no public address") as refused:
        allowed("168.63.129.16", 80)
    assert "allow_private" not in str(refused.value)


def test_a_public_address_is_reached() -> None:
    assert may_reach("93.184.216.34") and may_reach("2606:2800:220:1:248:1893:25c8:1946")


def test_one_private_address_among_others_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [(socket.AF_INET, 1, 6, "", (address, 80)) for address in ("93.184.216.34", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
    with pytest.raises(RecipeError, match=r"10\.0\.0\.1"):
        allowed("mixed.example", 80)
    assert allowed("mixed.example", 80, allow_private=True) == ("93.184.216.34", "10.0.0.1")


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f.1", "[::1]"])
def test_loopback_in_disguise_is_refused(host: str) -> None:
    with pytest.raises(RecipeError, match="no public address"):
        allowed(host, 80)


def test_a_name_is_resolved_once_and_the_connection_goes_to_that_address(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["93.184.216.34", "127.0.0.1"])
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda _, port, **__: [(socket.AF_INET, 1, 6, "", (next(answers), port))]
    )
    found = pinned("https://rebind.example/hook?key=s")
    assert found.url == "https://93.184.216.34:443/hook?key=s"
    assert found.headers["Host"] == "rebind.example" and found.extensions["sni_hostname"] == "rebind.example"
    with pytest.raises(RecipeError):
        pinned("https://rebind.example/")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://x/",
        "http://user:pass@x/",
        "http://",
        "x",
        "http://x:99999/",
        "http://[x/",
        "http://a..b/",
    ],
)
def test_what_is_no_address_of_the_web_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(RecipeError) as caught:
        pinned(url, allow_private=True)
    assert "pass" not in caught.value.found


def test_an_address_is_shown_without_its_secret() -> None:
    assert shown("https://hooks.example:8443/T0/secret?key=1") == "https://hooks.example:8443/…"
    assert shown("http://[x/secret") == "an address that is none"
