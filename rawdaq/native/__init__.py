"""Compiled parts, each with a twin in Python or a library: everything works without a C compiler, only slower.

`steim2` is None where there was no compiler at the installation.
"""

try:
    from rawdaq.native import steim2
except ImportError:
    steim2 = None  # type: ignore[assignment]  # mypy has no other way to say it

__all__ = ["steim2"]
