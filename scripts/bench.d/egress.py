"""What stands between a client in a network of its own and a server on this machine's loopback: cellblock's gate, and the peers.

Each way is set up once, with one client at its end that stays; a measurement is a word said to that client. Everything is on
loopback or in namespaces made here.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.realpath(__file__))
FLOW = os.path.join(HERE, "flow.py")
DIRECT = "direct"
PATIENCE = 20


class Broken(Exception):
    """A way that cannot be measured here; the text says why."""


class Way:
    """A client, and the processes between it and the server."""

    def __init__(self, name):
        self.name = name
        self.started = []
        # Those that stand between with all that descends from them, and those whose children do not.
        self.helpers = []
        self.alone = []
        self.client = None

    def start(self, argv, **options):
        process = subprocess.Popen(argv, **{"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options})
        self.started.append(process)
        return process

    def helper(self, argv, **options):
        process = self.start(argv, **options)
        self.helpers.append(process.pid)
        return process

    def attach(self, argv, log):
        """Starts the client; its standard input and output are the way to speak to it."""
        with open(log, "wb") as errors:
            self.client = self.start(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        self.log = log

    def ask(self, words):
        self.client.stdin.write(words.encode() + b"\n")
        self.client.stdin.flush()
        line = self.client.stdout.readline()
        if not line:
            self.client.wait(PATIENCE)
            self.ended()
        said = json.loads(line)
        if "error" in said:
            raise Broken(f"{words}: {said['error']}")
        return said["value"]

    def ended(self):
        """Raises where the client has ended."""
        if self.client.poll() is not None:
            with open(self.log, encoding="utf-8", errors="replace") as log:
                raise Broken(f"its client ended: {log.read().strip()[-400:]}")

    def memory(self):
        """Bytes that the processes between have for themselves: their proportional set size (proc(5), smaps_rollup)."""
        return sum(proportional(pid) for pid in self.alone + [pid for root in self.helpers for pid in family(root)])

    def close(self):
        """Ends what was started here, by its pid; the children of those end with them or are ended too."""
        left = [pid for process in self.started for pid in family(process.pid) if pid != process.pid]
        for process in reversed(self.started):
            if process.stdin:
                process.stdin.close()
            process.terminate()
        for process in self.started:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pid in left:
            try:
                os.kill(pid, 15)
            except ProcessLookupError:
                pass


def family(root):
    """`root` and all that descend from it."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as stat:
                    parents.setdefault(int(stat.read().rsplit(")", 1)[1].split()[1]), []).append(int(entry))
            except OSError:
                continue
    found = [root]
    for pid in found:
        found += parents.get(pid, [])
    return found


def proportional(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as rollup:
            return int(re.search(r"^Pss:\s+(\d+) kB", rollup.read(), re.MULTILINE)[1]) << 10
    except (OSError, TypeError):
        return 0


def eventually(what, look):
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise Broken(f"{what} did not come within {PATIENCE} seconds")


def network():
    """A network namespace with nothing but its loopback, held by a process: that process."""
    holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep 100000"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    holder.stdout.readline()
    return holder


def client_in(holder, host, port):
    return ["nsenter", f"--net=/proc/{holder.pid}/ns/net", sys.executable, FLOW, "ask", host, str(port)]


# ---- the ways ----


def direct(way, bench, port):
    way.attach([sys.executable, FLOW, "ask", "127.0.0.1", str(port)], bench.file(way.name))


def cellblock(way, bench, port):
    """A jail whose rules name the port of this machine."""
    profile = bench.file(f"{way.name}.toml")
    flow = bench.file("flow.py")
    shutil.copy(FLOW, flow)
    os.chmod(flow, 0o644)
    with open(profile, "w", encoding="utf-8") as file:
        file.write(f"schema = 1\nextends = ['demo']\n[network]\nmode = 'allowlist'\nallow = ['host:{port}']\nconnections = 2000\nrate = 10000\n"
                   f"[filesystem]\nread = [{{ path = '{flow}', at = '/opt/flow.py' }}]\n")
    name = f"bench-{way.name}"
    way.attach([bench.binary, "exec", "--name", name, profile, "--", "/usr/bin/python3", "/opt/flow.py", "ask", "host", str(port)],
               bench.file(way.name))
    way.alone += eventually("the gate", lambda: way.ended() or [pid for pid in family(way.client.pid) if is_gate(pid)])


def is_gate(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as words:
            return words.read().startswith(b"cellblock-gate")
    except OSError:
        return False


def socat(way, bench, port):
    """A socat on either side of a socket of the file system, without the proxy that sandbox-runtime has behind it."""
    holder = network()
    way.started.append(holder)
    path = bench.file("bridge.sock")
    way.helper(["socat", f"UNIX-LISTEN:{path},fork,backlog=4096", f"TCP:127.0.0.1:{port}"])
    eventually("the socket", lambda: os.path.exists(path))
    way.helper(["nsenter", f"--net=/proc/{holder.pid}/ns/net", "socat", "TCP-LISTEN:3128,fork,reuseaddr,backlog=4096", f"UNIX-CONNECT:{path}"])
    time.sleep(0.5)
    way.attach(client_in(holder, "127.0.0.1", 3128), bench.file(way.name))


def slirp4netns(way, bench, port):
    """The host's loopback is 10.0.2.2 there."""
    holder = network()
    way.started.append(holder)
    ready, tell = os.pipe()
    way.helper(["slirp4netns", "--configure", "--mtu=65520", f"--ready-fd={tell}", str(holder.pid), "tap0"], pass_fds=[tell])
    os.close(tell)
    if not os.read(ready, 1):
        raise Broken("it did not begin")
    os.close(ready)
    way.attach(client_in(holder, "10.0.2.2", port), bench.file(way.name))


def pasta(way, bench, port, address, *options):
    """It makes the namespace itself, and starts the client there."""
    client = [sys.executable, FLOW, "ask", address, str(port)]
    words = ["pasta", "--foreground", "--quiet", "--config-net", "--runas", "0", "-t", "none", "-u", "none", "-U", "none", *options]
    way.attach([*words, "--", *client], bench.file(way.name))
    way.alone.append(way.client.pid)


def pasta_spliced(way, bench, port):
    """Its fastest way: a port of the namespace's loopback, spliced to the same of the host's."""
    pasta(way, bench, port, "127.0.0.1", "-T", str(port))


def pasta_tap(way, bench, port):
    """Its ordinary way, packet by packet: the host's loopback is the gateway's address there."""
    routes = subprocess.run(["ip", "-j", "-4", "route", "show", "default"], stdout=subprocess.PIPE, check=True).stdout
    routes = json.loads(routes or b"[]")
    if not routes:
        raise Broken("this machine has no default route to take a gateway's address from")
    pasta(way, bench, port, routes[0]["gateway"], "-T", "none")


WAYS = {
    DIRECT: (None, direct),
    "cellblock": ("cellblock", cellblock),
    "socat": ("socat", socat),
    "slirp4netns": ("slirp4netns", slirp4netns),
    "pasta": ("pasta", pasta_tap),
    "pasta-spliced": ("pasta", pasta_spliced),
}


class Bench:
    """The server, and the folder that all share."""

    def __init__(self, folder, binary):
        self.folder = folder
        self.binary = binary
        # A jail's user must find what its profile names.
        os.chmod(folder, 0o755)
        self.server = subprocess.Popen([sys.executable, FLOW, "serve"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.port = int(self.server.stdout.readline())

    def file(self, name):
        return os.path.join(self.folder, name)

    def absent(self, name):
        """Why the way `name` cannot be measured here, if so."""
        needs = WAYS[name][0]
        if needs == "cellblock":
            return "" if self.binary else "not built (cargo build --release, or --binary PATH)"
        return "" if needs is None or shutil.which(needs) else "not installed"

    def open(self, name, kind=None):
        """The way `name`, ready to be asked; where several are wanted, `kind` says which."""
        way = Way(name)
        try:
            WAYS[kind or name][1](way, self, self.port)
            way.ask("round")
        except (Broken, OSError, subprocess.SubprocessError) as error:
            way.close()
            raise Broken(f"{name}: {error}") from error
        return way

    def share(self, ways, processors):
        """Has all that take part run on `processors`."""
        for root in [self.server.pid] + [process.pid for way in ways for process in way.started]:
            for pid in family(root):
                try:
                    os.sched_setaffinity(pid, processors)
                except ProcessLookupError:
                    continue

    def close(self):
        self.server.kill()
        self.server.wait()
