"""Station files: YAML in, validated settings out, or every mistake at once with its line and key.

`load` and its kin read files; `registry` finds classes by name; the other modules are this room's own.
"""

from rawdaq.config.files import (
    DEMO_FILE,
    ComponentSettings,
    ConfigError,
    DaemonSettings,
    PreviewSettings,
    Problem,
    PublisherSettings,
    ReceiverSettings,
    StationFile,
    StationSettings,
    find_config,
    load,
    load_all,
    load_good,
    named_config,
)

__all__ = [
    "DEMO_FILE",
    "ComponentSettings",
    "ConfigError",
    "DaemonSettings",
    "PreviewSettings",
    "Problem",
    "PublisherSettings",
    "ReceiverSettings",
    "StationFile",
    "StationSettings",
    "find_config",
    "load",
    "load_all",
    "load_good",
    "named_config",
]
