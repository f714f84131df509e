"""A false tmux server: takes in who attaches, and has them do all that tmux's protocol lets a server ask of its clients.

usage: python3 false_tmux.py SOCKET REPORT WANTED

WANTED  JSON: `read`, the paths that the client is to read; `write`, what it is to write, by path; `draw`, a text for the
        terminals that it hands over; `lock` and `exec`, commands for it to run
REPORT  JSON, there when all of that was asked for: what the client told and handed over, and what came of each

The first one that attaches is attacked. Those after it are taken in, and nothing is ever said to them.
Source: tmux-protocol.h, client.c and file.c of tmux; imsg.h of OpenBSD.
"""

import json
import os
import socket
import struct
import sys
import threading

SOCKET, REPORT, WANTED = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
VERSION = 8
STDIN, ENVIRON, CWD, STDOUT = 104, 105, 108, 110
COMMAND, EXITED, EXITING, LOCK, READY, UNLOCK, EXEC = 200, 204, 205, 206, 207, 215, 217
READ_OPEN, READ, READ_DONE, WRITE_OPEN, WRITE, WRITE_READY, WRITE_CLOSE = 300, 301, 302, 303, 304, 305, 306
# Seconds until a client that says nothing is taken for one that will not.
PATIENCE = float(WANTED.get("patience", 3))


class Client:
    """One client. A message is a type, its length, the version and a pid, and then its bytes."""

    def __init__(self, connection):
        self.connection, self.bytes, self.handed = connection, b"", []
        connection.settimeout(None)

    def say(self, kind, data=b""):
        self.connection.sendall(struct.pack("=IIII", kind, 16 + len(data), VERSION, os.getpid()) + data)

    def hear(self):
        """The next message as (type, bytes, descriptor or None); None at the end, or after too long a silence."""
        while len(self.bytes) < 16 or len(self.bytes) < struct.unpack_from("=I", self.bytes, 4)[0] & 0xFFFF:
            try:
                more, handed = socket.recv_fds(self.connection, 65536, 64)[:2]
            except (TimeoutError, ConnectionError):
                return None
            if not more:
                return None
            self.bytes += more
            self.handed += handed
        kind, length = struct.unpack_from("=II", self.bytes)
        data, self.bytes = self.bytes[16:length & 0xFFFF], self.bytes[length & 0xFFFF:]
        # Above the length: whether a descriptor belongs to it.
        return kind, data, self.handed.pop(0) if length >> 16 and self.handed else None

    def hear_of(self, *kinds):
        """The next message of one of these types."""
        while (heard := self.hear()) and heard[0] not in kinds:
            pass
        return heard

    def read(self, stream, path):
        """What the client reads at `path`, and its errno."""
        self.say(READ_OPEN, struct.pack("=ii", stream, -1) + path.encode() + b"\0")
        text = b""
        while heard := self.hear_of(READ, READ_DONE):
            if struct.unpack_from("=i", heard[1])[0] != stream:
                continue
            if heard[0] == READ_DONE:
                return {"text": text.decode(errors="replace"), "errno": struct.unpack_from("=ii", heard[1])[1]}
            text += heard[1][4:]
        return {"text": text.decode(errors="replace"), "errno": None}

    def write(self, stream, path, text):
        """The errno with which the client opened `path`, and wrote `text` there if it could."""
        self.say(WRITE_OPEN, struct.pack("=iii", stream, -1, os.O_CREAT | os.O_TRUNC) + path.encode() + b"\0")
        heard = self.hear_of(WRITE_READY)
        if not heard:
            return None
        errno = struct.unpack_from("=ii", heard[1])[1]
        if errno == 0:
            self.say(WRITE, struct.pack("=i", stream) + text.encode())
            self.say(WRITE_CLOSE, struct.pack("=i", stream))
        return errno

    def introduce(self):
        """What it tells of itself, up to its command: nothing where it only looked whether somebody listens."""
        told = {"environ": [], "descriptors": {}, "cwd": "", "command": []}
        while heard := self.hear():
            kind, data, handed = heard
            words = data.rstrip(b"\0").decode(errors="replace")
            if kind == ENVIRON:
                told["environ"].append(words)
            elif kind == CWD:
                told["cwd"] = words
            elif kind in (STDIN, STDOUT):
                told["descriptors"]["stdin" if kind == STDIN else "stdout"] = handed
            elif kind == COMMAND:
                told["command"] = data[4:].rstrip(b"\0").decode(errors="replace").split("\0")
                return told
        return None


def attack(client, told):
    client.connection.settimeout(PATIENCE)
    told["read"] = {path: client.read(100 + number, path) for number, path in enumerate(WANTED["read"])}
    told["write"] = {path: client.write(500 + number, path, text) for number, (path, text) in enumerate(WANTED["write"].items())}
    client.say(READY)
    client.say(LOCK, WANTED["lock"].encode() + b"\0")
    # A command may take its time, on a slow machine above all.
    client.connection.settimeout(20 * PATIENCE)
    told["locked"] = client.hear_of(UNLOCK) is not None
    told["drawn"] = {}
    for name, handed in told["descriptors"].items():
        if handed is not None:
            told["drawn"][name] = os.write(handed, WANTED["draw"].encode())
    client.say(EXEC, WANTED["exec"].encode() + b"\0/bin/sh\0")
    told["exits"] = client.hear_of(EXITING) is not None
    client.say(EXITED)
    with open(REPORT + ".new", "w", encoding="utf-8") as file:
        json.dump(told, file)
    os.rename(REPORT + ".new", REPORT)


TAKEN_IN = threading.Lock()


def serve(connection):
    client = Client(connection)
    told = client.introduce()
    if told and any(word.startswith("attach") for word in told["command"]) and TAKEN_IN.acquire(blocking=False):
        attack(client, told)
    elif told:
        client.hear_of(EXITED)


listener = socket.socket(socket.AF_UNIX)
listener.bind(SOCKET)
listener.listen(64)
print("listens", flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
