"""Networks of their own for nodes: each joined to the hub's by one cable, on which packets can vanish one way or both.

Made of Linux's network namespaces, which takes the rights of root and `ip`; where they are not permitted, there are none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.cutting import Way


@dataclass(frozen=True)
class Apart:
    """A network joined to that of the hub's machine, which is `here` to it; its namespace, and the cable's end on our side."""

    space: str
    here: str
    there: str
    cable: str

    @classmethod
    def named(cls, number: int) -> Apart:
        """Names and addresses that no other of our networks has: `number` is below 65,536."""
        address = f"10.{number >> 8}.{number & 255}"
        return cls(f"valija{number}", f"{address}.1", f"{address}.2", f"vj{number}")

    def make(self) -> None:
        """Afterwards it is there; `OSError` or `CalledProcessError` where this process may not."""
        _ip("netns", "add", self.space)
        _ip("link", "add", self.cable, "type", "veth", "peer", "name", "hub", "netns", self.space)
        _ip("addr", "add", f"{self.here}/30", "dev", self.cable)
        _ip("link", "set", self.cable, "up")
        for words in (("addr", "add", f"{self.there}/30", "dev", "hub"), ("link", "set", "hub", "up")):
            _ip("-n", self.space, *words)
        _ip("-n", self.space, "link", "set", "lo", "up")
        # The certificate of the hub is for localhost: in this network, that is at the other end of the cable.
        hosts = Path("/etc/netns") / self.space / "hosts"
        hosts.parent.mkdir(parents=True, exist_ok=True)
        hosts.write_text(f"{self.here} localhost\n")

    def end(self) -> None:
        """Afterwards nothing of it is left, however much was made."""
        _ip("netns", "del", self.space, check=False)
        shutil.rmtree(Path("/etc/netns") / self.space, ignore_errors=True)

    def silence(self, way: Way) -> None:
        """Packets that way go to nobody."""
        nobody = ("lladdr", "02:00:00:00:00:01", "nud", "permanent")
        if Way.FROM_HUB & way:
            _ip("neigh", "replace", self.there, "dev", self.cable, *nobody)
        if Way.TO_HUB & way:
            _ip("-n", self.space, "neigh", "replace", self.here, "dev", "hub", *nobody)

    def heal(self) -> None:
        """Whoever is not found is asked for again."""
        _ip("neigh", "del", self.there, "dev", self.cable, check=False)
        _ip("-n", self.space, "neigh", "del", self.here, "dev", "hub", check=False)


def _ip(*words: str, check: bool = True) -> None:
    if not check and shutil.which("ip") is None:
        return
    subprocess.run(["ip", *words], check=check, capture_output=True, timeout=20)


@contextmanager
def apart(members: Sequence[str]) -> Iterator[Mapping[str, Apart]]:
    """A network for each of these members, or none at all, and that said, where this process may not make one."""
    first = os.getpid() % 8_000 * 8
    with ExitStack() as stack:
        made = {}
        try:
            for number, member in enumerate(members, first):
                network = made[member] = Apart.named(number)
                stack.callback(network.end)
                network.make()
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"no network namespaces here ({error}): a proxy that falls silent stands for them", flush=True)
            made = {}
        yield made
