#!/usr/bin/env python3
"""Writes ``docs/reference`` from the docstrings of receivers, publishers and the blocks of a station file."""

from pathlib import Path

from rawdaq.control.describe.markdown import reference

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in reference().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
