"""Time from the start of a tmux session on a terminal until its pane's first text is drawn there."""

import dataclasses
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

import peers

MARK = b"READY"
# The mark is put together inside, so that no title, status line or echo of the command line is taken for it.
AGENT = ["sh", "-c", 'printf "RE%s" ADY; exec sleep 100']
PATIENCE = 20.0


@dataclasses.dataclass
class Session:
    """A command that draws MARK on its terminal, and how to end what it started."""

    argv: list
    environ: dict
    end: list  # a command; empty: SIGTERM


def plain_tmux(folder):
    """tmux with nothing around it: a server, a socket folder and a configuration of its own."""
    sockets = os.path.join(folder, "tmux")
    os.makedirs(sockets, mode=0o700)
    tmux = ["tmux", "-L", f"bench-{os.getpid()}", "-f", os.devnull]
    return Session([*tmux, "new-session", *AGENT], environment(TMUX_TMPDIR=sockets), [*tmux, "kill-server"])


def jailed_tmux(binary):
    """The same session in a jail."""
    return Session([binary, "run", "demo", "--name", f"bench-{os.getpid()}", "--", *AGENT], environment(), [])


def environment(**more):
    """The caller's, without the tmux it may run in."""
    kept = {name: value for name, value in os.environ.items() if name not in ("TMUX", "TMUX_PANE")}
    return {**kept, "TERM": "xterm-256color", "LANG": "C.UTF-8", **more}


def until_drawn(session):
    """Milliseconds until MARK arrives on the terminal; the session is ended and waited for afterwards."""
    begin = time.perf_counter_ns()
    child, terminal = pty.fork()
    if child == 0:
        try:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
            os.execvpe(session.argv[0], session.argv, session.environ)
        finally:
            os._exit(127)
    try:
        drawn = read_until(terminal, MARK)
        end = time.perf_counter_ns()
    finally:
        finish(session, child, terminal)
    if drawn is not None:
        raise peers.Unable(f"cannot time {' '.join(session.argv)}: its screen was never drawn\n  | {drawn[-800:]!r}")
    return (end - begin) / 1e6


def read_until(terminal, mark):
    """None when the mark came, else everything that came instead."""
    seen, deadline = b"", time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 0.5)[0]:
            continue
        try:
            part = os.read(terminal, 65536)
        except OSError:  # EIO: the other side is closed
            return seen
        if not part:
            return seen
        seen += part
        if mark in seen:
            return None
    return seen


def finish(session, child, terminal):
    """Ends the session and reaps it, draining its terminal so that its last words do not block it."""
    if session.end:
        subprocess.run(session.end, env=session.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    else:
        os.kill(child, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            break
        drain(terminal)
    os.close(terminal)


def drain(terminal):
    try:
        if select.select([terminal], [], [], 0.01)[0]:
            os.read(terminal, 65536)
    except OSError:
        time.sleep(0.01)
