# SPDX-License-Identifier: MIT
"""What a row of the benchmark is, and how one measurement is made.

A module of rows has one function, rows(context) -> list[Row]. Several rows may have the
same number: they belong to one line of the table of targets, and differ by title.
"""

import json
import re
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Callable


class Failure(Exception):
    """A measurement that could not be made; its text says what to do."""


@dataclass
class System:
    """One of those that a row compares."""

    name: str
    run: Callable[[], dict]  # one measurement -> {"value": in the row's unit, ...}


@dataclass
class Row:
    number: int
    title: str
    unit: str  # "ns", "GB/s", ...
    better: str  # "lower" or "higher"
    # What is to be reached, e.g. "walfs <= 25; walfs <= 0.02 x etcd wal", or "": see Goal.
    target: str
    systems: list[System]
    reference: str = ""  # the system that ratios are to, or ""
    rounds: int = 5
    # Makes what the measurements need; the stack undoes it when the row is done.
    prepare: Callable[[ExitStack], None] | None = None
    plot: str = ""  # names of the figures that it is part of: see plots.py
    label: str = ""  # a short title, for under a bar
    x: float | None = None  # where, if the figure has an axis of numbers


@dataclass
class Goal:
    """SYSTEM <= NUMBER, or SYSTEM >= NUMBER x REFERENCE (a median of ratios, pair by pair).

    KEY of SYSTEM <= NUMBER looks at another member of what a measurement gave: "p9999 of walfs".
    """

    text: str
    system: str
    relation: str
    number: float
    reference: str = ""
    key: str = "value"

    @staticmethod
    def parse(text: str) -> "Goal":
        form = re.fullmatch(r"(?:(\w+) of )?(.+?) (<=|>=) ([\d.]+)(?: x (.+))?", text)
        if not form:
            raise ValueError(f"not a target: {text}")
        key, system, relation, number, reference = form.groups()
        return Goal(text, system, relation, float(number), reference or "", key or "value")

    def is_met(self, reached: float) -> bool:
        return reached <= self.number if self.relation == "<=" else reached >= self.number


def goals(row: Row) -> list[Goal]:
    return [Goal.parse(text.strip()) for text in row.target.split(";") if text.strip()]


@dataclass
class Context:
    """Where programs and stores are."""

    top: Path  # the checkout
    build: Path
    directory: Path  # for stores; of this run alone
    quick: bool = False

    def program(self, name: str) -> str:
        """The path of a measuring program: tests/bench/NAME.c."""
        return str(self.build / "tests" / f"bench_{name}")

    def less(self, count: int, by: int = 10) -> int:
        """How much to do: with --quick a part of it."""
        return max(1, count // by) if self.quick else count


def measure(*command) -> dict:
    """Runs a measuring program: the last line it prints is one JSON object."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise Failure(f"{error.filename} is missing; scripts/bench builds and installs it") \
            from error
    name = Path(words[0]).name
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise Failure(f"{name} {words[1] if words[1:] else ''}: exit {done.returncode}: "
                      f"{said[-1] if said else 'it said nothing'}")
    try:
        result = json.loads(done.stdout.strip().splitlines()[-1])
        float(result["value"])
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise Failure(f"{name}: no measurement in what it printed: {done.stdout[-200:]}") from error
    return result
