"""How soon the watch finds and ends what was left behind, and what it costs; no jail is made for it.

The watch is told of agents that are cgroups of this program: a process that orphans fall to stands for a jail's init.
"""

import ctypes
import dataclasses
import json
import os
import select
import signal
import socket
import statistics
import struct
import subprocess
import time

import peers

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_CHILD_SUBREAPER = 36
PR_SET_PDEATHSIG = 1
CLONE_NEWNET = 0x40000000
# Somebody without an account on any host.
UID = 60_998
PATIENCE = 20.0
MANY = 1_000_000_000


def span(seconds):
    return {"secs": int(seconds), "nanos": int(seconds % 1 * 1e9)}


def rules(detached, signs):
    """Everything off but for what is left behind."""
    off = "off"
    return {
        "detached": {"grace": span(0), "signs": list(signs), "except": [], "action": detached},
        "spawns": {"per_second": 200, "over": span(10), "action": off},
        "count": {"processes": 100, "action": off},
        "limits": off,
        "background": {"percent": 50, "over": span(300), "action": off},
        "orphans": off,
    }


def call(number, *words):
    if LIBC.prctl(number, *words) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


class Cgroup:
    """A cgroup of this program's own."""

    def __init__(self, name):
        mount = next(line.split(" ")[1] for line in open("/proc/self/mounts", encoding="utf-8") if " cgroup2 " in line)
        self.below = f"/bench-watch-{os.getpid()}/{name}"
        self.path = mount + self.below
        os.makedirs(self.path)

    def add(self, pid):
        with open(os.path.join(self.path, "cgroup.procs"), "w", encoding="ascii") as file:
            file.write(str(pid))

    def end(self):
        with open(os.path.join(self.path, "cgroup.kill"), "w", encoding="ascii") as file:
            file.write("1")
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                os.rmdir(self.path)
                break
            except OSError:
                time.sleep(0.01)
        try:
            os.rmdir(os.path.dirname(self.path))
        except OSError:
            pass


class Init:
    """A process that stands for a jail's init, in a cgroup of its own, and leaves something behind when it is told to."""

    def __init__(self, name, leave, idle=0):
        self.cgroup = Cgroup(name)
        self.orders, orders = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self.orders.close()
                os.setsid()
                for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                    signal.signal(number, signal.SIG_DFL)
                call(PR_SET_CHILD_SUBREAPER, 1)
                call(PR_SET_PDEATHSIG, signal.SIGKILL)
                self.cgroup.add(os.getpid())
                for _ in range(idle):
                    if os.fork() == 0:
                        signal.pause()
                        os._exit(0)
                orders.send(b"ready")
                # A program of its own: an interpreter takes milliseconds to fork and to end.
                os.dup2(orders.fileno(), 0)
                os.execv(leave, [leave])
            finally:
                os._exit(1)
        orders.close()
        if self.orders.recv(16) != b"ready":
            raise RuntimeError("an agent did not start")

    def leave_behind(self):
        self.orders.send(b"leave")

    def ended(self):
        """When something was started, and when that ended, in seconds."""
        return struct.unpack("dd", self.orders.recv(16))

    def end(self):
        self.cgroup.end()
        os.waitpid(self.pid, 0)
        self.orders.close()


class Watch:
    """The watch, by the socket of its owner."""

    def __init__(self, binary, events_per_second=MANY, blind=False):
        self.link, inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

        def before():
            # In another network namespace the kernel tells of nothing.
            if blind and LIBC.unshare(CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "unshare")

        words = ["cellblock-watch", str(UID), str(events_per_second), "off"]
        self.process = subprocess.Popen(words, executable=binary, stdin=inner, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, preexec_fn=before)
        inner.close()
        self.last = 0
        sees = self.hear()["Sees"]
        if ("Ok" in sees) == blind:
            raise peers.Unable(f"cannot measure the watch: {sees}")

    def add(self, init, action, signs=("line",)):
        self.last += 1
        agent = {"number": self.last, "init": init.pid, "uid": 0, "cgroup": init.cgroup.path,
                 "cgroup_path": cgroup_of(init.pid), "rules": rules(action, signs), "is_frozen": False}
        with open(os.path.join(init.cgroup.path, "cgroup.freeze"), "wb") as freezer:
            socket.send_fds(self.link, [json.dumps({"Add": agent}).encode()], [freezer.fileno()])
        self.say({"Server": [self.last, os.getpid()]})
        return self.last

    def say(self, order):
        self.link.send(json.dumps(order).encode())

    def hear(self, patience=PATIENCE):
        if not select.select([self.link], [], [], patience)[0]:
            raise TimeoutError("the watch says nothing")
        report = json.loads(self.link.recv(1 << 17))
        if "not understood" in str(report):
            raise peers.Unable(f"cannot measure the watch: {report}")
        return report

    def forget(self, number):
        self.say({"Forget": number})
        while self.hear() != {"Forgotten": number}:
            pass

    def used(self):
        """Processor time by now, in seconds."""
        with open(f"/proc/{self.process.pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[0]) / 1e9

    def end(self):
        self.link.close()
        self.process.wait()


def cgroup_of(pid):
    with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
        return next(line[3:].rstrip("\n") for line in file if line.startswith("0::"))


@dataclasses.dataclass
class Storm:
    """New processes at a rate, in a cgroup or outside of every one."""

    program: str
    rate: int
    seconds: float
    runs: tuple = ()
    cgroup: Cgroup = None

    def __enter__(self):
        words = [self.program, str(self.rate), str(self.seconds), *self.runs]
        before = (lambda: self.cgroup.add(os.getpid())) if self.cgroup else None
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, preexec_fn=before)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


def latency(binary, leave, rounds, storm=None, blind=False):
    """Milliseconds from the start of what is left behind to the finding and to its end, each time; how many were missed."""
    watch, init = Watch(binary, blind=blind), Init("latency", leave)
    other = Init("load", leave) if storm else None
    found, ended, missed = [], [], 0
    try:
        if other:
            watch.add(other, "off")
        for _ in range(rounds):
            number = watch.add(init, "signal")
            # Its first scan is over by then.
            time.sleep(0.01)
            init.leave_behind()
            try:
                while "Found" not in (report := watch.hear()) or report["Found"][0] != number:
                    pass
            except TimeoutError:
                missed += 1
                os.kill(init.pid, signal.SIGKILL)
                break
            at = time.monotonic()
            begun, end = init.ended()
            found.append((at - begun) * 1e3)
            ended.append((end - begun) * 1e3)
            watch.forget(number)
    finally:
        init.end()
        if other:
            other.end()
        watch.end()
    return found, ended, missed


def cost(binary, leave, seconds, agents=0, storm=None, events_per_second=MANY):
    """The share of a processor that the watch takes, in percent."""
    watch = Watch(binary, events_per_second)
    inits = [Init(f"idle-{index}", leave, 7) for index in range(agents)]
    try:
        for init in inits:
            watch.add(init, "alert", signs=["hangup"])
        # What it does first is not what it does all day.
        time.sleep(12 if agents else 2)
        if storm is None:
            before = watch.used()
            time.sleep(seconds)
            return 100 * (watch.used() - before) / seconds
        with storm:
            before, begun = watch.used(), time.monotonic()
            time.sleep(seconds)
            return 100 * (watch.used() - before) / (time.monotonic() - begun)
    finally:
        for init in inits:
            init.end()
        watch.end()


def percentile(times, share):
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


def told(name, times):
    return (f"  {name:<44} {statistics.median(times):>9.2f} {percentile(times, 0.99):>9.2f} {max(times):>9.2f}"
            f" {len(times):>7}")


def compiled(folder, name):
    source = os.path.join(os.path.dirname(os.path.realpath(__file__)), name + ".c")
    program = os.path.join(folder, name)
    subprocess.run(["cc", "-O2", "-o", program, source], check=True)
    return program


def main(binary, folder, rounds):
    """Measures and prints everything."""
    program, leave = (compiled(folder, name) for name in ("storm", "leave"))
    result = {}
    print(f"  {'milliseconds from the start of what is left':<44} {'median':>9} {'p99':>9} {'most':>9} {'times':>7}")
    missed = 0
    for name, load, blind, times in [
        ("events, idle", False, False, rounds),
        ("events, 2000 forks a second beside", True, False, rounds),
        ("a scan every second, idle", False, True, max(10, rounds // 20)),
        ("a scan every second, 2000 forks a second beside", True, True, max(10, rounds // 20)),
    ]:
        if load:
            cgroup = Cgroup("storm")
            with Storm(program, 2000, 3600, cgroup=cgroup):
                found, ended, lost = latency(binary, leave, times, True, blind)
            cgroup.end()
        else:
            found, ended, lost = latency(binary, leave, times, None, blind)
        missed += lost
        print(told(f"found: {name}", found))
        print(told(f"ended: {name}", ended))
        result[name] = {"found": found, "ended": ended}
    print(f"  missed: {missed}")
    seconds = 10
    loads = [
        ("nothing to watch", lambda: cost(binary, leave, seconds)),
        ("200 idle agents with 8 processes each", lambda: cost(binary, leave, 3 * seconds, 200)),
        ("5000 forks a second", lambda: cost(binary, leave, seconds, storm=Storm(program, 5000, 60))),
        ("a build outside: programs as fast as one processor can",
         lambda: cost(binary, leave, seconds, storm=Storm(program, 0, 60, ("/bin/true",)))),
        ("forks as fast as one processor can, all read", lambda: cost(binary, leave, seconds, storm=Storm(program, 0, 60))),
        ("the same, bounded to 20000 events a second",
         lambda: cost(binary, leave, 3 * seconds, storm=Storm(program, 0, 60), events_per_second=20_000)),
    ]
    print(f"\n  {'what the watch takes of a processor':<56} percent")
    for name, measure in loads:
        share = measure()
        print(f"  {name:<56} {share:>7.2f}")
        result[name] = share
    return result, missed
