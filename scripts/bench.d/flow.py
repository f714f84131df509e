"""The two ends of `scripts/bench egress`: a server, and a client that does what it is told on its standard input.

usage: python3 flow.py serve            prints its port, and serves until it is killed
       python3 flow.py ask HOST PORT    a line of JSON for each line: one, many, request, round, hold, release, busy, calm

Nothing here knows what is between the two.
"""

import json
import select
import socket
import statistics
import struct
import sys
import threading
import time

BLOCK = 1 << 20
ONE = 1 << 30
STREAMS = 32
EACH = 32 << 20
REQUESTS = 200
ROUNDS = 2000
HELD = 1000
REQUEST, REPLY = b"q" * 200, b"r" * 2000


# ---- the server ----


def serve_one(stream):
    """The first eight bytes say how much is wanted; nothing wanted is a talk: a reply to each request."""
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        wanted = struct.unpack(">Q", exactly(stream, 8))[0]
        if not wanted:
            while exactly(stream, len(REQUEST)):
                stream.sendall(REPLY)
        block = memoryview(bytes(BLOCK))
        while wanted:
            wanted -= stream.send(block[: min(wanted, BLOCK)])
    except (OSError, EOFError):
        pass
    stream.close()


def serve():
    server = socket.create_server(("127.0.0.1", 0), backlog=4096)
    threading.stack_size(256 << 10)
    print(server.getsockname()[1], flush=True)
    while True:
        threading.Thread(target=serve_one, args=(server.accept()[0],), daemon=True).start()


# ---- the client ----


def exactly(stream, size):
    parts = b""
    while len(parts) < size:
        part = stream.recv(size - len(parts))
        if not part:
            raise EOFError
        parts += part
    return parts


class Client:
    def __init__(self, host, port):
        # Not every way has names.
        self.peer = (socket.gethostbyname(host), int(port))
        self.held = []
        self.busy_until = None

    def connect(self, wanted):
        stream = socket.create_connection(self.peer, 60)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream.sendall(struct.pack(">Q", wanted))
        return stream

    def receive(self, streams, each):
        """Gigabytes a second over all of `streams`, of which each brings `each` bytes."""
        begun = time.perf_counter()
        poll, left = select.poll(), {}
        opened = [self.connect(each) for _ in range(streams)]
        for stream in opened:
            stream.setblocking(False)
            poll.register(stream, select.POLLIN)
            left[stream.fileno()] = (stream, each)
        block = bytearray(BLOCK)
        while left:
            for number, _ in poll.poll():
                stream, more = left[number]
                count = stream.recv_into(block)
                if not count:
                    raise EOFError(f"{more} bytes are missing")
                if more == count:
                    poll.unregister(stream)
                    del left[number]
                else:
                    left[number] = (stream, more - count)
        seconds = time.perf_counter() - begun
        for stream in opened:
            stream.close()
        return streams * each / seconds / 1e9

    def one(self):
        return self.receive(1, ONE)

    def many(self):
        return self.receive(STREAMS, EACH)

    def request(self):
        """Microseconds from the beginning of a connection to the end of its first reply: the median."""
        times = []
        for _ in range(REQUESTS):
            begun = time.perf_counter_ns()
            with self.connect(0) as stream:
                stream.sendall(REQUEST)
                exactly(stream, len(REPLY))
                times.append(time.perf_counter_ns() - begun)
        return statistics.median(times) / 1e3

    def round(self):
        """Microseconds from a request to the end of its reply on an open connection: the median."""
        times = []
        with self.connect(0) as stream:
            for _ in range(ROUNDS):
                begun = time.perf_counter_ns()
                stream.sendall(REQUEST)
                exactly(stream, len(REPLY))
                times.append(time.perf_counter_ns() - begun)
        return statistics.median(times) / 1e3

    def hold(self):
        """Holds connections, each of which has been used once."""
        for _ in range(HELD):
            self.held.append(self.connect(0))
            self.talk(self.held[-1])
        return len(self.held)

    def talk(self, stream):
        stream.sendall(REQUEST)
        exactly(stream, len(REPLY))

    def release(self):
        self.calm()
        while self.held:
            self.held.pop().close()
        return 0

    def busy(self, pause):
        """From now on all that are held ask again and again, each about `pause` seconds after the last time."""
        self.busy_until = threading.Event()

        def work():
            while not self.busy_until.is_set():
                for stream in self.held:
                    if self.busy_until.is_set():
                        return
                    self.talk(stream)
                    time.sleep(float(pause) / HELD)

        self.worker = threading.Thread(target=work)
        self.worker.start()
        return len(self.held)

    def calm(self):
        if self.busy_until:
            self.busy_until.set()
            self.worker.join()
        self.busy_until = None
        return 0


def ask(host, port):
    client = Client(host, port)
    for line in sys.stdin:
        verb, *words = line.split()
        try:
            said = {"value": getattr(client, verb)(*words)}
        except (OSError, EOFError) as error:
            said = {"error": repr(error)}
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    serve() if sys.argv[1] == "serve" else ask(*sys.argv[2:])
