"""What many idle agents cost, each with a person attached: memory, the supervisor's processor time, and how long calls take."""

import dataclasses
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

import peers
import screen

PREFIX = "bench-agent-"
# It draws what is waited for, and then does nothing.
IDLE = ["sh", "-c", 'printf "RE%s" ADY; exec sleep infinity']
# Seconds: until all is at rest, and for how long processor time is read.
REST, MINUTE = 5, 60
# `ls` is called so often.
CALLS = 20
ROLES = ["shim", "init", "tmux server", "tmux client", "command"]
# Who does not take its end: seconds.
PATIENCE = 30


@dataclasses.dataclass
class Seen:
    """What was measured. Times in ms, memory in KiB, processor time in ms for each second."""

    start: list = dataclasses.field(default_factory=list)
    attach: list = dataclasses.field(default_factory=list)
    ls: list = dataclasses.field(default_factory=list)
    pss: dict = dataclasses.field(default_factory=dict)
    private: dict = dataclasses.field(default_factory=dict)
    busy: dict = dataclasses.field(default_factory=dict)


class Fleet:
    """A supervisor of its own, its agents and those who are attached to them."""

    def __init__(self, folder, binary, count):
        self.binary, self.folder = binary, folder
        self.names = [f"{PREFIX}{number:03}" for number in range(count)]
        self.config = os.path.join(folder, "config.toml")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(f"schema = 1\n[paths]\nrun = '{folder}/run'\nstate = '{folder}/state'\nlog = '{folder}/log'\n"
                       f"[supervisor]\nmax_agents = {count}\n")
        self.people, self.supervisor = [], None

    def argv(self, verb, *words):
        return [self.binary, verb, "--config", self.config, *words]

    def call(self, verb, *words):
        """Milliseconds that a verb took as a whole process, and what it printed."""
        begin = time.perf_counter_ns()
        done = subprocess.run(self.argv(verb, *words), stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
        took = (time.perf_counter_ns() - begin) / 1e6
        if done.returncode:
            raise peers.Unable(f"cellblock {verb} ended with status {done.returncode}\n  | {done.stderr.strip()[-800:]}")
        return took, done.stdout

    def supervise(self):
        """Starts the supervisor, and waits until it answers."""
        log = open(os.path.join(self.folder, "supervisor.log"), "wb")
        self.supervisor = subprocess.Popen(self.argv("supervise"), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self.call("ls")
            except peers.Unable:
                if time.monotonic() > deadline or self.supervisor.poll() is not None:
                    raise
                time.sleep(0.02)

    def attach(self, name):
        """Milliseconds until what the agent has drawn is on a new terminal, which stays attached."""
        begin = time.perf_counter_ns()
        child, terminal = pty.fork()
        if child == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
                os.execve(self.binary, self.argv("attach", name), screen.environment())
            finally:
                os._exit(127)
        self.people.append((child, terminal))
        if (said := screen.read_until(terminal, screen.MARK)) is not None:
            raise peers.Unable(f"cannot time the attaching to {name}: its screen was never drawn\n  | {said[-800:]!r}")
        return (time.perf_counter_ns() - begin) / 1e6

    def listed(self):
        return json.loads(self.call("ls", "--json")[1])

    def close(self):
        """Ends all of it: the people, the agents, the supervisor."""
        for child, terminal in self.people:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(terminal)
        if self.supervisor is None or self.supervisor.poll() is not None:
            return
        try:
            running = [agent["name"] for agent in self.listed() if agent["state"] != "ended"]
            if running:
                self.call("stop", "--now", *running)
        finally:
            self.supervisor.terminate()
            self.supervisor.wait(PATIENCE)


def drain(people):
    """What comes to the terminals is read, so that nobody waits for that."""
    for terminal in select.select([terminal for _, terminal in people], [], [], 0)[0]:
        try:
            os.read(terminal, 65536)
        except OSError:  # EIO: whoever was attached has ended
            continue


def rest(people, seconds):
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(min(left, 0.5))
        drain(people)


def status(pid):
    """The lines of /proc/PID/status; empty where it has ended."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    except (FileNotFoundError, ProcessLookupError):
        return {}


def processes(uids):
    """The pids of each role, of the agents with these uids."""
    found = {role: [] for role in ROLES}
    for name in os.listdir("/proc"):
        known = status(name) if name.isdigit() else {}
        if "VmSize" not in known or int(known["Uid"].split()[0]) not in uids:
            continue
        program, pid = known["Name"], int(name)
        if known["NSpid"].split()[1:] == ["1"]:
            found["init"].append(pid)
            found["shim"].append(int(known["PPid"]))
        else:
            found[program if program in ROLES else "tmux " + program[6:] if program.startswith("tmux: ") else "command"].append(pid)
    return found


def memory(pids):
    """KiB for each: the proportional share of all pages, and what is its own alone (proc_pid_smaps_rollup)."""
    total = {"Pss": 0, "Private": 0}
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            for line in file:
                for kind in total:
                    if line.startswith((kind + ":", kind + "_")) and not line.startswith("Pss_"):
                        total[kind] += int(line.split()[1])
    return total["Pss"] / len(pids), total["Private"] / len(pids)


def busy(pids):
    """Milliseconds of processor time that they have used, by schedstat: ticks are too coarse for who does nearly nothing."""
    used = 0
    for pid in pids:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
            used += int(file.read().split()[0])
    return used / 1e6


def measure(fleet, progress):
    seen = Seen()
    fleet.supervise()
    for name in fleet.names:
        progress(f"starting {name}")
        seen.start.append(fleet.call("start", "--name", name, "demo", "--", *IDLE)[0])
    for name in fleet.names:
        progress(f"attaching to {name}")
        seen.attach.append(fleet.attach(name))
        drain(fleet.people)
    progress(f"resting for {REST} s")
    rest(fleet.people, REST)
    uids = {agent["uid"] for agent in fleet.listed()}
    found = {**processes(uids), "attached person": [child for child, _ in fleet.people], "supervisor": [fleet.supervisor.pid]}
    for role, pids in found.items():
        if role in ROLES and len(pids) != len(fleet.names):
            raise peers.Unable(f"cannot measure: {len(fleet.names)} agents have {len(pids)} processes as {role}")
        seen.pss[role], seen.private[role] = memory(pids)
    progress(f"reading processor time for {MINUTE} s")
    begin, used = time.monotonic(), {role: busy(pids) for role, pids in found.items()}
    rest(fleet.people, MINUTE)
    took = time.monotonic() - begin
    seen.busy = {role: (busy(pids) - used[role]) / took for role, pids in found.items()}
    for _ in range(CALLS):
        seen.ls.append(fleet.call("ls")[0])
    progress("")
    return seen
