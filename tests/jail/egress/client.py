"""What a program may try, one line of answer each: `KIND ARGUMENTS…` as one word with colons for spaces.

An answer is what came, or the error's name and how many milliseconds it took: `ECONNREFUSED in 3 ms`.
"""

import encodings.idna
import errno
import os
import select
import socket
import ssl
import struct
import sys
import time
import urllib.request

LONG = 10
# How long more is waited for where something may come; a slow machine says how much longer.
MOMENT = 0.5


def connect(host, port):
    return socket.create_connection((host, int(port)), LONG)


def tcp(host, port, said=""):
    """Connects, says `said` and gives what comes back."""
    with connect(host, port) as stream:
        stream.sendall(said.encode() + b"\n")
        return repr(stream.recv(200))


def hear(host, port):
    with connect(host, port) as stream:
        return repr(stream.recv(200))


def name(host):
    return " ".join(sorted({info[4][0] for info in socket.getaddrinfo(host, 1, proto=socket.IPPROTO_TCP)}))


def tls(host, port, server=None, *alpn):
    """A TLS connection in which `server` is asked for: the version it speaks."""
    context = ssl.create_default_context(cafile="/etc/ca.pem")
    context.check_hostname = False
    with connect(host, port) as stream:
        with context.wrap_socket(stream, server_hostname=None if server in ("", "-") else server or host) as secure:
            secure.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            return secure.version()


def url(*words):
    context = ssl.create_default_context(cafile="/etc/ca.pem")
    where = ":".join(words)
    opened = urllib.request.urlopen(where, timeout=LONG, **({"context": context} if where.startswith("https") else {}))
    return opened.read().decode().strip()


def raw(host, port, *said):
    """Sends bytes as they are written with Python's escapes, and gives all that comes until the end."""
    with connect(host, port) as stream:
        stream.sendall(":".join(said).encode().decode("unicode_escape").encode("latin-1"))
        heard = b""
        while block := stream.recv(4096):
            heard += block
            if b"\r\n\r\n" in heard and heard.startswith(b"HTTP/1.1 200"):
                break
        return repr(heard[:60])


def local(path, *said):
    """The same on a socket of the file system. Once something has come, what comes within a moment is heard, too."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        stream.settimeout(6 * LONG)
        stream.connect(path)
        stream.sendall(":".join(said).encode().decode("unicode_escape").encode("latin-1"))
        heard = b""
        try:
            while block := stream.recv(4096):
                heard += block
                stream.settimeout(MOMENT)
        except TimeoutError:
            pass
        return " ".join(line.decode() for line in heard.split(b"\r\n") if line.startswith(b"HTTP/"))


def ended(path, *said):
    """The same with an end behind it: nothing more is asked, and the answer waited for."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        stream.settimeout(6 * LONG)
        stream.connect(path)
        stream.sendall(":".join(said).encode().decode("unicode_escape").encode("latin-1"))
        stream.shutdown(socket.SHUT_WR)
        return stream.makefile("rb").readline().decode().strip()


def parts(path, target):
    """How many moments apart the parts of an answer come."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        stream.settimeout(6 * LONG)
        stream.connect(path)
        stream.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        moments, last = 0, time.monotonic()
        while stream.recv(4096):
            moments, last = moments + (time.monotonic() - last > 0.1), time.monotonic()
        return str(moments)


def flock(path, count):
    """Holds `count` connections to a socket of the file system: how many of them answer."""
    streams, answered = [], 0
    for _ in range(int(count)):
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        stream.settimeout(6 * LONG)
        stream.connect(path)
        streams.append(stream)
    for stream in streams:
        try:
            stream.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answered += stream.recv(12) == b"HTTP/1.1 200"
        except OSError:
            pass
    return str(answered)


def long(path, size):
    """A request whose head has so many bytes: the first line of the answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        stream.settimeout(6 * LONG)
        stream.connect(path)
        fields = b"".join(b"X-%d: %s\r\n" % (number, b"x" * 990) for number in range(int(size) // 1000))
        try:
            stream.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n")
        except OSError:
            # It may have been refused before its end.
            pass
        return stream.recv(4096).split(b"\r\n")[0].decode()


def leave(path, said, count, stay):
    """So many clients that ask, wait for no answer, and leave after `stay` seconds, or once nothing more of theirs is taken."""
    for _ in range(int(count)):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
            stream.connect(path)
            stream.sendall(said.encode().decode("unicode_escape").encode("latin-1"))
            if stay == "fill":
                fill(stream)
            else:
                time.sleep(float(stay))
    return "left"


def fill(stream):
    """Sends until nothing more is taken for a moment."""
    stream.settimeout(0.5)
    try:
        while True:
            stream.send(b"x" * 65536)
    except TimeoutError:
        pass


def search(words):
    """The readable files, environments and command lines in which the text is whose hexadecimal form is given."""
    needle, found = bytes.fromhex(words), set()
    files = [f"/proc/{pid}/{file}" for pid in os.listdir("/proc") if pid.isdigit() for file in ("environ", "cmdline")]
    for folder, folders, names in os.walk("/"):
        folders[:] = [name for name in folders if os.path.join(folder, name) not in ("/proc", "/sys", "/usr", "/dev")]
        files += [os.path.join(folder, name) for name in names]
    for file in files:
        try:
            with open(file, "rb") as opened:
                if needle in opened.read(1 << 20):
                    found.add(os.path.basename(file))
        except OSError:
            pass
    return f"{sorted(found)} in {'many' if len(files) > 30 else len(files)} files"


def udp(host, port):
    with socket.socket(socket.AF_INET6 if "." not in host else socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(1)
        sender.connect((host, int(port)))
        sender.send(b"x" * 1200)
        return repr(sender.recv(10))


def opened(family, kind, protocol="0"):
    """Makes a socket, nothing more."""
    numbers = [getattr(socket, word, None) for word in (family, kind)]
    with socket.socket(*[int(word) if number is None else number for word, number in zip((family, kind), numbers)], int(protocol)):
        return "made"


def fast(host, port):
    """TCP fast open: the first bytes go with the beginning of the connection."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream:
        stream.sendto(b"early\n", 0x20000000, (host, int(port)))
        return repr(stream.recv(100))


def six(host, port):
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as stream:
        stream.settimeout(LONG)
        stream.connect((host.replace("_", ":"), int(port)))
        return "connected"


def half(host, port, size):
    """Says `size` bytes, ends its own direction, and gives what the other side says then."""
    with connect(host, port) as stream:
        stream.sendall(b"y" * int(size))
        stream.shutdown(socket.SHUT_WR)
        return stream.recv(100).decode().strip()


def drain(host, port):
    """Reads to the end: how many bytes."""
    with connect(host, port) as stream:
        total = 0
        while block := stream.recv(1 << 20):
            total += len(block)
        return str(total)


def many(host, port, count):
    """Holds `count` connections at once: how many answered."""
    streams, answered = [], 0
    for _ in range(int(count)):
        try:
            stream = connect(host, port)
            streams.append(stream)
            stream.sendall(b"q\n")
        except OSError:
            pass
    for stream in streams:
        try:
            answered += stream.recv(2) == b"q\n"
        except OSError:
            pass
    for stream in streams:
        stream.close()
    return str(answered)


def wait(seconds):
    time.sleep(float(seconds))
    return "waited"


def idle(host, port, seconds):
    """Is silent for a while; then whether the connection still stands."""
    with connect(host, port) as stream:
        print("waiting", flush=True)
        if select.select([stream], [], [], float(seconds))[0]:
            return repr(stream.recv(10))
        stream.sendall(b"still\n")
        return repr(stream.recv(10))


def dns(kind, host):
    """A question by TCP or UDP, by hand: the code and how many answers."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in host.split("."))
    question = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 28 if kind == "aaaa" else 1, 1)
    if kind == "tcp":
        with connect("127.0.0.1", 53) as stream:
            stream.sendall(struct.pack(">H", len(question)) + question)
            reply = stream.recv(4096)[2:]
    else:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.settimeout(LONG)
            sender.sendto(question, ("127.0.0.1", 53))
            reply = sender.recv(4096)
    return f"{reply[3] & 15} {struct.unpack('>H', reply[6:8])[0]}"


def question(host):
    labels = b"".join(bytes([len(label)]) + label for label in host.split(b"."))
    return struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)


HOSTILE = {
    # A name that leads to itself (RFC 1035, section 4.1.4), one that leads beyond the end, one that leads forward.
    "loop": struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + b"\xc0\x0c" + struct.pack(">HH", 1, 1),
    "beyond": struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + b"\xff\xff" + struct.pack(">HH", 1, 1),
    "cut": question(b"a.test")[:-3],
    "head": question(b"a.test")[:12],
    "short": b"\x00\x07\x01",
    "two": struct.pack(">HHHHHH", 7, 0x100, 2, 0, 0, 0) + question(b"a.test")[12:] * 2,
    "many": struct.pack(">HHHHHH", 7, 0x100, 65535, 0, 0, 0) + question(b"a.test")[12:] * 200,
    "none": struct.pack(">HHHHHH", 7, 0x100, 0, 0, 0, 0),
    "answer": struct.pack(">HHHHHH", 7, 0x8180, 1, 0, 0, 0) + question(b"a.test")[12:],
    "update": struct.pack(">HHHHHH", 7, 0x2800, 1, 0, 0, 0) + question(b"a.test")[12:],
    "zeros": b"\0" * 4000,
    "long": question(b"a.test") + b"x" * 60000,
    "bytes": question(b"\xff\x00\x80.test"),
    "dots": question(b"a.test") [:12] + b"\x06a.test\x00" + struct.pack(">HH", 1, 1),
}


def hostile(kind, by="udp"):
    """A question that is none: the code of the answer, or silence."""
    said = HOSTILE[kind]
    try:
        if by == "tcp":
            with connect("127.0.0.1", 53) as stream:
                stream.settimeout(2 * MOMENT)
                stream.sendall(struct.pack(">H", len(said)) + said)
                reply = stream.recv(4096)[2:]
        else:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.settimeout(2 * MOMENT)
                sender.sendto(said, ("127.0.0.1", 53))
                reply = sender.recv(4096)
    except TimeoutError:
        return "silence"
    except ConnectionResetError:
        return "end"
    return f"{reply[3] & 15} {struct.unpack('>H', reply[6:8])[0]}" if reply else "end"


def deluge(count):
    """So many questions without waiting for any answer, and so many connections with half a question."""
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.setblocking(False)
    for number in range(int(count)):
        try:
            sender.sendto(question(b"n%d.a.test" % number), ("127.0.0.1", 53))
        except BlockingIOError:
            pass
    halves = []
    for _ in range(int(count) // 20):
        stream = connect("127.0.0.1", 53)
        stream.sendall(b"\xff")
        halves.append(stream)
    return "sent"


def hello(server):
    """The first bytes of a TLS client."""
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(into, out, server_hostname=server)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def pieces(host, port, size, records="whole"):
    """A hello in pieces of `size` bytes, each a packet of its own; or `split`: each a record of its own. What the server says."""
    said = hello(host)
    with connect(host, port) as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        body = said[5:] if records == "split" else said
        for at in range(0, len(body), int(size)):
            piece = body[at : at + int(size)]
            stream.sendall(b"\x16\x03\x01" + struct.pack(">H", len(piece)) + piece if records == "split" else piece)
        # A handshake record, or an alert.
        return repr(stream.recv(1))


def second(host, port, other):
    """A hello for `host`, and at once one more for `other`: what comes back for as long as something comes."""
    with connect(host, port) as stream:
        stream.sendall(hello(host) + hello(other))
        heard = b""
        try:
            while block := stream.recv(4096):
                heard += block
        except TimeoutError:
            pass
        return repr(heard[-7:])


def interfaces():
    return " ".join(name for _, name in socket.if_nameindex())


HELD = []


def crowd(host, port, count, then):
    """Holds `count` connections that say nothing, and takes one more step: what it says, and how many of them stand."""
    streams = HELD
    for _ in range(int(count)):
        streams.append(connect(host, port))
    said = step(then.replace("/", ":"))
    standing = 0
    for stream in streams:
        stream.setblocking(False)
        try:
            standing += stream.recv(1) is None
        except BlockingIOError:
            standing += 1
        except OSError:
            pass
    return f"{said} {standing}"


def step(words):
    kind, *rest = words.split(":")
    return globals()[kind](*rest)


def main():
    for step in sys.argv[1:]:
        kind, *words = step.split(":")
        begun = time.monotonic()
        try:
            said = globals()[kind](*words)
        except (OSError, EOFError, UnicodeError) as error:
            if isinstance(error, UnicodeError):
                # Their reasons change from one Python to the next.
                error = UnicodeError()
            known = isinstance(getattr(error, "errno", None), int) and error.errno > 0 and not isinstance(error, ssl.SSLError)
            cause = errno.errorcode.get(error.errno, "") if known else getattr(error, "reason", "")
            cause = cause or type(error).__name__
            milliseconds = round((time.monotonic() - begun) * 1000)
            said = f"{cause} in {milliseconds} ms"
        print(said, flush=True)


main()
