"""Station files: YAML in, validated settings out, or all mistakes at once with line and key.

Other rooms load files with `load` and its kin, name settings, and find classes by name through `registry`; the other
modules belong to this room. Public names are those of ``__all__``.
"""

from rawdaq.config.decimation import DecimationSettings
from rawdaq.config.document import ConfigError, Problem
from rawdaq.config.files import DEMO_FILE, find_config, load, load_all, load_good, named_config
from rawdaq.config.settings import (
    ComponentSettings,
    DaemonSettings,
    JournalSettings,
    PublisherSettings,
    ReceiverSettings,
    StateOfHealthSettings,
    StationFile,
    StationSettings,
)

__all__ = [
    "DEMO_FILE",
    "ComponentSettings",
    "ConfigError",
    "DaemonSettings",
    "DecimationSettings",
    "JournalSettings",
    "Problem",
    "PublisherSettings",
    "ReceiverSettings",
    "StateOfHealthSettings",
    "StationFile",
    "StationSettings",
    "find_config",
    "load",
    "load_all",
    "load_good",
    "named_config",
]
