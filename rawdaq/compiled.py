"""The compiled modules, each None where there was no C compiler at the installation: everything works without them."""

try:
    from rawdaq import single_packets, steim2
except ImportError:
    single_packets = steim2 = None  # type: ignore[assignment]  # mypy has no other way to say it

__all__ = ["single_packets", "steim2"]
