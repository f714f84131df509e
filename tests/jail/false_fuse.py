"""A file system whose owner does not answer when a file of it is closed, and a command that has one open.

usage: python3 false_fuse.py MOUNT REPORT COMMAND...

MOUNT   a directory; the file system is there in a mount namespace of this process alone
REPORT  a line for each FLUSH that is not answered: the pid that waits for it
COMMAND what is run with a file of it as standard input

Source: include/uapi/linux/fuse.h of Linux; fuse(4).
"""

import ctypes
import os
import struct
import sys

MOUNT, REPORT, COMMAND = sys.argv[1], sys.argv[2], sys.argv[3:]
LOOKUP, FORGET, GETATTR, OPEN, READ, RELEASE = 1, 2, 3, 14, 15, 18
FLUSH, INIT, INTERRUPT, BATCH_FORGET = 25, 26, 36, 42
ENOSYS = 38
ROOT, FILE = 1, 2
NEW_NAMESPACE, PRIVATE = 0x20000, (1 << 18) | (1 << 14)

libc = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    if getattr(libc, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), name)


def attributes(node):
    mode, size = (0o40755, 0) if node == ROOT else (0o100644, 4096)
    return struct.pack("<6Q10I", node, size, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def answer(opcode, node):
    if opcode == INIT:
        return struct.pack("<4I2H2I2HI7I", 7, 31, 0, 0, 0, 0, 4096, 1, 0, 0, 0, *[0] * 7)
    if opcode == LOOKUP:
        return struct.pack("<4Q2I", FILE, 0, 0, 0, 0, 0) + attributes(FILE)
    if opcode == GETATTR:
        return struct.pack("<Q2I", 0, 0, 0) + attributes(node)
    if opcode == OPEN:
        return struct.pack("<Q2I", 1, 0, 0)
    if opcode in (READ, RELEASE):
        return b""
    return None


def serve(device, report):
    while True:
        request = os.read(device, 1 << 17)
        _, opcode, unique, node, _, _, pid = struct.unpack("<2I2Q3I", request[:36])
        if opcode == FLUSH:
            report.write(f"{pid}\n")
            report.flush()
        if opcode in (FLUSH, FORGET, INTERRUPT, BATCH_FORGET):
            continue
        said = answer(opcode, node)
        error = -ENOSYS if said is None else 0
        said = said or b""
        os.write(device, struct.pack("<IiQ", 16 + len(said), error, unique) + said)


device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
call("unshare", NEW_NAMESPACE)
call("mount", b"none", b"/", None, PRIVATE, None)
options = f"fd={device},rootmode=40755,user_id=0,group_id=0,allow_other"
call("mount", b"fuse", MOUNT.encode(), b"fuse", 0, options.encode())
if os.fork() == 0:
    # Where this one has it open, too, the file system does not end with its owner.
    os.close(device)
    os.close(0)
    os.set_inheritable(os.open(f"{MOUNT}/file", os.O_RDONLY), True)
    os.execvp(COMMAND[0], COMMAND)
serve(device, open(REPORT, "a"))
