# ruff: noqa: INP001 - mkdocs loads it by its path
"""What `mkdocs` adds to the pages: the JSON schema of station files, and places for pages that the navigation lacks."""

import json
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from rawdaq.control.describe.schema import station_schema

SCHEMA = "reference/station-file.schema.json"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put pages that are not in the navigation at the end of the reference; decisions have an index of their own."""
    known = json.dumps(config.nav)
    docs = Path(config.docs_dir)
    names = [path.relative_to(docs).as_posix() for path in sorted(docs.rglob("*.md")) if "decisions" not in path.parts]
    (reference,) = [section["Reference"] for section in config.nav or [] if "Reference" in section]
    reference.extend(name for name in names if f'"{name}"' not in known)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the schema beside the reference."""
    schema, unusable = station_schema()
    if unusable:
        raise SystemExit("; ".join(unusable))
    files.append(File.generated(config, SCHEMA, content=json.dumps(schema, indent=2) + "\n"))
    return files
