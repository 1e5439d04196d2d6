"""An office for the tests: a folder with keys and public files, and the command run in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from keys.cli import main
from keys.kinds import Kind
from keys.locks import Cost, Passphrase
from keys.papers import public_paper, read_statement
from keys.vault import Vault
from protocol.trust.statements import SignedStatement

CHEAP = Cost(passes=1, memory_kib=8)
WORDS = "una frase larga y secreta"
NOW = 1_795_305_600
KEYS = (
    ("ana", Kind.STEWARD),
    ("bruno", Kind.STEWARD),
    ("carla", Kind.STEWARD),
    ("dora", Kind.STEWARD),
    ("aiamp", Kind.HUB_ROOT),
    ("aiamp", Kind.HUB),
    ("aiamp", Kind.LOG),
    ("ar-mpf", Kind.MEMBER_ROOT),
    ("ar-mpf", Kind.NODE),
    ("br-mpf", Kind.MEMBER_ROOT),
    ("witness-a", Kind.WITNESS),
    ("witness-b", Kind.WITNESS),
    ("witness-c", Kind.WITNESS),
)
PLAN = """
name = "aiamp"
threshold = 2
stewards = ["carla.steward.pub", "ana.steward.pub", "bruno.steward.pub"]
expires = "730d"

[hub]
root = "aiamp.hub-root.pub"
log = "aiamp.log.pub"
origin = "hub.example/aiamp"
url = "https://hub.example"
"""


class Office:
    """Everybody's keys in one keystore, which no real association would have."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.vault = Vault(folder / "ks", CHEAP)

    @classmethod
    def furnish(cls, folder: Path) -> Office:
        """Make all keys, their public files and a plan of a charter in `folder`."""
        office = cls(folder)
        for name, kind in KEYS:
            key = office.vault.create(kind, name, Passphrase(WORDS), NOW)
            (folder / f"{name}.{kind}.pub").write_bytes(public_paper(key.public))
        (folder / "pass").write_text(f"{WORDS}\nsecond line\n")
        (folder / "pass").chmod(0o600)
        (folder / "plan.toml").write_text(PLAN)
        return office

    def run(self, *args: str, said: str | None = None, passphrase: bool = True, **more: Any) -> Result:
        """Run valija-keys with these arguments, `said` typed in."""
        environment = {"VALIJA_PASSPHRASE_FILE": "pass" if passphrase else None, "VALIJA_CHARTER": None} | more
        return CliRunner(env=environment).invoke(main, ["--keystore", "ks", *args], input=said)

    def ok(self, *args: str, **more: Any) -> str:
        """What a command that succeeds says."""
        result = self.run(*args, **more)
        assert result.exit_code == 0, result.output
        return result.output

    def told(self, *args: str, **more: Any) -> dict[str, Any]:
        """The object of a command that succeeds."""
        found: dict[str, Any] = json.loads(self.ok(*args, "--json", **more))
        return found

    def refused(self, code: str, *args: str, **more: Any) -> str:
        """What a command says that is refused with `code`, in both forms."""
        spoken = self.run(*args, **more)
        assert spoken.exit_code == 1, spoken.output
        assert spoken.stderr.endswith(f"[{code}]\n"), spoken.output
        result = self.run(*args, "--json", **more)
        assert result.exit_code == 1
        error: dict[str, str] = json.loads(result.stdout.splitlines()[-1])["error"]
        assert error["code"] == code
        return error["message"]

    def signed_by(self, file: str, *names: str) -> str:
        """`file`, after these keys have signed it."""
        for name in names:
            self.ok("sign", file, "--key", name, "--yes")
        return file

    def charter(self, name: str = "charter.valija", *signers: str) -> str:
        """A founding charter, signed by ana and bruno unless others are named."""
        self.ok("charter", "draft", "--from", "plan.toml", "--out", name)
        return self.signed_by(name, *(signers or ("ana", "bruno")))

    def statement(self, name: str) -> SignedStatement:
        """The statement in a file."""
        return read_statement(self.folder / name)

    def files(self) -> set[str]:
        """The names in the folder."""
        return {path.name for path in self.folder.iterdir()}
