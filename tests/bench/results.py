# SPDX-License-Identifier: MIT
"""What was measured: medians, ratios, targets; as a table, as JSON, as Markdown."""

import json
import os
import platform
import subprocess
import textwrap
from pathlib import Path
from statistics import median

from bench import Goal, Row, goals

# Debian's names of what is measured beside walfs, or below it.
PACKAGES = ["libfuse3-3", "libxxhash0", "gcc", "coreutils", "golang-etcd-server-dev", "golang-go",
            "librocksdb-dev", "libsqlite3-dev", "s6", "daemontools", "xxhash"]


# --- of one row ---------------------------------------------------------------------------

def ratios(rounds: list[dict[str, dict]], system: str, reference: str,
           key: str = "value") -> list[float]:
    return [one[system][key] / one[reference][key] for one in rounds]


def reach(goal: Goal, rounds: list[dict[str, dict]]) -> dict:
    if goal.reference:
        reached = median(ratios(rounds, goal.system, goal.reference, goal.key))
    else:
        reached = median(one[goal.system][goal.key] for one in rounds)
    return {"text": goal.text, "reached": reached, "met": goal.is_met(reached)}


def described(row: Row) -> dict:
    return {"number": row.number, "title": row.title, "unit": row.unit, "better": row.better,
            "reference": row.reference, "target": row.target, "plot": row.plot,
            "label": row.label or row.title, "x": row.x}


def summary(row: Row, rounds: list[dict[str, dict]]) -> dict:
    systems = []
    for system in row.systems:
        measured = [one[system.name] for one in rounds]
        of_system = {"name": system.name, "median": median(one["value"] for one in measured),
                     "values": [one["value"] for one in measured], "measured": measured}
        for key in measured[0]:
            if key != "value" and isinstance(measured[0][key], (int, float)):
                of_system.setdefault("medians", {})[key] = median(one[key] for one in measured)
        if row.reference:
            of_system["ratios"] = ratios(rounds, system.name, row.reference)
            of_system["ratio"] = median(of_system["ratios"])
        systems.append(of_system)
    return {**described(row), "rounds": len(rounds), "systems": systems,
            "goals": [reach(goal, rounds) for goal in goals(row)]}


def failed(row: Row, why: str) -> dict:
    return {**described(row), "rounds": 0, "systems": [], "goals": [], "failure": why}


# --- the machine ----------------------------------------------------------------------------

def output_of(*command) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def file_system(directory: Path) -> str:
    return output_of("stat", "-f", "-c", "%T", directory).replace("ext2/ext3", "ext4")


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def versions() -> dict[str, str]:
    # It fails when one of them is missing, and prints the others all the same.
    shown = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version} ${db:Status-Status}\n",
                            *PACKAGES], capture_output=True, text=True, check=False).stdout
    lines = (line.split() for line in shown.splitlines())
    return {words[0]: words[1] for words in lines if words[-1] == "installed"}


def machine(top: Path, build: Path, directory: Path) -> dict:
    memory = Path("/proc/meminfo").read_text(encoding="utf-8").split("MemTotal:")[1].split()[0]
    version = output_of(build / "walfs", "--version").partition("\n")[0]
    return {"walfs": version.removeprefix("walfs "),
            "commit": output_of("git", "-C", top, "describe", "--always", "--dirty"),
            "kernel": platform.release(), "cpu": cpu_model(), "cores": os.cpu_count(),
            "memory_gib": round(int(memory) / (1 << 20)), "file_system": file_system(directory),
            "packages": versions()}


# --- the files --------------------------------------------------------------------------------

def number(value: float) -> str:
    """Four digits, and no more."""
    if abs(value) >= 1000:
        return f"{float(f'{value:.4g}'):,.0f}"
    return f"{value:.4g}"


def goal_line(goal: dict) -> str:
    return f"{goal['text']}: {number(goal['reached'])}, {'reached' if goal['met'] else 'MISSED'}"


def row_lines(row: dict) -> list[str]:
    lines = [f"{row['number']:3}  {row['title']}"]
    if "failure" in row:
        return lines + [f"     not measured: {row['failure']}", ""]
    for system in row["systems"]:
        line = f"       {system['name']:<26} {number(system['median']):>12} {row['unit']}"
        if row["reference"] and system["name"] != row["reference"]:
            line = f"{line:<64} {system['ratio']:7.2f} x {row['reference']}"
        lines.append(line)
        more = {key: value for key, value in system.get("medians", {}).items()
                if key not in ("events", "bytes", "samples", "seconds")}
        if more:
            lines.append("         " + "  ".join(f"{key} {number(value)}"
                                                 for key, value in more.items()))
    lines += [f"       target: {goal_line(goal)}" for goal in row["goals"]]
    return lines + [""]


def heading(machine_: dict, quick: bool) -> list[str]:
    packages = ", ".join(f"{name} {version}" for name, version in machine_["packages"].items())
    lines = [f"walfs {machine_['walfs']} ({machine_['commit']}), Linux {machine_['kernel']}, "
             f"{machine_['cpu']}, {machine_['cores']} cores, {machine_['memory_gib']} GiB, "
             f"{machine_['file_system']}",
             *textwrap.wrap(packages, 100),
             "Medians; the systems of a row were measured in turn, and a ratio is the median of",
             "the rounds' ratios. p50 to max: microseconds of one operation.", ""]
    return (["QUICK RUN: these figures say nothing", ""] if quick else []) + lines


def markdown(rows: list[dict]) -> list[str]:
    """One line for each target and each row without."""
    lines = ["| # | measured | walfs | beside | target |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        if "failure" in row:
            continue
        first, *others = row["systems"]
        beside = "; ".join(f"{other['name']} {number(other['median'])}" for other in others)
        target = "; ".join(goal_line(goal) for goal in row["goals"])
        lines.append(f"| {row['number']} | {row['title']} | {number(first['median'])} "
                     f"{row['unit']} | {beside} | {target} |")
    return lines


def write(output: Path, machine_: dict, rows: list[dict], quick: bool) -> None:
    table = heading(machine_, quick)
    for row in rows:
        table += row_lines(row)
    text = "\n".join(table).rstrip() + "\n"
    (output / "results.txt").write_text(text, encoding="utf-8")
    everything = {"machine": machine_, "quick": quick, "rows": rows}
    (output / "results.json").write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
    (output / "results.md").write_text("\n".join(markdown(rows)) + "\n", encoding="utf-8")
