# SPDX-License-Identifier: MIT
"""Rows that go through a mount: 3 to 7, 10 and 11."""

import os
import re
import select
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from bench import Context, Failure, Row, System, measure

MIB = 1 << 20
LINE = b"x" * 63 + b"\n"
# How far behind logs keep what they wrote: as much for each, so that each removes some.
KEPT_SEGMENTS = 5  # of 64 MiB
KEPT_FILES, FILE_BYTES = 20, 16777215  # multilog's largest
BUSY_POLL_US = 50


# --- mounts ------------------------------------------------------------------------------

def end_process(pid: int) -> None:
    """Waits until a process that was told to end has ended; makes it, if it does not."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        for number in (None, signal.SIGTERM, signal.SIGKILL):
            if number:
                signal.pidfd_send_signal(fd, number)
            waiting = select.poll()
            waiting.register(fd, select.POLLIN)
            if waiting.poll(20000):
                return
    finally:
        os.close(fd)


def is_mounted(point: Path) -> bool:
    """Also if whoever served it is dead, which os.path.ismount() takes for not."""
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8")
    return any(line.split(" ")[1] == str(point) for line in mounts.splitlines())


def unmount(point: Path) -> None:
    if is_mounted(point):
        done = subprocess.run(["fusermount3", "-u", str(point)], capture_output=True, check=False)
        if done.returncode:
            subprocess.run(["fusermount3", "-u", "-z", str(point)], check=False)


class Mount:
    """A log that is mounted until the stack ends."""

    def __init__(self, context: Context, stack: ExitStack, name: str, options: str = ""):
        self.context = context
        self.home = context.directory / name
        self.store, self.point = self.home / "store", self.home / "mnt"
        self.current = self.point / "current"
        self.options = options
        self.pid = 0
        stack.callback(shutil.rmtree, self.home, ignore_errors=True)
        self.point.mkdir(parents=True)
        stack.callback(self.end)

    def start(self) -> "Mount":
        command = [str(self.context.build / "walfs"), str(self.store), str(self.point)]
        command += ["-o", self.options] if self.options else []
        # The daemon keeps standard error until it works; to a pipe that would be waited for.
        with open(self.home / "said", "w+", encoding="utf-8") as said:
            if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                              check=False).returncode:
                said.seek(0)
                raise Failure(f"walfs -o {self.options}: {' '.join(said.read().split())}")
        return self

    def find_daemon(self) -> int:
        if not self.pid:
            status = (self.point / ".walfs/status").read_text(encoding="utf-8")
            self.pid = int(status.split('"pid":')[1].split(",")[0])
        return self.pid

    def end(self) -> None:
        if not is_mounted(self.point):
            return
        try:
            self.find_daemon()
        except OSError:
            pass  # it is dead, but its mount is there
        unmount(self.point)
        if self.pid:
            end_process(self.pid)
        self.pid = 0

    def metrics(self) -> dict[str, float]:
        text = (self.point / ".walfs/metrics").read_text(encoding="utf-8")
        lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        # without the label that each has: which store
        return {re.sub(r'\{store="[^"]*",?', "{", name).replace("{}", ""): float(value)
                for name, value in lines}

    def wait_until_idle(self) -> None:
        """Segments are ready, and none is being sealed."""
        for _ in range(1500):
            now = self.metrics()
            if now["walfs_ready_segments"] >= 2 and not now["walfs_sealing_segments"]:
                return
            time.sleep(0.02)
        raise Failure("the log has no segments ready after 30 s")


class Noop:
    """The no-op file system, mounted until the stack ends."""

    def __init__(self, context: Context, stack: ExitStack):
        self.point = context.directory / "noop"
        self.current = self.point / "current"
        self.point.mkdir()
        stack.callback(self.point.rmdir)
        # In a session of its own: a Ctrl-C is for the driver, which then unmounts.
        self.process = subprocess.Popen([context.program("noop_fs"), str(self.point)],
                                        stdin=subprocess.DEVNULL, start_new_session=True)
        stack.callback(self.end)
        while not is_mounted(self.point):
            if self.process.poll() is not None:
                raise Failure("noop_fs could not be mounted")
            time.sleep(0.01)

    def find_daemon(self) -> int:
        return self.process.pid

    def end(self) -> None:
        unmount(self.point)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def on_cores(pid: int, count: int):
    """The daemon's loop on one core; what is started meanwhile on the same, or on another."""
    before = os.sched_getaffinity(0)
    if len(before) < count:
        raise Failure(f"this needs {count} cores")
    os.sched_setaffinity(0, {sorted(before)[-count]})
    os.sched_setaffinity(pid, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
        os.sched_setaffinity(pid, before)


def timed(command: list[str], stdin: Path, stdout: Path | None = None) -> float:
    """Seconds that a command takes to read a file; appends its output to another."""
    output = os.open(stdout or os.devnull, os.O_WRONLY | os.O_APPEND)
    try:
        with open(stdin, "rb") as source:
            start = time.perf_counter()
            done = subprocess.run(command, stdin=source, stdout=output, stderr=subprocess.PIPE,
                                  check=False)
            seconds = time.perf_counter() - start
    finally:
        os.close(output)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise Failure(f"{command[0]}: exit {done.returncode}: {said}")
    return seconds


def need(program: str, package: str) -> str:
    if not shutil.which(program):
        raise Failure(f"{program} is missing: apt-get install {package}")
    return program


# --- 3 and 4: small writes ------------------------------------------------------------------

class SmallWrites:
    def __init__(self, context: Context, size: int, cores: int):
        """cores: on which writer and daemon are; 0: as the scheduler likes."""
        self.context, self.size, self.cores = context, size, cores
        self.mounts: dict[str, Mount | Noop] = {}

    def prepare(self, polling: bool, stack: ExitStack) -> None:
        self.mounts["walfs"] = Mount(self.context, stack, "walfs").start()
        if polling:
            self.mounts["polling"] = Mount(self.context, stack, "polling",
                                           f"busy_poll={BUSY_POLL_US}").start()
        self.mounts["noop"] = Noop(self.context, stack)

    def run(self, name: str) -> dict:
        mount = self.mounts[name]
        command = (self.context.program("mount_write"), "latency", mount.current, self.size,
                   self.context.less(50000))
        os.sync()
        if not self.cores:
            return measure(*command)
        with on_cores(mount.find_daemon(), self.cores):
            return measure(*command)


def small_writes(context: Context, size: int, one_core: bool) -> Row:
    writes = SmallWrites(context, size, int(one_core))
    where = "on one core" if one_core else "each where the scheduler puts it"
    return Row(3, f"one write(2) of {size} B; writer and daemon {where}", "ns", "lower",
               "walfs <= 1.15 x no-op FUSE",
               [System("walfs", partial(writes.run, "walfs")),
                System("no-op FUSE", partial(writes.run, "noop"))],
               "no-op FUSE", prepare=partial(writes.prepare, False),
               plot="small-writes" if one_core else "small-writes small-writes-latency",
               label=f"{size} B, one core" if one_core else f"{size} B")


def polled_writes(context: Context, size: int) -> Row:
    writes = SmallWrites(context, size, 2)  # on one, the daemon would take it from the writer
    polling = f"walfs busy_poll={BUSY_POLL_US}"
    return Row(4, f"one write(2) of {size} B; writer and daemon on two cores", "ns", "lower",
               f"{polling} <= 0.5 x no-op FUSE",
               [System(polling, partial(writes.run, "polling")),
                System("walfs", partial(writes.run, "walfs")),
                System("no-op FUSE", partial(writes.run, "noop"))],
               "no-op FUSE", prepare=partial(writes.prepare, True), plot="small-writes",
               label=f"{size} B, two cores")


# --- 5: lines ------------------------------------------------------------------------------

class Lines:
    def __init__(self, context: Context):
        self.context = context
        self.bytes = context.less(512 * MIB)
        self.home = context.directory / "lines"
        self.file, self.copy = self.home / "lines", self.home / "copy"
        self.log: Mount | None = None

    def prepare(self, stack: ExitStack) -> None:
        need("s6-log", "s6")
        need("multilog", "daemontools")
        stack.callback(shutil.rmtree, self.home, ignore_errors=True)
        self.home.mkdir()
        with open(self.file, "wb") as file:
            for _ in range(self.bytes // MIB):
                file.write(LINE * (MIB // len(LINE)))
        self.log = Mount(self.context, stack, "walfs", f"keep_segments={KEPT_SEGMENTS}").start()

    def result(self, seconds: float) -> dict:
        return {"value": self.bytes / len(LINE) / seconds / 1e6, "seconds": seconds}

    def walfs(self) -> dict:
        self.log.wait_until_idle()
        os.sync()
        return self.result(timed(["cat"], self.file, self.log.current))

    def tee(self) -> dict:
        self.copy.unlink(missing_ok=True)
        os.sync()
        return self.result(timed(["tee", "-a", str(self.copy)], self.file))

    def logger(self, name: str) -> dict:
        directory = self.home / name
        limits = [f"n{KEPT_FILES}", f"s{FILE_BYTES}"]
        os.sync()
        return self.result(timed([name, *limits, str(directory)] if name == "s6-log"
                                 else [name, *reversed(limits), str(directory)], self.file))


def lines(context: Context) -> Row:
    what = Lines(context)
    return Row(5, f"lines of {len(LINE)} B by cat file >> current", "million lines/s", "higher",
               "walfs >= 10; walfs >= 3 x s6-log",
               [System("walfs", what.walfs), System("tee -a", what.tee),
                System("s6-log", partial(what.logger, "s6-log")),
                System("multilog", partial(what.logger, "multilog"))],
               "s6-log", prepare=what.prepare, plot="lines")


# --- 6: large writes -------------------------------------------------------------------------

class LargeWrites:
    def __init__(self, context: Context, line_bytes: int, total: int):
        self.context, self.line_bytes, self.total = context, line_bytes, total
        self.file = context.directory / "large"
        self.log: Mount | None = None

    def prepare(self, stack: ExitStack) -> None:
        self.log = Mount(self.context, stack, "walfs", f"keep_segments={KEPT_SEGMENTS}").start()
        stack.callback(self.file.unlink, missing_ok=True)

    def measure(self, path: Path) -> dict:
        os.sync()
        return measure(self.context.program("mount_write"), "stream", path, MIB, self.line_bytes,
                       self.total)

    def walfs(self) -> dict:
        self.log.wait_until_idle()
        return self.measure(self.log.current)

    def plain(self) -> dict:
        self.file.unlink(missing_ok=True)
        return self.measure(self.file)


def large_writes(context: Context, line_bytes: int, total: int, how: str) -> Row:
    what = LargeWrites(context, line_bytes, total)
    lines_of = "a newline at the end" if line_bytes == MIB else f"lines of {line_bytes >> 10} KiB"
    label = f"{'a newline a MiB' if line_bytes == MIB else lines_of}, {total >> 20} MiB {how}"
    return Row(6, f"writes of 1 MiB, {lines_of}, {total >> 20} MiB {how}", "GB/s", "higher",
               "walfs >= 2.5" if how == "into ready segments" else "",
               [System("walfs", what.walfs), System("plain file", what.plain)], "plain file",
               prepare=what.prepare, plot="throughput", label=label)


# --- 7: durable events -----------------------------------------------------------------------

class Durable:
    def __init__(self, context: Context, writers: int, how: str):
        self.context, self.writers, self.how = context, writers, how
        self.file = context.directory / "durable"
        self.log: Mount | None = None

    def prepare(self, stack: ExitStack) -> None:
        self.log = Mount(self.context, stack, "walfs").start()
        stack.callback(self.file.unlink, missing_ok=True)

    def measure(self, path: Path) -> dict:
        os.sync()
        return measure(self.context.program("mount_write"), "durable", path, self.writers,
                       self.context.less(2000, 4), self.how)

    def walfs(self) -> dict:
        self.log.wait_until_idle()
        before = self.log.metrics()
        result = self.measure(self.log.current)
        after = self.log.metrics()
        for key, name in (("syncs", "walfs_syncs_total"), ("answers", "walfs_sync_requests_total")):
            result[key] = after[name] - before[name]
        return result

    def plain(self) -> dict:
        return self.measure(self.file)


def durable(context: Context, writers: int, how: str) -> Row:
    what = Durable(context, writers, how)
    name = {"dsync": "O_DSYNC", "fdatasync": "write + fdatasync"}[how]
    target = {1: "walfs >= 1 x plain file", 16: "walfs >= 2 x plain file"}.get(writers, "")
    return Row(7, f"durable events of 64 B, {name}, {writers} writer{'s' * (writers > 1)}",
               "events/s", "higher", target,
               [System("walfs", what.walfs), System("plain file", what.plain)], "plain file",
               prepare=what.prepare, plot=f"durable-{how}", x=writers)


# --- 10: reading what is sealed -----------------------------------------------------------------

class Reading:
    COUNT = 4
    CHUNK = 128 << 10  # as cat and cp do

    def __init__(self, context: Context, cold: bool):
        self.context, self.cold = context, cold
        self.files: dict[str, list[Path]] = {}

    def prepare(self, stack: ExitStack) -> None:
        log = Mount(self.context, stack, "walfs").start()
        with open(log.current, "ab", buffering=0) as current:
            chunk = LINE * (MIB // len(LINE))
            while not (log.point / f"{self.COUNT:010}.wal").exists():
                current.write(chunk)
        log.wait_until_idle()
        names = [f"{index:010}" for index in range(1, self.COUNT + 1)]
        noop = Noop(self.context, stack)
        self.files = {"noop": [noop.point / str(index) for index in range(1, self.COUNT + 1)],
                      "file": [log.store / f"{name}.wal" for name in names],
                      "segment": [log.point / f"{name}.wal" for name in names],
                      "events": [log.point / "events" / f"{name}.log" for name in names]}
        need("fincore", "util-linux")

    def drop(self, name: str) -> None:
        """Out of the page cache, at both ends: no right is needed for that."""
        for path in self.files[name] + self.files["file"]:
            fd = os.open(path, os.O_RDONLY)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)
        left = subprocess.run(["fincore", "--bytes", "--noheadings", "--output", "RES",
                               *map(str, self.files["file"])],
                              capture_output=True, text=True, check=True).stdout.split()
        if sum(map(int, left)) > MIB:
            raise Failure(f"{sum(map(int, left))} bytes stay in the page cache")

    def read(self, name: str) -> int:
        buffer = bytearray(self.CHUNK)
        total = 0
        for path in self.files[name]:
            with open(path, "rb", buffering=0) as file:
                while got := file.readinto(buffer):
                    total += got
        return total

    def run(self, name: str) -> dict:
        if self.cold:
            self.drop(name)
        else:
            self.read(name)
        start = time.perf_counter()
        total = sum(self.read(name) for _ in range(1 if self.cold else 8))
        return {"value": total / (time.perf_counter() - start) / 1e9, "bytes": total,
                "cache": "dropped by posix_fadvise" if self.cold else "warm"}


def reading(context: Context, cold: bool) -> Row:
    what = Reading(context, cold)
    ratio = 0.9 if cold else 0.95
    return Row(10, f"reading {what.COUNT} sealed segments, "
               + ("not in the page cache" if cold else "in the page cache"), "GB/s", "higher",
               f"NNNN.wal >= {ratio} x file in the store; events/NNNN.log >= {ratio} x "
               "file in the store",
               [System("NNNN.wal", partial(what.run, "segment")),
                System("events/NNNN.log", partial(what.run, "events")),
                System("no-op FUSE", partial(what.run, "noop")),
                System("file in the store", partial(what.run, "file"))],
               "file in the store", prepare=what.prepare, plot="reading",
               label="cold" if cold else "warm")


# --- 11: very many segments -----------------------------------------------------------------------

class Many:
    def __init__(self, context: Context, count: int):
        self.context, self.count = context, context.less(count)
        self.log: Mount | None = None

    def prepare(self, stack: ExitStack) -> None:
        self.log = Mount(self.context, stack, "walfs")
        measure(self.context.program("many_segments"), self.log.store, self.count)

    def run(self) -> dict:
        self.log.end()
        os.sync()
        start = time.perf_counter()
        self.log.start()
        mounted = time.perf_counter()
        listed = subprocess.run(["ls", str(self.log.point)], stdout=subprocess.PIPE, check=True)
        end = time.perf_counter()
        if listed.stdout.count(b".wal\n") < self.count:
            raise Failure("ls does not show all segments")
        status = Path(f"/proc/{self.log.find_daemon()}/status").read_text(encoding="utf-8")
        memory = int(status.split("VmHWM:")[1].split()[0]) / 1024
        return {"value": end - start, "mount": mounted - start, "ls": end - mounted,
                "MiB": memory}


def many(context: Context, count: int, seconds: float) -> Row:
    what = Many(context, count)
    return Row(11, f"mounting and ls, {what.count:,} segments", "s", "lower",
               f"walfs <= {seconds}; MiB of walfs <= 64", [System("walfs", what.run)],
               prepare=what.prepare, rounds=3)


def rows(context: Context) -> list[Row]:
    burst = context.less(128 * MIB, 2)
    return [
        *(small_writes(context, size, core) for size in (64, 4096) for core in (False, True)),
        *(polled_writes(context, size) for size in (64, 4096)),
        lines(context),
        large_writes(context, 4096, burst, "into ready segments"),
        large_writes(context, MIB, burst, "into ready segments"),
        large_writes(context, 4096, context.less(1024 * MIB, 4), "on end"),
        *(durable(context, writers, how) for how in ("dsync", "fdatasync")
          for writers in (1, 4, 16, 64)),
        *(reading(context, cold) for cold in (True, False)),
        many(context, 10000, 0.2),
        many(context, 100000, 2),
    ]
