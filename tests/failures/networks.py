"""A network in namespaces, which can be broken without affecting this machine's.

Its namespaces have no names: the kernel takes them back with the last process that holds them, however that ends.
"""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_NEWNET: Final = 0x40000000  # CLONE_NEWNET; Python has os.unshare and os.setns from 3.12 on
_CURRENT: Final = "/proc/thread-self/ns/net"
_HUB: Final = "02:00:00:00:00:01"
_NOBODY: Final = "02:00:00:00:00:02"

CUTS: Final = ("down", "silent", "one way")
"""Ways to cut a link: the interface is down, all frames are dropped, or only those to the replica."""


def missing() -> str:
    """Return why no network namespace can be created; empty if one can."""
    if not shutil.which("ip"):
        return "network namespaces are made with `ip`: install iproute2"
    try:
        Network(1).close()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"network namespaces need root and a kernel with bridge and veth: {error}"
    return ""


class Namespace:
    """An empty network with a loopback address."""

    def __init__(self) -> None:
        with _returning():
            _call("unshare", _NEWNET)
            self.file = os.open(_CURRENT, os.O_RDONLY)
        self.ip("link set lo up")

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Let this thread connect, bind and start processes in this namespace."""
        with _returning():
            _call("setns", self.file, _NEWNET)
            yield

    def ip(self, command: str, *files: int) -> None:
        """Run `ip` in this namespace; raises CalledProcessError."""
        with self.entered():
            subprocess.run(["ip", *command.split()], check=True, pass_fds=files, stdout=subprocess.DEVNULL)

    def close(self) -> None:
        os.close(self.file)


class Network:
    """A hub with an address, and links to hosts."""

    address = "192.0.2.1"

    def __init__(self, hosts: int) -> None:
        self.hub = Namespace()
        self.hub.ip(f"link add bridge address {_HUB} type bridge")  # else it takes on that of a port
        self.hub.ip(f"address add {self.address}/24 dev bridge")
        self.hub.ip("link set bridge up")
        self.links = [Link(self.hub, number) for number in range(hosts)]

    def close(self) -> None:
        for namespace in (self.hub, *(link.host for link in self.links)):
            namespace.close()


class Link:
    """One host and its link to the hub."""

    def __init__(self, hub: Namespace, number: int) -> None:
        self.host = Namespace()
        self._hub = hub
        self._port = f"port{number}"
        self._address = f"192.0.2.{11 + number}"
        peer = f"peer name eth0 netns /proc/self/fd/{self.host.file}"
        hub.ip(f"link add {self._port} master bridge type veth {peer}", self.host.file)
        hub.ip(f"link set {self._port} up")
        self.host.ip(f"address add {self._address}/24 dev eth0")
        self.host.ip("link set eth0 up")

    @contextmanager
    def cut(self, how: str) -> Iterator[None]:
        """Cut the link in one of the ways."""
        if how == "down":
            namespace = self.host
            cut = "link set eth0 down"
            mend = "link set eth0 up"
        elif how == "silent":
            namespace = self._hub
            cut = f"link set {self._port} nomaster"
            mend = f"link set {self._port} master bridge"
        else:
            neighbour = f"{self._address} dev bridge"
            namespace = self._hub
            mend = f"neighbour del {neighbour}"
            cut = f"neighbour replace {neighbour} lladdr {_NOBODY} nud permanent"
        namespace.ip(cut)
        try:
            yield
        finally:
            namespace.ip(mend)


@contextmanager
def _returning() -> Iterator[None]:
    """Return this thread to its current network namespace on exit."""
    here = os.open(_CURRENT, os.O_RDONLY)
    try:
        yield
    finally:
        _call("setns", here, _NEWNET)
        os.close(here)


def _call(name: str, *arguments: int) -> None:
    if getattr(_LIBC, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
