"""Addresses of servers."""

import pytest

from rawdaq.errors import InvalidValue
from rawdaq.sockets.client.address import ServerAddress

PORTS = {"tcp": 16000, "tls": 16500, "ws": 80, "wss": 443}


@pytest.mark.parametrize(
    ("text", "host", "port", "path", "is_encrypted", "is_websocket"),
    [
        ("tcp://localhost", "localhost", 16000, "", False, False),
        ("tcp://127.0.0.1:18000/", "127.0.0.1", 18000, "", False, False),
        ("tls://example.org:1", "example.org", 1, "", True, False),
        ("ws://[::1]:8080/datalink?a=b", "::1", 8080, "/datalink?a=b", False, True),
        ("wss://example.org/datalink", "example.org", 443, "/datalink", True, True),
    ],
)
def test_an_address_says_where_and_how(
    text: str, host: str, port: int, path: str, is_encrypted: bool, is_websocket: bool
) -> None:
    address = ServerAddress.parse(text, PORTS)
    assert (address.host, address.port, address.path) == (host, port, path)
    assert (address.is_encrypted, address.is_websocket) == (is_encrypted, is_websocket)
    assert ServerAddress.parse(str(address), PORTS) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost:16000",
        "http://localhost",
        "tcp://",
        "tcp://localhost:99999",
        "tcp://localhost:x",
        "tcp://localhost/path",
        "tcp://localhost?x",
        "tcp://me@localhost",
        "tcp://a b",
        "tcp://[::1",
        "tcp://300.1.1.1",
        "tcp://my..host",
        "tcp://*",
    ],
)
def test_other_texts_are_no_addresses(text: str) -> None:
    with pytest.raises(InvalidValue, match="is no address"):
        ServerAddress.parse(text, PORTS)


@pytest.mark.parametrize(("host", "is_loopback"), [("localhost", True), ("127.0.0.9", True), ("192.0.2.7", False)])
def test_loopback_is_this_machine(host: str, is_loopback: bool) -> None:
    assert ServerAddress("tcp", host, 1).is_loopback is is_loopback
