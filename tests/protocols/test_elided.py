from rawdaq.protocols.elided import elided


def test_what_a_peer_sent_is_shown_printable_and_short() -> None:
    assert elided(b"CHANNEL\r") == "CHANNEL\\r"
    assert elided(b"x" * 75) == "x" * 75
    assert elided(b"x" * 10_000) == "x" * 72 + "..."
    assert len(elided(b"\xff" * 10_000)) == 75
