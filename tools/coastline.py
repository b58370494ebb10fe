#!/usr/bin/env python3
"""Writes control/web/page/coastline.json, the coastlines behind the map, from land-50m.json of the package world-atlas.

    tools/coastline.py .../world-atlas/land-50m.json

The data are Natural Earth's, in the public domain. Each line is a list of numbers in hundredths of a degree: longitude
and latitude of its first point, then what the next one differs by, and so on.
"""

import json
import sys
from itertools import pairwise
from math import hypot
from pathlib import Path
from typing import TypedDict

TARGET = Path(__file__).resolve().parent.parent / "control" / "web" / "page" / "coastline.json"
TOLERANCE_DEG = 0.02  # what a line may be away from the true one
SMALLEST_DEG = 0.08  # islands below are left out
PER_DEGREE = 100

Point = tuple[float, float]


class Transform(TypedDict):
    """How TopoJSON turns whole numbers into degrees."""

    scale: tuple[float, float]
    translate: tuple[float, float]


class Topology(TypedDict):
    """What is used of TopoJSON."""

    transform: Transform
    arcs: list[list[tuple[int, int]]]


def arcs(topology: Topology) -> list[list[Point]]:
    """Return the arcs of a topology in degrees."""
    (scale_x, scale_y), (shift_x, shift_y) = topology["transform"]["scale"], topology["transform"]["translate"]
    found: list[list[Point]] = []
    for arc in topology["arcs"]:
        x = y = 0
        points: list[Point] = []
        for dx, dy in arc:
            x, y = x + dx, y + dy
            points.append((x * scale_x + shift_x, y * scale_y + shift_y))
        found.append(points)
    return found


def coasts(line: list[Point]) -> list[list[Point]]:
    """Return the parts of *line* that are coast: not the edge of the map, along 180 degrees or the South Pole."""
    parts: list[list[Point]] = [[]]
    for a, b in pairwise(line):
        is_edge = (abs(a[0]) > 179.99 and abs(b[0]) > 179.99) or (a[1] < -89.9 or b[1] < -89.9)
        if is_edge:
            parts.append([])
        else:
            parts[-1] += [b] if parts[-1] else [a, b]
    return [part for part in parts if part]


def away(point: Point, a: Point, b: Point) -> float:
    """Return how far a point is from the line through *a* and *b*."""
    (x, y), (ax, ay), (bx, by) = point, a, b
    length = hypot(bx - ax, by - ay)
    return abs((bx - ax) * (ay - y) - (ax - x) * (by - ay)) / length if length else hypot(x - ax, y - ay)


def simple(line: list[Point]) -> list[Point]:
    """Return *line* with as few points as the tolerance allows (Douglas and Peucker)."""
    keep, todo = {0, len(line) - 1}, [(0, len(line) - 1)]
    while todo:
        first, last = todo.pop()
        distances = [away(point, line[first], line[last]) for point in line[first + 1 : last]]
        if distances and max(distances) > TOLERANCE_DEG:
            farthest = first + 1 + distances.index(max(distances))
            keep.add(farthest)
            todo += [(first, farthest), (farthest, last)]
    return [line[k] for k in sorted(keep)]


def is_large(line: list[Point]) -> bool:
    """Return whether *line* is to be seen."""
    xs, ys = zip(*line, strict=True)
    return max(max(xs) - min(xs), max(ys) - min(ys)) >= SMALLEST_DEG


def deltas(line: list[Point]) -> list[int]:
    """Return *line* as the file has it."""
    points = [(round(x * PER_DEGREE), round(y * PER_DEGREE)) for x, y in line]
    numbers = [*points[0]]
    for (ax, ay), (bx, by) in pairwise(points):
        if (ax, ay) != (bx, by):
            numbers += [bx - ax, by - ay]
    return numbers


def main() -> None:
    """Read the file that the command line names, and write ours."""
    topology = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    lines = [simple(part) for arc in arcs(topology) for part in coasts(arc) if is_large(part)]
    document = {
        "source": "Natural Earth 1:50m, public domain",
        "per_degree": PER_DEGREE,
        "lines": [deltas(line) for line in lines],
    }
    TARGET.write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{len(lines)} lines, {sum(len(line) for line in lines)} points, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
