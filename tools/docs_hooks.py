# ruff: noqa: INP001 - mkdocs loads it by its path
"""What `mkdocs` adds to the pages: the JSON schema of station files, of the classes that rawdaq itself brings."""

import json

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from rawdaq.control.describe.schema import station_schema

SCHEMA = "reference/station-file.schema.json"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the schema beside the reference."""
    schema, unusable = station_schema()
    if unusable:
        raise SystemExit("; ".join(unusable))
    files.append(File.generated(config, SCHEMA, content=json.dumps(schema, indent=2) + "\n"))
    return files
