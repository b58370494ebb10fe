"""The compiled modules, each None where there was no C compiler at the installation: everything works without them."""

try:
    from rawdaq import file_batches, single_packets, steim2
except ImportError:
    file_batches = single_packets = steim2 = None  # type: ignore[assignment]  # mypy has no other way to say it

__all__ = ["file_batches", "single_packets", "steim2"]
