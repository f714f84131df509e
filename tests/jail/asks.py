"""Speaks on the agent's own socket, as anybody in the jail can: asks.py WHAT [ARGUMENT]."""

import array
import json
import os
import socket
import sys
import time


def connect():
    link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link.connect("/run/cellblock/agent")
    return link


def call(request, version=1):
    return json.dumps({"version": version, "request": request}).encode()


def ask(link, request):
    link.send(call(request))
    data, along, _, _ = socket.recv_fds(link, 1 << 17, 4)
    return json.loads(data or b"null"), along


def say(*what):
    print(*what, flush=True)


def hold_door():
    """Has a way into a job, and keeps it. A job to which nobody comes ends, so somebody is there."""
    answer, along = ask(connect(), {"StartJob": {"words": ["held"], "lease": None}})
    child = os.posix_spawn("/bin/sleep", ["sleep", "1000"], os.environ)
    os.write(along[0], str(child).encode())
    say("door", along[0], answer["Job"]["number"])
    time.sleep(1000)


def enter_and_bring():
    """Goes into a job by number, brings a child of its own along, and tries numbers that mean others outside."""
    _, along = ask(connect(), {"StartJob": {"words": ["brought"], "lease": None}})
    child = os.fork()
    if not child:
        time.sleep(1000)
    os.write(along[0], str(child).encode())
    refused = 0
    for number in map(int, sys.argv[2:]):
        try:
            os.write(along[0], str(number).encode())
        except OSError as error:
            refused += 1
            say("refused", number, error.strerror)
    say("brought", child, "refused", refused)
    time.sleep(1000)


def spoil():
    """Sends descriptors on every connection that there may be, and closes them."""
    for _ in range(64):
        link = connect()
        link.settimeout(2)
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [link.fileno()]))
        try:
            link.sendmsg([call("WhoAmI")], [rights])
            link.recv(1 << 17)
        except OSError as error:
            say("unheard", error)
            break
    say("spoilt")


def pace():
    """Asks one thing after the other; how long that takes."""
    link, begun = connect(), time.monotonic()
    for _ in range(160):
        assert "Me" in ask(link, "WhoAmI")[0]
    say("took", int(1000 * (time.monotonic() - begun)), "ms")


def large():
    """Has as many and as long notes and jobs as may be, and looks at them."""
    note = {"Schedule": {"after": 1000, "text": '"' * 4096}}
    job = {"StartJob": {"words": ["\x01" * 8192], "lease": None}}
    refused = 0
    for request in [note] * 101 + [job] * 101:
        answer, along = ask(connect(), request)
        refused += "Failed" in answer
        for descriptor in along:
            os.close(descriptor)
    notes, jobs = (ask(connect(), what)[0] for what in ["Notes", "Jobs"])
    say("has", len(notes["Notes"]), len(jobs["Jobs"]), "refused", refused)


def crowd():
    """Takes every place, and says nothing."""
    links = [connect() for _ in range(64)]
    say("crowded", len(links))
    time.sleep(1000)


def flood():
    """Asks as fast as it can, and hears nothing."""
    links = [connect() for _ in range(16)]
    say("floods")
    for link in links:
        link.setblocking(False)
    while True:
        for link in links:
            try:
                link.send(call("Jobs"))
            except (BlockingIOError, BrokenPipeError, ConnectionResetError):
                pass


def rubbish():
    """Says what is no call; each time somebody else is answered afterwards."""
    lingering = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sayings = [
        (b"", None),
        (b"{", None),
        (b"\0" * 1000, None),
        (b"[" * 60000, None),
        (b"x" * (90 << 10), None),
        (b"x" * (150 << 10), None),
        (call("WhoAmI", version=9), None),
        (call({"StopJob": {"number": -1}}), None),
        (call({"StartJob": {"words": [], "lease": 0}}), None),
        (call({"Schedule": {"after": 1, "text": "a\x1b[201~\rb"}}), None),
        (call({"Schedule": {"after": 1 << 63, "text": "x"}}), None),
        (call("WhoAmI"), [os.open("/dev/null", os.O_RDONLY), lingering.fileno()]),
    ]
    for saying, along in sayings:
        link = connect()
        try:
            if along:
                rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", along))
                link.sendmsg([saying], [rights])
            else:
                link.send(saying)
            link.settimeout(5)
            heard = link.recv(1 << 17)
        except OSError as error:
            heard = error.strerror.encode()
        say("heard", heard[:200])
        answer, _ = ask(connect(), "WhoAmI")
        assert "Me" in answer, answer
    say("answered", len(sayings))


{"hold": hold_door, "bring": enter_and_bring, "crowd": crowd, "spoil": spoil, "pace": pace, "large": large, "flood": flood, "rubbish": rubbish}[sys.argv[1]]()
