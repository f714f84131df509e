"""How each measured command is started: the same target behind cellblock, the floor and its peers.

Every peer gets what it can do of the same jail: the binds below, own namespaces, no capabilities, no_new_privs, and
a seccomp filter where it takes one. None of them has Landlock, and only cellblock and the floor enter a cgroup.
"""

import ctypes
import dataclasses
import json
import os
import shutil
import subprocess
import tempfile
import time

BINDS = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf",
         "/etc/hosts", "/etc/localtime", "/etc/alternatives", "/etc/ssl", "/etc/terminfo"]
UID = "70001"
CLONE_NEWNS = 0x20000
MS_REC_PRIVATE = 0x4000 | 1 << 18
libc = ctypes.CDLL(None, use_errno=True)


class Unable(Exception):
    """The benchmark cannot go on; the text says why and what to do."""


@dataclasses.dataclass
class Command:
    """One measured command: argv, or the reason why it cannot be measured here."""

    name: str
    argv: list = dataclasses.field(default_factory=list)
    files: dict = dataclasses.field(default_factory=dict)  # descriptor -> file opened there, read-only, for every start
    mount_namespace: int = -1  # descriptor of the mount namespace it is started in; -1 is our own
    absent: str = ""


class Bench:
    """What the commands share: a temporary folder, the built floor, a cgroup of our own."""

    def __init__(self, target):
        self.target = target
        self.folder = tempfile.mkdtemp(prefix="cellblock-bench-")
        self.binds = [path for path in BINDS if os.path.lexists(path)]
        self.floor = os.path.join(self.folder, "floor")
        self.filter = os.path.join(self.folder, "filter.bpf")
        self.cgroup = None

    def prepare(self, here):
        """Builds the floor and makes the cgroup; whatever happens here or later, close() removes it."""
        build_floor(os.path.join(here, "bench.d", "floor.c"), self.floor)
        self.cgroup = make_cgroup()
        with open(self.filter, "wb") as out:
            subprocess.run([self.floor, "--print-filter"], stdout=out, check=True)

    def close(self):
        """Removes what this benchmark made, and nothing else."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.cgroup:
            remove_cgroup(self.cgroup)

    def floor_argv(self, *options):
        """The floor around the target."""
        binds = [word for path in self.binds for word in ("--bind", path)]
        cgroup = ["--cgroup", self.cgroup] if self.cgroup else []
        return [self.floor, *options, *cgroup, *binds, "--", *self.target]


def build_floor(source, floor):
    """Compiles the floor, static: with musl where it is installed, for glibc's start alone costs half a millisecond."""
    compiler = shutil.which("musl-gcc") or shutil.which("gcc") or shutil.which("cc")
    if not compiler:
        raise Unable("cannot build the floor: no C compiler\nhint: apt-get install musl-tools gcc")
    built = subprocess.run([compiler, "-static", "-O2", "-o", floor, source], capture_output=True, text=True)
    if built.returncode:
        raise Unable(f"cannot build the floor with {compiler}:\n{built.stderr.strip()}")
    os.chmod(floor, 0o755)  # the jailed init is this binary, run by another user


def make_cgroup():
    """A folder of our own below the cgroup2 mount; None where there is no such mount."""
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        points = [line.split()[1] for line in mounts if line.split()[2] == "cgroup2"]
    if not points:
        return None
    cgroup = os.path.join(points[0], f"cellblock-bench-{os.getpid()}")
    os.mkdir(cgroup)
    return cgroup


def remove_cgroup(cgroup):
    """Removes it with what an interrupted floor left in it; members that were just killed need a moment to go."""
    with open(os.path.join(cgroup, "cgroup.kill"), "w", encoding="utf-8") as kill:
        kill.write("1")
    for _ in range(100):
        try:
            for left in [entry.path for entry in os.scandir(cgroup) if entry.is_dir()]:
                os.rmdir(left)
            os.rmdir(cgroup)
            return
        except OSError:
            time.sleep(0.02)
    raise Unable(f"cannot remove {cgroup}: it still has members\nhint: rmdir it when they have ended")


def commands(bench, binary):
    """All commands in the order of the table; the floor is the one the ratios refer to."""
    return [
        Command("cellblock", [binary, "exec", "demo", "--", *bench.target]) if binary
        else Command("cellblock", absent="not built (cargo build --release, or --binary PATH)"),
        Command("floor", bench.floor_argv()),
        Command("floor-no-init", bench.floor_argv("--no-init")),
        Command("no-jail", list(bench.target)),
        installed("bwrap", "bwrap", lambda: bwrap(bench)),
        installed("bwrap", "bwrap-root", lambda: Command(
            "", ["bwrap", "--unshare-all", "--ro-bind", "/", "/", *bench.target])),
        installed("minijail0", "minijail0", lambda: Command(
            "", ["minijail0", "-v", "-p", "-e", "-l", "-N", "--uts", "-n", "-c", "0", "-t", "--", *bench.target])),
        installed("crun", "crun", lambda: crun(bench)),
        installed("firejail", "firejail", lambda: Command(
            "", ["firejail", "--quiet", "--noprofile", "--private", "--private-dev", "--private-tmp", "--net=none",
                 "--caps.drop=all", "--nonewprivs", "--seccomp", "--", *bench.target])),
        installed("systemd-nspawn", "systemd-nspawn", lambda: nspawn(bench)),
    ]


def installed(program, name, make):
    """The command, or a line in the list of what is not installed."""
    path = shutil.which(program)
    if not path:
        return Command(name, absent="not installed")
    command = make()
    command.name = name
    command.argv[:1] = [path] if command.argv else []
    return command


def bwrap(bench):
    """bubblewrap with the floor's binds and the floor's own seccomp program."""
    argv = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--hostname", "cellblock", "--uid", UID, "--gid", UID,
            "--cap-drop", "ALL", "--clearenv", "--setenv", "PATH", "/usr/bin:/bin", "--setenv", "HOME", "/home/agent"]
    for path in bench.binds:
        argv += ["--symlink", os.readlink(path), path] if os.path.islink(path) else ["--ro-bind", path, path]
    argv += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/home/agent", "--chdir", "/home/agent"]
    return Command("", [*argv, "--seccomp", "9", *bench.target], files={9: bench.filter})


def make_rootfs(bench, name):
    """A folder with the places a runtime mounts on, and the links of a merged /usr."""
    root = os.path.join(bench.folder, name)
    for place in ("usr", "etc", "proc", "dev", "sys", "tmp", "run", "home/agent"):
        os.makedirs(os.path.join(root, place))
    for path in bench.binds:
        inside = root + path
        if os.path.islink(path):
            os.symlink(os.readlink(path), inside)
        elif os.path.isdir(path):
            os.makedirs(inside, exist_ok=True)
        else:
            open(inside, "w", encoding="utf-8").close()
    return root


def crun(bench):
    """An OCI bundle with the same binds. crun makes no cgroup: its own manager is switched off."""
    make_rootfs(bench, "bundle/rootfs")
    bundle = os.path.join(bench.folder, "bundle")
    subprocess.run(["crun", "spec"], cwd=bundle, check=True)
    path = os.path.join(bundle, "config.json")
    with open(path, encoding="utf-8") as file:
        spec = json.load(file)
    spec["process"].update(terminal=False, args=bench.target, capabilities={}, user={"uid": int(UID), "gid": int(UID)})
    spec["root"] = {"path": "rootfs", "readonly": True}
    spec["mounts"] = [m for m in spec["mounts"] if m["destination"] not in ("/sys", "/sys/fs/cgroup")]
    spec["mounts"] += [{"destination": to, "source": to, "type": "bind", "options": ["bind", "ro", "nosuid", "nodev"]}
                       for to in bench.binds if not os.path.islink(to)]
    spec["mounts"] += [{"destination": to, "source": "tmpfs", "type": "tmpfs", "options": ["nosuid", "nodev", "mode=1777"]}
                       for to in ("/tmp", "/home/agent")]
    with open(path, "w", encoding="utf-8") as file:
        json.dump(spec, file)
    state = os.path.join(bench.folder, "crun")
    argv = ["crun", "--cgroup-manager=disabled", "--root", state, "run", "-b", bundle, f"cellblock-bench-{os.getpid()}"]
    return Command("", argv, mount_namespace=namespace_with_cgroup2_only())


def namespace_with_cgroup2_only():
    """crun refuses a host whose cgroups are half version 1: there it is started where only cgroup2 is in sight."""
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        if not any(line.split()[2] == "cgroup" for line in mounts):
            return -1
    ours = mount_namespace()
    if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC_PRIVATE, None):
        raise Unable(f"cannot make a mount namespace for crun: {os.strerror(ctypes.get_errno())}")
    mounted = libc.mount(b"none", b"/sys/fs/cgroup", b"cgroup2", 0, None)
    theirs = mount_namespace()
    enter_mount_namespace(ours)
    if mounted:
        raise Unable(f"cannot mount cgroup2 for crun: {os.strerror(ctypes.get_errno())}")
    return theirs


def mount_namespace():
    """A descriptor of the mount namespace this process is in."""
    return os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)


def enter_mount_namespace(fd):
    """Moves this process there; the working folder is found again by its path."""
    folder = os.getcwd()
    if libc.setns(fd, CLONE_NEWNS):
        raise Unable(f"cannot enter a mount namespace: {os.strerror(ctypes.get_errno())}")
    os.chdir(folder)


def nspawn(bench):
    """systemd-nspawn in a scope that systemd makes and removes. Without systemd it would leave cgroups behind at the top."""
    if not os.path.isdir("/run/systemd/system"):
        return Command("", absent="not measured: needs systemd as PID 1 (elsewhere it leaves cgroups behind)")
    root = make_rootfs(bench, "nspawn")
    binds = [f"--bind-ro={path}" for path in bench.binds if not os.path.islink(path)]
    return Command("", ["systemd-nspawn", "--quiet", "--register=no", "--private-network", "--as-pid2",
                        "--no-new-privileges=yes", f"--machine=cellblock-bench-{os.getpid()}", "-D", root, *binds, *bench.target])
