# SPDX-License-Identifier: MIT
"""The figures, by gnuplot. A row says by Row.plot which one it is part of.

plots.py DIR draws them again, from DIR/results.json.
"""

import json
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

from bench import Failure, Row

COLOURS = ["#1f5fa8", "#d9822b", "#7a7a7a", "#3a8f4d", "#a03b6a", "#5b4a9e"]
PERCENTILES = {"p50": "50", "p99": "99", "p999": "99.9", "p9999": "99.99", "max": "largest"}


@dataclass
class Figure:
    kind: str  # "bars": a group a row; "lines": over Row.x; "percentiles": of each operation
    title: str
    label: str  # of the y axis
    x_label: str = ""
    scale: float = 1  # of the values
    logarithmic: bool = False


FIGURES = {
    "small-writes": Figure("bars", "One write(2) through the mount, mean", "microseconds",
                           scale=1e-3),
    "small-writes-latency": Figure("percentiles", "One write(2) through the mount, percentiles",
                                   "microseconds", "percentile", logarithmic=True),
    "lines": Figure("bars", "Lines of 64 bytes", "million lines a second"),
    "throughput": Figure("bars", "Writes of 1 MiB", "GB/s"),
    "durable-dsync": Figure("lines", "Durable events of 64 bytes, O_DSYNC",
                            "thousands a second", "writers", scale=1e-3),
    "durable-fdatasync": Figure("lines", "Durable events of 64 bytes, write and fdatasync",
                                "thousands a second", "writers", scale=1e-3),
    "reading": Figure("bars", "Reading sealed segments", "GB/s"),
    "append": Figure("bars", "Appending 64-byte events, not synced", "ns an event",
                     logarithmic=True),
    "append-synced": Figure("bars", "Appending 64-byte events, each synced", "microseconds",
                            scale=1e-3),
    "append-size": Figure("lines", "Appending in the core", "GB/s", "bytes an event",
                          logarithmic=True),
    "verify": Figure("bars", "Checking a segment", "GB/s"),
    "rotation-latency": Figure("percentiles", "Latency of an append, across rotations",
                               "microseconds", "percentile", logarithmic=True),
    "sync-latency": Figure("percentiles", "Latency of an append beside a loop of syncs",
                           "microseconds", "percentile", logarithmic=True),
}


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "").replace('"', "") + '"'


def wrapped(text: str, width: int = 14) -> list[str]:
    return textwrap.wrap(text.replace('"', ""), width)


def in_figure(row: dict, name: str) -> bool:
    return name in row["plot"].split()


def check(row: Row) -> None:
    for name in row.plot.split():
        if name not in FIGURES:
            raise ValueError(f"row {row.number}: no figure {name}")


def names(rows: list[dict]) -> list[str]:
    return list(dict.fromkeys(system["name"] for row in rows for system in row["systems"]))


def y_range(figure: Figure) -> list[str]:
    return [] if figure.logarithmic else ["set yrange [0:*]"]


def median_of(row: dict, name: str, scale: float) -> str:
    found = [system["median"] for system in row["systems"] if system["name"] == name]
    return f"{float(f'{found[0] * scale:.3g}'):.6g}" if found else "NaN"


def bars(figure: Figure, rows: list[dict]) -> str:
    """Of several rows: a group each, a colour a system. Of one row: a bar a system."""
    if len(rows) == 1:
        labels = [wrapped(name, 11) for name in names(rows)]
        columns = [""]
        values = [[median_of(rows[0], name, figure.scale)] for name in names(rows)]
    else:
        labels = [wrapped(row["label"]) for row in rows]
        columns = names(rows)
        values = [[median_of(row, name, figure.scale) for name in columns] for row in rows]
    data = [" ".join(['"' + "\\n".join(label) + '"', *of_label])
            for label, of_label in zip(labels, values)]
    lines = ["$data << END", *data, "END", "set style data histograms",
             "set style histogram clustered gap 1", "set style fill solid border -1",
             "set boxwidth 0.9", "set xtics scale 0", f"set xrange [-0.6:{len(labels) - 0.4}]",
             f"set bmargin {max(map(len, labels)) + 1}", *y_range(figure)]
    plots = ", ".join(f"$data using {i + 2}:xtic(1) title {quoted(name)} linecolor rgb "
                      f"{quoted(COLOURS[i % len(COLOURS)])}" for i, name in enumerate(columns))
    if len(rows) == 1:
        lines.append("unset key")
        plots += ", $data using 0:2:2 with labels offset 0,0.7"
    return "\n".join([*lines, f"plot {plots}"])


def curves(series: dict[str, list[tuple[float, float]]]) -> str:
    lines, plots = [], []
    for i, (name, points) in enumerate(series.items()):
        lines += [f"$data{i} << END", *(f"{x:g} {y:g}" for x, y in points), "END"]
        plots.append(f"$data{i} using 1:2 with linespoints title {quoted(name)} linewidth 2 "
                     f"pointtype 7 pointsize 0.6 linecolor rgb "
                     f"{quoted(COLOURS[i % len(COLOURS)])}")
    return "\n".join([*lines, "plot " + ", ".join(plots)])


def over_x(figure: Figure, rows: list[dict]) -> str:
    rows = sorted((row for row in rows if row["x"] is not None), key=lambda row: row["x"])
    series = {name: [(row["x"], system["median"] * figure.scale) for row in rows
                     for system in row["systems"] if system["name"] == name]
              for name in names(rows)}
    ticks = ", ".join(f'"{x:g}" {x:g}' for x in dict.fromkeys(row["x"] for row in rows))
    return "\n".join(["set logscale x 2", f"set xtics ({ticks})", *y_range(figure),
                      f"set xrange [{rows[0]['x'] / 1.2:g}:{rows[-1]['x'] * 1.2:g}]",
                      curves(series)])


def over_percentiles(figure: Figure, rows: list[dict]) -> str:
    series = {}
    for row in rows:
        for system in row["systems"]:
            medians = system.get("medians", {})
            name = system["name"] if len(rows) == 1 else f"{row['label']}: {system['name']}"
            points = [(i, medians[key] * figure.scale) for i, key in enumerate(PERCENTILES)
                      if medians.get(key, 0) > 0]
            if points:
                series[name] = points
    ticks = ", ".join(f'"{text}" {i}' for i, text in enumerate(PERCENTILES.values()))
    return "\n".join([f"set xtics ({ticks})", "set xrange [-0.2:4.2]", curves(series)])


def script(path: Path, figure: Figure, rows: list[dict]) -> str:
    draw_kind = {"bars": bars, "lines": over_x, "percentiles": over_percentiles}[figure.kind]
    width = 800
    if figure.kind == "bars":
        width = 115 * len(names(rows)) + 100 if len(rows) == 1 else 180 * len(rows) + 220
        width = max(640, width)
    lines = [f'set terminal svg size {width},400 dynamic font "sans-serif,13" background "white"',
             f"set output {quoted(str(path))}", f"set title {quoted(figure.title)} offset 0,0.6",
             f"set ylabel {quoted(figure.label)}",
             "set grid ytics linetype 1 linecolor rgb \"#cccccc\"",
             "set border 3", "set tics nomirror", "set key outside right top",
             "set tmargin 3.5",
             "set termoption noenhanced"]
    if figure.x_label:
        lines.append(f"set xlabel {quoted(figure.x_label)}")
    if figure.logarithmic:
        lines.append("set logscale y 10")
    return "\n".join([*lines, draw_kind(figure, rows), ""])


def draw(output: Path, rows: list[dict]) -> None:
    """Each figure that has something to show."""
    if not shutil.which("gnuplot"):
        raise Failure("gnuplot is missing: apt-get install gnuplot-nox")
    for name, figure in FIGURES.items():
        part = [row for row in rows if in_figure(row, name) and row["systems"]]
        if not part:
            continue
        done = subprocess.run(["gnuplot"], input=script(output / f"{name}.svg", figure, part),
                              text=True, capture_output=True, check=False)
        if done.returncode or done.stderr.strip():
            raise Failure(f"gnuplot, {name}: {done.stderr.strip()[:500]}")


if __name__ == "__main__":
    where = Path(sys.argv[1])
    draw(where, json.loads((where / "results.json").read_text(encoding="utf-8"))["rows"])
