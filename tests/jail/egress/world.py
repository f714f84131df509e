"""A world for the tests of the gate, in namespaces of its own: a host, and behind its one interface all that is outside, where
the names of `zone.json` are resolved and served, and everything that comes is written down. Nothing leaves it.

usage: unshare --net --mount --propagation private python3 world.py FOLDER

FOLDER/zone.json  name -> addresses; read for every question, so that it can change
FOLDER/queries    each question that came to the name server: its name and its type
FOLDER/packets    each connection that the host began, and each datagram that it sent: protocol, address, port
"""

import ctypes
import json
import os
import socket
import ssl
import signal
import struct
import subprocess
import sys
import threading
import time

FOLDER = sys.argv[1]
OPEN = ["93.184.1.1", "93.184.1.2", "2606:4700:ffff::1"]
PRIVATE = ["10.77.0.1", "169.254.169.254"]
NAMES = "10.99.0.1"
HOST = "10.99.0.2"
HOSTS_OWN = "93.184.9.9"
HOSTS_FIRST, HOSTS_SECOND = "93.185.9.1", "93.185.9.2"
BANNER = b"banner of the server\n"


def path(name):
    return os.path.join(FOLDER, name)


def write_down(name, line):
    with open(path(name), "a", encoding="utf-8") as file:
        file.write(line + "\n")


def run(*words):
    subprocess.run(words, check=True)


def with_parent():
    """The child ends with its parent."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def make_host():
    """A network for the host: its process."""
    host = subprocess.Popen(["unshare", "--net", "sleep", "100000"], preexec_fn=with_parent)
    network = lambda pid: os.readlink(f"/proc/{pid}/ns/net")
    while network(host.pid) == network("self"):
        pass
    inside = ["nsenter", f"--net=/proc/{host.pid}/ns/net"]
    run("ip", "link", "add", "outside", "type", "veth", "peer", "name", "eth0", "netns", str(host.pid))
    for words in (
        ["ip", "link", "set", "lo", "up"],
        ["ip", "link", "set", "outside", "up"],
        ["ip", "address", "add", NAMES + "/24", "dev", "outside"],
        ["ip", "address", "add", "fd99::1/64", "dev", "outside", "nodad"],
        inside + ["ip", "link", "set", "lo", "up"],
        inside + ["ip", "link", "set", "eth0", "up"],
        inside + ["ip", "address", "add", HOST + "/24", "dev", "eth0"],
        inside + ["ip", "address", "add", HOSTS_OWN + "/32", "dev", "lo"],
        # A second one of the same network comes second everywhere: what is sent to it comes from the first.
        inside + ["ip", "address", "add", HOSTS_FIRST + "/24", "dev", "eth0"],
        inside + ["ip", "address", "add", HOSTS_SECOND + "/24", "dev", "eth0"],
        inside + ["ip", "address", "add", "fd99::2/64", "dev", "eth0", "nodad"],
        inside + ["ip", "route", "add", "default", "via", NAMES],
        inside + ["ip", "-6", "route", "add", "default", "via", "fd99::1"],
    ):
        run(*words)
    for address in OPEN + PRIVATE:
        run("ip", "address", "add", address, "dev", "lo", *(["nodad"] if ":" in address else []))
    return host.pid


def prepare():
    pid = make_host()
    for name, text in (("resolv.conf", f"nameserver {NAMES}\n"), ("hosts", "127.0.0.1 localhost\n93.184.1.2 hosts.test\n")):
        with open(path(name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path(name), 0o644)
        run("mount", "--bind", path(name), os.path.realpath("/etc/" + name))
    subprocess.Popen(["nsenter", f"--net=/proc/{pid}/ns/net", sys.executable, __file__, FOLDER, "host"], preexec_fn=with_parent)
    return pid


def answer(question):
    """A reply to a question of one name (RFC 1035, section 4)."""
    labels, at = [], 12
    while question[at]:
        labels.append(question[at + 1 : at + 1 + question[at]].decode())
        at += 1 + question[at]
    end = at + 5
    kind = struct.unpack(">H", question[at + 1 : at + 3])[0]
    name = ".".join(labels).lower()
    write_down("queries", f"{name} {kind}")
    with open(path("zone.json"), encoding="utf-8") as file:
        zone = json.load(file)
    family = {1: socket.AF_INET, 28: socket.AF_INET6}.get(kind)
    found = [a for a in zone.get(name, []) if family == (socket.AF_INET6 if ":" in a else socket.AF_INET)]
    code = 0 if name in zone else 3
    keep = 30 if name.startswith("kept") else 0
    head = question[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, len(found), 0, 0)
    records = b"".join(
        b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, keep, len(socket.inet_pton(family, a))) + socket.inet_pton(family, a)
        for a in found
    )
    return head + question[12:end] + records


def serve_names():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    # As little room as a small name server has: whoever asks without measure is not answered.
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    server.bind((NAMES, 53))

    def loop():
        while True:
            question, who = server.recvfrom(4096)
            server.sendto(answer(question), who)

    threading.Thread(target=loop, daemon=True).start()


def listen(port, serve):
    """Has `serve(connection)` called in a thread of its own for each connection to `port` of any address."""
    server = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=2048)

    def loop():
        while True:
            connection, _ = server.accept()
            threading.Thread(target=guarded, args=(serve, connection), daemon=True).start()

    threading.Thread(target=loop, daemon=True).start()


def guarded(serve, connection):
    try:
        with connection:
            serve(connection)
    except OSError as error:
        write_down("errors", repr(error))


def echo(connection):
    while block := connection.recv(65536):
        connection.sendall(block)


def count(connection):
    """Reads to the end, and then says how much it was."""
    total = 0
    while block := connection.recv(65536):
        total += len(block)
    connection.sendall(f"{total}\n".encode())


def greet(connection):
    connection.sendall(BANNER)
    echo(connection)


def flood(connection):
    block = b"x" * 65536
    for _ in range(1024):
        connection.sendall(block)


def linger(connection):
    """Breaks off after the first byte."""
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def messages(model):
    """What a model says to any prompt, as the Messages API streams it."""
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": [], "stop_reason": None,
               "stop_sequence": None, "usage": usage}
    events = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "the world answers"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": usage},
        {"type": "message_stop"},
    ]
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()


def http(connection, secure=""):
    """Answers requests with what was asked for: files of FOLDER/www, or the request itself."""
    stream = connection.makefile("rb")
    while line := stream.readline():
        method, target, _ = line.decode().split()
        fields = {}
        while (field := stream.readline()) not in (b"\r\n", b""):
            name, value = field.decode().split(":", 1)
            fields[name.strip().lower()] = value.strip()
        if target == "/unread":
            # The rest of what is sent is never looked at.
            time.sleep(600)
            return
        body = chunks(stream) if "chunked" in fields.get("transfer-encoding", "") else stream.read(int(fields.get("content-length", 0)))
        shown = [f"{name}={fields[name]}" for name in ("authorization", "cookie", "x-api-key") if name in fields]
        write_down("credentials", " ".join(shown))
        write_down("requests", f"{method} {fields.get('host')}{target}{secure}")
        write_down("lengths", f"{method} {target} {fields.get('content-length')} {fields.get('transfer-encoding')}")
        file = path("www" + target.split("?")[0])
        status, text = "200 OK", f"{method} {fields.get('host')} {target} {len(body)}{secure}\n".encode()
        if target.startswith(("/repository", "/registry")):
            try:
                with open(file + "index" if file.endswith("/") else file, "rb") as content:
                    text = content.read()
            except OSError:
                status, text = "404 Not Found", b""
        if target.startswith("/to/"):
            connection.sendall(f"HTTP/1.1 302 Found\r\nLocation: http://{target[4:]}\r\nContent-Length: 0\r\n\r\n".encode())
            continue
        if target == "/early":
            connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n")
        if target.startswith("/empty/"):
            connection.sendall(f"HTTP/1.1 {target[7:]} Nothing\r\n\r\n".encode())
            continue
        if method == "HEAD":
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4711\r\n\r\n")
            continue
        if target == "/never":
            # It ends when whoever asked is gone.
            stream.read(1)
            write_down("left", "somebody")
            return
        if target == "/slowly":
            slowly(connection)
            continue
        kind = "text/html" if target.endswith("/") else "text/plain"
        if target.startswith("/v1/messages") and "count_tokens" not in target:
            write_down("keys", fields.get("x-api-key", ""))
            kind, text = "text/event-stream", messages(json.loads(body)["model"])
        connection.sendall(f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text)


def database(connection):
    """Answers each query with itself, to whoever asks (PostgreSQL's frontend and backend protocol, version 3)."""
    stream = connection.makefile("rb")
    message = lambda kind, body: kind + struct.pack(">I", len(body) + 4) + body
    ready = message(b"Z", b"I")
    while True:
        length, code = struct.unpack(">II", stream.read(8))
        stream.read(length - 8)
        if code == 3 << 16:
            break
        # It is asked for TLS, or for GSSAPI.
        connection.sendall(b"N")
    connection.sendall(message(b"R", struct.pack(">I", 0)) + ready)
    while kind := stream.read(1):
        body = stream.read(struct.unpack(">I", stream.read(4))[0] - 4)
        if kind == b"Q":
            asked = body[:-1]
            column = struct.pack(">H", 1) + b"asked\0" + struct.pack(">IHIhIH", 0, 0, 25, -1, 0, 0)
            row = struct.pack(">HI", 1, len(asked)) + asked
            connection.sendall(message(b"T", column) + message(b"D", row) + message(b"C", b"SELECT 1\0") + ready)


def chunks(stream):
    """A body whose length nobody knew (RFC 9112, section 7.1)."""
    body = b""
    while size := int(stream.readline(), 16):
        body += stream.read(size)
        stream.readline()
    stream.readline()
    return body


def slowly(connection):
    """An answer in parts, a moment apart, as a model streams it."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nSet-Cookie: session=1\r\n\r\n")
    for part in (b"first\n", b"second\n", b"third\n"):
        connection.sendall(b"%x\r\n%s\r\n" % (len(part), part))
        time.sleep(1)
    connection.sendall(b"0\r\n\r\n")


def proxy(connection):
    """Connects whoever asks to this machine's own servers (RFC 9110, section 9.3.6)."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    line, *fields = head.decode().split("\r\n")
    authorization = [field.split(": ")[1] for field in fields if field.startswith("Proxy-Authorization")]
    write_down("requests", " ".join([line.rsplit(" ", 1)[0], *authorization]))
    host, port = line.split()[1].rsplit(":", 1)
    if host == "x.wild.test":
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        return
    with socket.create_connection(("93.184.1.1", int(port))) as server:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        thread = threading.Thread(target=pump, args=(connection, server))
        thread.start()
        pump(server, connection)
        thread.join()


def pump(source, target):
    try:
        while block := source.recv(65536):
            target.sendall(block)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def https(context):
    def serve(connection):
        try:
            with context.wrap_socket(connection, server_side=True) as secure:
                http(secure, f" by {secure.version()}")
        except ssl.SSLError as error:
            write_down("errors", repr(error))

    return serve


def context(curve=None):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(path("server.pem"), path("server.key"))
    if curve:
        made.set_ecdh_curve(curve)
    return made


def capture():
    """Writes down each beginning of a connection and each datagram that the host sends."""
    sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    sniffer.bind(("outside", 0))

    def loop():
        while True:
            packet, (_, _, kind, _, _) = sniffer.recvfrom(65536)
            if kind == 4:  # PACKET_OUTGOING
                continue
            ether, packet = struct.unpack(">H", packet[12:14])[0], packet[14:]
            if ether == 0x0800:
                protocol, target, rest = packet[9], socket.inet_ntop(socket.AF_INET, packet[16:20]), packet[4 * (packet[0] & 15) :]
            elif ether == 0x86DD:
                protocol, target, rest = packet[6], socket.inet_ntop(socket.AF_INET6, packet[24:40]), packet[40:]
            elif ether == 0x0806:  # ARP
                continue
            else:
                write_down("packets", f"ethernet {ether:04x}")
                continue
            if protocol == 6 and rest[13] & 0x12 == 0x02:
                write_down("packets", f"tcp {target} {struct.unpack('>H', rest[2:4])[0]}")
            elif protocol == 17:
                write_down("packets", f"udp {target} {struct.unpack('>H', rest[2:4])[0]}")
            # The kernel itself sends ICMP, and tells its groups (IGMP; MLD, behind a hop-by-hop header).
            elif protocol not in (0, 1, 2, 6, 58):
                write_down("packets", f"protocol {protocol} {target}")

    threading.Thread(target=loop, daemon=True).start()


def main():
    if sys.argv[2:] == ["host"]:
        listen(7000, echo)
        listen(7001, greet)
        listen(3128, proxy)
        write_down("host", "listens")
    else:
        pid = prepare()
        capture()
        serve_names()
        listen(80, http)
        listen(443, https(context()))
        # Clients begin with a key on another curve, and are asked for one on this (RFC 8446, section 4.1.4).
        listen(8443, https(context("secp384r1")))
        for port, serve in ((7000, echo), (7001, greet), (7002, count), (7003, flood), (7004, linger), (5432, database)):
            listen(port, serve)
        while not os.path.exists(path("host")):
            time.sleep(0.01)
        print(f"ready {pid}", flush=True)
    threading.Event().wait()


main()
