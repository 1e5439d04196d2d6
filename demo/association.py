"""The association is founded and its members are admitted, all by the commands that real officers would use."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from demo.letters import NETWORK, SERVICES, STEWARDS, Service
from demo.stage import Daemon, Stage, free_port

ASSOCIATION = "aiamp"
# A real passphrase costs a guess 256 MiB; a demonstration need not wait for that.
CHEAP = ("--memory-kib", "1024")


@dataclass
class Association:
    """The papers and homes of the story's association, below the stage's folder."""

    stage: Stage
    port: int = field(default_factory=free_port)
    hub: Daemon | None = None
    nodes: dict[str, Daemon] = field(default_factory=dict)

    @property
    def papers(self) -> Path:
        """Where officers put what they pass on to each other."""
        return self.stage.folder / "papers"

    @property
    def charter(self) -> Path:
        """The signed charter."""
        return self.papers / "charter.txt"

    @property
    def hub_home(self) -> Path:
        """The hub's home: everything that it has on disk."""
        return self.stage.folder / "hub"

    @property
    def url(self) -> str:
        """Where the hub listens."""
        return f"http://127.0.0.1:{self.port}"

    def home(self, member: str) -> Path:
        """The home of a member's node."""
        return self.stage.folder / member

    def keys(self, holder: str, *argv: str | Path, shown: bool = False) -> None:
        """Run `valija-keys` with the keystore of this holder."""
        self.stage.run("valija-keys", "--keystore", self.stage.folder / "keystores" / holder, *argv, shown=shown)

    def passphrase(self, holder: str) -> tuple[str, Path]:
        """The option that names the passphrase file of this holder."""
        path = self.stage.folder / "keystores" / f"{holder}.passphrase"
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(f"only for a demonstration: {holder}\n")
        return ("--passphrase-file", path)

    # -- founding --------------------------------------------------------------------------------------
    def found(self) -> None:
        """Three stewards make keys, two of them sign the charter, and the hub is certified and opened."""
        self.papers.mkdir()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(self._steward, STEWARDS))
        self._new("hub-root", ASSOCIATION)
        self.stage.run("valija-hub", "init", "--home", self.hub_home, "--association", ASSOCIATION,
                       "--port", str(self.port), shown=True)  # fmt: skip
        self._charter()
        self._sign(self.charter, shown=True)
        certificate = self.papers / "hub-certificate.txt"
        self.keys(ASSOCIATION, "certify", "hub", "--hub-key", self._hub_paper("hub"), "--root-key", ASSOCIATION,
                  "--charter", self.charter, "--out", certificate, *self.passphrase(ASSOCIATION), shown=True)  # fmt: skip
        self.stage.run("valija-hub", "install", "--home", self.hub_home, self.charter, certificate, shown=True)

    def _steward(self, name: str) -> None:
        self._new("steward", name)

    def _new(self, kind: str, name: str) -> None:
        self.keys(name, "new", kind, name, "--out", self.papers / f"{name}.{kind}.public",
                  *CHEAP, *self.passphrase(name), shown=True)  # fmt: skip

    def _hub_paper(self, kind: str) -> Path:
        return self.hub_home / "public" / f"{ASSOCIATION}.{kind}.public"

    def _charter(self) -> None:
        stewards = [word for name in STEWARDS for word in ("--steward", str(self.papers / f"{name}.steward.public"))]
        self.keys(STEWARDS[0], "charter", "draft", "--name", ASSOCIATION, *stewards, "-k", "2",
                  "--hub-root", self.papers / f"{ASSOCIATION}.hub-root.public", "--log", self._hub_paper("log"),
                  "--origin", f"demo.invalid/{ASSOCIATION}", "--url", self.url, "--expires", "730d",
                  "--out", self.charter, shown=True)  # fmt: skip

    def _sign(self, paper: Path, *, shown: bool = False) -> None:
        """Two of the three stewards sign, one after the other, by passing the file on."""
        context = () if paper == self.charter else ("--charter", self.charter)
        for name in STEWARDS[:2]:
            self.keys(name, "sign", paper, "--key", name, "--yes", *context, *self.passphrase(name), shown=shown)

    # -- members ---------------------------------------------------------------------------------------
    def admit(self) -> list[Path]:
        """Every service is admitted by two stewards, and certifies its own node; the papers to publish."""
        with ThreadPoolExecutor(2) as pool:
            papers = list(pool.map(self._admit, SERVICES))
        roster = self.papers / f"{NETWORK}.txt"
        members = ",".join(service.member for service in SERVICES)
        self.keys(STEWARDS[0], "network", "define", NETWORK, "--members", members, "--charter", self.charter, "--out", roster,
                  shown=True)  # fmt: skip
        self._sign(roster)
        return [paper for pair in papers for paper in pair] + [roster]

    def _admit(self, service: Service) -> tuple[Path, Path]:
        member, first = service.member, service is SERVICES[0]
        home, admission = self.home(member), self.papers / f"{member}.admission.txt"
        certificate = self.papers / f"{member}.certificate.txt"
        root = self.papers / f"{member}.member-root.public"
        self.keys(member, "new", "member-root", member, "--out", root, *CHEAP, *self.passphrase(member), shown=first)
        self.stage.run("valija-node", "init", "--home", home, "--member", member, "--charter", self.charter,
                       "--hub", self.url, shown=first)  # fmt: skip
        self.keys(STEWARDS[0], "admit", member, "--root", root, "--title", f"{service.language}={service.title}",
                  "--country", service.country, "--charter", self.charter, "--out", admission, shown=first)  # fmt: skip
        self._sign(admission, shown=first)
        self.keys(member, "certify", "node", member, "--node-key", home / "node-key.txt", "--root-key", member,
                  "--charter", self.charter, "--with", admission, "--out", certificate,
                  *self.passphrase(member), shown=first)  # fmt: skip
        return admission, certificate

    # -- servers ---------------------------------------------------------------------------------------
    def start_hub(self) -> Daemon:
        """Start the hub, the first time or again."""
        if self.hub is None:
            self.hub = self.stage.daemon("hub", "valija-hub", "serve", "--home", self.hub_home)
        elif not self.hub.running():
            self.hub.start()
        return self.hub

    def start_node(self, member: str) -> Daemon:
        """Start a member's node, the first time or again."""
        if member in self.nodes:
            self.nodes[member].start()
        else:
            self.nodes[member] = self.stage.daemon(member, "valija-node", "serve", "--home", self.home(member))
        return self.nodes[member]
