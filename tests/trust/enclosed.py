"""Runs a command where only loopback exists, and counts what it tried to send elsewhere.

To be run by `unshare --user --map-root-user --net --pid --fork --kill-child --mount-proc`, which needs no privileges
where the system allows user namespaces. The kernel itself counts, so that no library escapes by catching its errors, in
whatever language it is written: a packet or connection for which there is no route, and a datagram to a port of this
machine where nobody listens, which is how a name is asked for where the resolver has a loopback address. Prints the
counts as JSON in the last line; the exit code is the command's.
"""

import fcntl
import json
import socket
import struct
import subprocess
import sys
from pathlib import Path

_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_COUNTED = ("Ip.OutNoRoutes", "Udp.NoPorts", "Ip6OutNoRoutes", "Udp6NoPorts")


def main(command: list[str]) -> int:
    # Resolvers that are asked over a Unix socket, nscd and systemd-resolved, live outside: hide them.
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", _IFF_UP))
    before = counts()
    code = subprocess.run(command, check=False).returncode
    sys.stdout.write(json.dumps({name: count - before[name] for name, count in counts().items()}) + "\n")
    return code


def counts() -> dict[str, int]:
    """The kernel's counters of this network namespace."""
    found = dict(line.split() for line in Path("/proc/net/snmp6").read_text().splitlines())
    lines = [line.split() for line in Path("/proc/net/snmp").read_text().splitlines()]
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        found |= {names[0].replace(":", ".") + name: value for name, value in zip(names[1:], values[1:], strict=True)}
    return {name: int(found[name]) for name in _COUNTED}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
