# SPDX-License-Identifier: MIT
"""Rows of the core, without a mount: 1, 2, 8, 9 and 12; and the tail under sync (13)."""

import os
import shutil
import subprocess
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench import Context, Failure, Row, System, measure
from rows_mount import Mount, need

MIB = 1 << 20
SEGMENT = 64 * MIB
EVENT = 64
IO_METHODS = ["pwrite", "mmap"]
MOUNT_IO_METHODS = ["auto", *IO_METHODS]  # the first is the default
SIZES = [16, 64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10]


def size_name(size: int) -> str:
    return f"{size} B" if size < 1 << 10 else f"{size >> 10} KiB"


def append(context: Context, how: str, size: int, events: int, segment: int = 0,
           io: str = "mmap") -> dict:
    os.sync()
    return measure(context.program("core"), "append", context.directory, how, size, events,
                   segment, io)


def by_key(run, key: str, scale: float = 1) -> dict:
    """The same measurement, with another of its members as its value."""
    result = run()
    return {**result, "value": result[key] * scale}


# --- 1: one event at a time --------------------------------------------------------------

def peer(context: Context, name: str, mode: str, events: int) -> dict:
    program = context.program(f"peer_{name}")
    if not Path(program).exists():
        raise Failure(f"{program} is missing: make bench-peers")
    os.sync()
    return measure(program, context.directory, mode, EVENT, events)


def small_events(context: Context) -> Row:
    many, fewer = context.less(4_000_000), context.less(200_000)
    ways = {"walfs segment writer": "writer", "walfs segment writer, clean pages": "prepared",
            "walfs log, 64 a call": "batch", "walfs log, one a call": "log",
            "memcpy": "memcpy", "reading one clock": "clock"}
    systems = [System(name, partial(append, context, how, EVENT, many))
               for name, how in ways.items()]
    systems += [System("walfs log, 64 a call, io=pwrite",
                       partial(append, context, "batch", EVENT, many, 0, "pwrite")),
                System("etcd wal", partial(peer, context, "etcd", "nosync", fewer)),
                System("RocksDB", partial(peer, context, "rocksdb", "nosync", fewer)),
                System("SQLite WAL, NORMAL", partial(peer, context, "sqlite", "normal",
                                                     context.less(50_000))),
                System("SQLite WAL, OFF", partial(peer, context, "sqlite", "off",
                                                  context.less(50_000)))]
    return Row(1, f"append of {EVENT} B, one thread, not synced, no rotation", "ns", "lower",
               "walfs segment writer <= 25; walfs segment writer <= 0.02 x etcd wal; "
               "walfs log, 64 a call <= 0.02 x etcd wal",
               systems, "etcd wal", plot="append", label="not synced")


def rotated_events(context: Context) -> Row:
    events = context.less(8_000_000)
    return Row(1, f"append of {EVENT} B over segments of {SEGMENT >> 20} MiB, one thread, "
               "not synced", "ns", "lower", "",
               [System("walfs log, 64 a call",
                       partial(append, context, "batch", EVENT, events, SEGMENT)),
                System("walfs log, one a call",
                       partial(append, context, "log", EVENT, events, SEGMENT)),
                System("etcd wal", partial(peer, context, "etcd", "nosync",
                                           context.less(2_000_000)))],
               "etcd wal")


def synced_events(context: Context) -> Row:
    events = context.less(2000)
    return Row(1, f"append of {EVENT} B, one thread, each synced", "ns", "lower", "",
               [*(System(f"walfs log, io={io}",
                         partial(append, context, "synced", EVENT, events, 0, io))
                  for io in IO_METHODS),
                System("etcd wal", partial(peer, context, "etcd", "sync", events)),
                System("RocksDB", partial(peer, context, "rocksdb", "sync", events)),
                System("SQLite WAL, FULL", partial(peer, context, "sqlite", "full", events))],
               "etcd wal", plot="append-synced", label="each synced")


# --- 2: bytes ----------------------------------------------------------------------------

def rate(context: Context, how: str, size: int, events: int, *more) -> dict:
    return by_key(partial(append, context, how, size, events, *more), "gb_per_s")


def sized_events(context: Context, size: int) -> Row:
    events = min(context.less(256 * MIB) // (size + 16), context.less(4_000_000))
    target = "walfs >= 5" if size == 4 << 10 else ""
    ways = {"walfs": "batch", "walfs, pages not clean": "writer", "memcpy": "memcpy"}
    return Row(2, f"append of {size_name(size)}, in prepared segments, no rotation", "GB/s",
               "higher", target,
               [System(name, partial(rate, context, how, size, events))
                for name, how in ways.items()],
               "memcpy", plot="append-size", x=size)


def sustained(context: Context, size: int, durable: bool) -> Row:
    """Without a sync asked for, walfs still syncs each segment that it closes; pwrite does not."""
    events = context.less(4096 * MIB) // size
    walfs, pwrite = ("durable", "pwrite-durable") if durable else ("batch", "pwrite")
    how = "both durable at the end" if durable else "pwrite without any sync"
    return Row(2, f"append of {size_name(size)}, 4 GiB over segments of 64 MiB, {how}", "GB/s",
               "higher", "walfs io=pwrite >= 1 x pwrite; walfs io=mmap >= 1 x pwrite",
               [*(System(f"walfs io={io}",
                         partial(rate, context, walfs, size, events, SEGMENT, io))
                  for io in IO_METHODS),
                System("pwrite", partial(rate, context, pwrite, size, events, SEGMENT))],
               "pwrite", rounds=3)


# --- 8 and 9: what is sealed ----------------------------------------------------------------

class Sealed:
    """A store of sealed segments, until the row is done."""

    def __init__(self, context: Context, size: int, total: int):
        self.context, self.size = context, size
        self.events = context.less(total) // size
        self.home = context.directory / "sealed"
        self.files: list[Path] = []

    def prepare(self, stack: ExitStack) -> None:
        stack.callback(shutil.rmtree, self.home, ignore_errors=True)
        self.home.mkdir()
        measure(self.context.program("core"), "fill", self.home, self.size, self.events, SEGMENT)
        # The last one is what is appended to.
        self.files = sorted((self.home / "store").glob("*.wal"))[:-1]
        if not self.files:
            raise Failure("no segment was sealed")
        self.bytes = sum(file.stat().st_size for file in self.files)

    def make_cold(self) -> None:
        for file in self.files:
            fd = os.open(file, os.O_RDONLY)
            try:
                os.fsync(fd)
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(fd)

    def make_warm(self) -> None:
        for file in self.files:
            file.read_bytes()

    def check(self, command: list[str], cold: bool) -> dict:
        need(command[0], command[0])
        if cold:
            self.make_cold()
        else:
            self.make_warm()
        start = time.perf_counter()
        done = subprocess.run([*command, *map(str, self.files)], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
        if done.returncode:
            raise Failure(f"{command[0]}: exit {done.returncode}: {done.stderr.strip()}")
        return {"value": self.bytes / seconds / 1e9, "seconds": seconds, "bytes": self.bytes}

    def replay(self) -> dict:
        self.make_warm()
        return measure(self.context.program("core"), "replay", self.home)


def verify(context: Context, size: int, cold: bool) -> Row:
    sealed = Sealed(context, size, 1024 * MIB)
    walctl = [str(context.build / "walctl"), "verify", "--quiet"]
    state = "cold" if cold else "warm"
    return Row(8, f"verify, segments of {size_name(size)} events, {state}", "GB/s", "higher",
               "walctl verify >= 0.9 x xxhsum -H2",
               [System("walctl verify", partial(sealed.check, walctl, cold)),
                System("xxhsum -H2", partial(sealed.check, ["xxhsum", "-H2"], cold))],
               "xxhsum -H2", prepare=sealed.prepare, plot="verify",
               label=f"{size_name(size)}, {state}")


def replay(context: Context) -> Row:
    sealed = Sealed(context, EVENT, 1024 * MIB)
    return Row(9, f"replay of {EVENT} B events, a callback each, warm", "million/s", "higher",
               "walfs >= 60", [System("walfs", sealed.replay)], prepare=sealed.prepare)


# --- 12: latency ---------------------------------------------------------------------------

ROTATIONS, ROTATED_BYTES, PACE_NS = 100, 4 * MIB, 2000


def latency(context: Context, kind: str) -> dict:
    os.sync()
    result = measure(context.program("core"), "latency", context.directory, kind,
                     context.less(ROTATIONS), ROTATED_BYTES, PACE_NS)
    return {**result, "value": result["p9999"]}


def rotation_latency(context: Context) -> Row:
    return Row(12, f"append of {EVENT} B, one each {PACE_NS // 1000} us, p99.99; "
               f"{ROTATIONS} rotations of {ROTATED_BYTES >> 20} MiB", "us", "lower",
               "with rotations <= 10",
               [System("with rotations", partial(latency, context, "rotating")),
                System("without", partial(latency, context, "steady")),
                System("no append (the machine)", partial(latency, context, "nothing"))],
               "without", plot="rotation-latency")


def cpu(context: Context, *segment: int) -> dict:
    run = partial(append, context, "log", EVENT, context.less(8_000_000), *segment)
    return by_key(run, "cpu_ns")


def rotation_cpu(context: Context) -> Row:
    return Row(12, f"processor time of all threads, an event of {EVENT} B", "ns", "lower", "",
               [System("with rotations", partial(cpu, context, SEGMENT)),
                System("without", partial(cpu, context))], "without")


# --- 13: the tail under sync -----------------------------------------------------------------

PACED = 250_000  # 80 bytes each 20 us: 5 s


def tail(context: Context, where: str, how: str, syncing: bool) -> dict:
    os.sync()
    return measure(context.program("tail"), where, context.directory, how,
                   "sync" if syncing else "nosync", context.less(PACED))


def core_tail(context: Context, syncing: bool) -> Row:
    beside = "beside a loop of syncs" if syncing else "no sync"
    systems = [System(f"walfs io={io}", partial(tail, context, "log", io, syncing))
               for io in IO_METHODS]
    bare = {"bare mapping": "mmap", "bare pwrite": "pwrite", "no file (the machine)": "none"}
    systems += [System(name, partial(tail, context, "file", how, syncing))
                for name, how in bare.items()]
    return Row(13, f"append of 80 B each 20 us in the core, {beside}, p99.9", "us", "lower",
               "walfs io=pwrite <= 100; walfs io=mmap <= 100" if syncing else "", systems, rounds=3,
               plot="sync-latency" if syncing else "", label="core")


class MountTail:
    def __init__(self, context: Context, syncing: bool):
        self.context, self.syncing = context, syncing
        self.mounts: dict[str, Mount] = {}
        self.file = context.directory / "tail"

    def prepare(self, stack: ExitStack) -> None:
        for io in MOUNT_IO_METHODS:
            self.mounts[io] = Mount(self.context, stack, f"tail-{io}", f"io={io}").start()
        stack.callback(self.file.unlink, missing_ok=True)

    def write(self, path: Path, name: str) -> dict:
        os.sync()
        return measure(self.context.program("tail"), "write", path, name,
                       "sync" if self.syncing else "nosync", self.context.less(PACED))

    def walfs(self, io: str) -> dict:
        self.mounts[io].wait_until_idle()
        return self.write(self.mounts[io].current, io)

    def plain(self) -> dict:
        return self.write(self.file, "plain")


def mount_tail(context: Context, syncing: bool) -> Row:
    what = MountTail(context, syncing)
    beside = "beside a process of write + fdatasync" if syncing else "no sync"
    return Row(13, f"write(2) of 80 B each 20 us through the mount, {beside}, p99.9", "us", "lower",
               "walfs io=auto <= 100; walfs io=pwrite <= 100" if syncing else "",
               [*(System(f"walfs io={io}", partial(what.walfs, io)) for io in MOUNT_IO_METHODS),
                System("plain file", what.plain)],
               "plain file", rounds=3, prepare=what.prepare, plot="sync-latency" if syncing else "",
               label="mount")


def rows(context: Context) -> list[Row]:
    return [small_events(context), rotated_events(context), synced_events(context),
            *(sized_events(context, size) for size in SIZES),
            *(sustained(context, 4 << 10, durable) for durable in (False, True)),
            *(verify(context, size, cold) for cold in (False, True) for size in (EVENT, 4 << 10)),
            replay(context), rotation_latency(context), rotation_cpu(context),
            *(core_tail(context, syncing) for syncing in (True, False)),
            *(mount_tail(context, syncing) for syncing in (True, False))]
