#!/usr/bin/env python3
"""Starts scripts/vm shell on a terminal of its own, types into it, and says whether it worked."""

import os
import pty
import re
import select
import sys
import time

PATIENCE = 180


class Terminal:
    def __init__(self, argv):
        self.seen = b""
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execvp(argv[0], argv)

    def look(self, seconds):
        """Reads what there is; false at the end."""
        if not select.select([self.master], [], [], seconds)[0]:
            return True
        try:
            block = os.read(self.master, 65536)
        except OSError:
            return False
        self.seen += block
        return bool(block)

    def sees(self, pattern):
        deadline = time.monotonic() + PATIENCE
        while not re.search(pattern, self.seen):
            if time.monotonic() > deadline or not self.look(1):
                sys.exit(f"check-shell: no {pattern!r} in {self.seen[-2000:].decode(errors='replace')}")
        self.seen = self.seen[re.search(pattern, self.seen).end():]

    def types(self, text):
        os.write(self.master, text.encode())

    def ends(self):
        deadline = time.monotonic() + PATIENCE
        while self.look(1):
            if time.monotonic() > deadline:
                sys.exit(f"check-shell: no end after {self.seen[-2000:].decode(errors='replace')}")
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def main():
    here = os.path.dirname(os.path.realpath(__file__))
    terminal = Terminal([os.path.join(here, "..", "vm"), "shell", *sys.argv[1:]])
    terminal.sees(rb"root@guest:.*# ")
    # The answer is not in what is typed.
    terminal.types('echo "uid $(id -u) on $(tty) of $((40 + 2))"\r')
    terminal.sees(rb"uid 0 on /dev/ttyS0 of 42")
    terminal.types("cellblock exec demo -- sh -c 'echo jailed$((1 + 1))'\r")
    terminal.sees(rb"jailed2")
    terminal.types("\r")
    # What is typed while the jail has the terminal is the jail's.
    terminal.sees(rb"root@guest:.*# ")
    terminal.types("exit\r")
    status = terminal.ends()
    print(f"scripts/vm shell ended with status {status}")
    return status


if __name__ == "__main__":
    sys.exit(main())
