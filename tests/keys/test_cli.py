"""The valija-keys command on keys and papers: what it says, writes, refuses, and leaves alone."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import warnings
from contextlib import redirect_stdout
from getpass import GetPassWarning
from io import StringIO
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from keys.armour import Mark, armour, read_armour
from keys.console import Commands, answer, asking, json_option
from keys.kinds import Kind, hex_groups
from keys.locks import Passphrase
from keys.papers import read_part
from protocol.codec import encode
from protocol.errors import UsageError
from protocol.trust.statements import SignedStatement
from tests.keys.office import PLAN, WORDS, Office

NEW = ("--memory-kib", "8", "--passes", "1")


# -- keys --------------------------------------------------------------------------------------------
def test_a_new_key_opens_with_the_passphrase_that_was_typed(office: Office) -> None:
    said = office.ok("new", "steward", "eva", *NEW, passphrase=False, said=f"{WORDS}\n{WORDS}\n")
    assert WORDS not in said
    assert "Made the steward key eva." in said
    assert office.vault.folder.name == "ks"
    signed = office.charter()
    assert "not signed" not in office.ok("sign", signed, "--key", "ana", "--yes")


def test_the_public_half_is_written_beside(office: Office) -> None:
    told = office.told("new", "node", "co-fgn", "--out", "co.pub", "--secret-file", "secret", *NEW)
    assert told["fingerprint"] == hex_groups(read_part(Path("co.pub")).fingerprint)
    assert (told["file"], told["public_file"]) == ("ks/co-fgn.node.key", "co.pub")
    assert Path("secret").stat().st_mode & 0o777 == 0o600
    office.told("new", "hub", "co-fgn", "--secret-file", "secret", *NEW)
    listed = {each["key"]: each["opens_with"] for each in office.told("list")["keys"]}
    assert (listed["co-fgn.hub"], listed["ana.steward"]) == ("secret file", "passphrase")


def test_a_dry_run_makes_nothing(office: Office) -> None:
    before = office.files()
    assert "Would make a node key called co-fgn" in office.ok(
        "new", "node", "co-fgn", "--dry-run", "--secret-file", "s"
    )
    assert office.told("new", "node", "co-fgn", "--dry-run")["dry_run"] is True
    office.ok("show", "ana", "--out", "x.pub", "--dry-run")
    office.ok("charter", "draft", "--from", "plan.toml", "--dry-run")
    assert office.files() == before
    assert not Path("ks/co-fgn.node.key").exists()


@pytest.mark.parametrize(("kind", "name", "out"), [("steward", "ana", "new.pub"), ("steward", "eva", "plan.toml")])
def test_nothing_is_overwritten(office: Office, kind: str, name: str, out: str) -> None:
    before = Path("plan.toml").read_bytes(), Path("ks/ana.steward.key").read_bytes()
    office.refused("already_exists", "new", kind, name, "--out", out, *NEW)
    assert (Path("plan.toml").read_bytes(), Path("ks/ana.steward.key").read_bytes()) == before
    assert not Path("ks/eva.steward.key").exists()


@pytest.mark.parametrize("said", ["short\nshort\n", "once so and long enough\nonce otherwise, long too\n", ""])
def test_a_short_or_doubtful_passphrase_makes_no_key(office: Office, said: str) -> None:
    assert office.run("new", "steward", "eva", *NEW, passphrase=False, said=said).exit_code == 1
    assert not Path("ks/eva.steward.key").exists()


@pytest.mark.parametrize(
    ("out", "said"), [("none/x.pub", "No such file"), ("plan.toml/x.pub", "is no folder"), ("x" * 300, "too long")]
)
def test_without_a_place_for_the_public_half_no_key_is_made(office: Office, out: str, said: str) -> None:
    for more in ((), ("--dry-run",)):
        assert said in office.refused("invalid_request", "new", "steward", "eva", "--out", out, *NEW, *more)
        assert said in office.refused("invalid_request", "show", "ana", "--out", out, *more)
        assert said in office.refused("invalid_request", "charter", "draft", "--from", "plan.toml", "--out", out, *more)
    assert not Path("ks/eva.steward.key").exists()


def test_where_nothing_can_be_written_nothing_is_begun(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda _path, mode: not mode & os.W_OK)
    assert "nothing can be written in ." in office.refused("invalid_request", "show", "ana", "--out", "x.pub")


def test_a_short_passphrase_is_explained(office: Office) -> None:
    Path("pass").write_text("short")
    assert "at least 12 characters" in office.refused("invalid_request", "new", "steward", "eva", *NEW)


def test_a_passphrase_file_must_be_private_text(office: Office) -> None:
    Path("pass").chmod(0o644)
    assert "chmod 600" in office.refused("key_access", "new", "steward", "eva", *NEW)
    Path("pass").chmod(0o600)
    Path("pass").write_bytes(b"\xff" * 20)
    assert "holds no text" in office.refused("key_access", "new", "steward", "eva", *NEW)


def test_keys_are_listed_with_what_is_wrong_with_them(office: Office) -> None:
    Path("ks/ana.steward.key").chmod(0o644)
    Path("ks/bruno.steward.key").write_bytes(b"")
    listed = {each["key"]: each for each in office.told("list")["keys"]}
    assert listed["ana.steward"]["code"] == "key_access"
    assert listed["bruno.steward"]["code"] == "key_damaged"
    assert "fingerprint" in listed["carla.steward"]
    assert "chmod 600" in office.ok("list")
    assert "No keys in none" in office.ok("--keystore", "none", "list")


def test_a_public_key_is_shown_and_exported(office: Office) -> None:
    shown = office.ok("show", "ana")
    assert (
        read_armour(shown.encode(), Mark.PUBLIC_KEY)[1]
        == read_armour(Path("ana.steward.pub").read_bytes(), Mark.PUBLIC_KEY)[1]
    )
    assert "out.pub" in office.ok("show", "ana", "--out", "out.pub")
    assert read_part(Path("out.pub")) == office.vault.find("ana").public
    assert "to read out" in office.ok("explain", "out.pub")
    assert office.told("explain", "out.pub")["kind"] == "steward"
    office.refused("already_exists", "show", "ana", "--out", "out.pub")
    office.refused("key_access", "show", "nobody")
    office.refused("invalid_request", "show", "aiamp")


def test_a_draft_is_never_written_over_another_paper(office: Office) -> None:
    charter = office.charter()
    before = Path(charter).read_bytes()
    office.refused("already_exists", "charter", "draft", "--from", "plan.toml", "--out", charter)
    office.refused("already_exists", "suspend", "ar-mpf", "--charter", charter, "--out", charter, "--dry-run")
    assert Path(charter).read_bytes() == before


# -- explaining --------------------------------------------------------------------------------------
def test_what_stands_above_is_never_believed(office: Office) -> None:
    office.charter("charter.valija", "ana")
    data = Path("charter.valija").read_bytes()
    start = data.index(b"-----BEGIN")
    Path("forged.valija").write_bytes(b"Complete: nothing is missing. Signed by everybody.\n" + data[start:])
    said = office.ok("explain", "forged.valija")
    assert "everybody" not in said
    assert "1 signature is missing." in said
    assert "everybody" not in office.ok("sign", "forged.valija", "--key", "ana", "--yes")
    assert b"everybody" not in Path("forged.valija").read_bytes()


def test_a_charter_is_explained_with_all_fingerprints_and_warnings(office: Office) -> None:
    office.charter()
    said = office.ok("charter", "review", "charter.valija")
    for name in ("ana", "bruno", "carla"):
        assert hex_groups(office.vault.find(name).public.fingerprint) in said
    assert "founds the association aiamp" in said
    assert "one dishonest steward is enough" in said
    assert "No witnesses" in said
    told = office.told("explain", "charter.valija")
    assert told["signatures"]["complete"] is True
    assert told["signatures"]["groups"][0]["signed"] == ["steward ana", "steward bruno"]


def test_a_tampered_paper_is_refused(office: Office) -> None:
    office.charter()
    raw = bytearray(read_armour(Path("charter.valija").read_bytes(), Mark.STATEMENT)[1])
    raw[-1] ^= 1
    Path("tampered.valija").write_bytes(armour(Mark.STATEMENT, bytes(raw), ""))
    office.refused("bad_signature", "explain", "tampered.valija")
    office.refused("bad_signature", "assemble", "tampered.valija", "--out", "x.valija")
    raw = bytearray(read_armour(Path("charter.valija").read_bytes(), Mark.STATEMENT)[1])
    raw[raw.index(b"https://hub.example")] ^= 1
    Path("tampered.valija").write_bytes(armour(Mark.STATEMENT, bytes(raw), ""))
    office.refused("bad_signature", "explain", "tampered.valija")
    assert "x.valija" not in office.files()


def test_papers_of_the_wrong_kind_are_told(office: Office) -> None:
    office.charter()
    assert "not a statement" in office.refused("malformed", "sign", "ana.steward.pub", "--key", "ana", "--yes")
    message = office.refused("malformed", "admit", "ar-mpf", "--charter", "charter.valija", "--root", "charter.valija")
    assert "not a public key" in message
    assert "No such file" in office.refused("invalid_request", "explain", "none.valija")
    newer = armour(Mark.PUBLIC_KEY, encode([1, "steward", "ana", []]), "")
    Path("newer.pub").write_bytes(newer)
    assert "newer.pub" in office.refused("malformed", "explain", "newer.pub")
    Path("newer.valija").write_bytes(armour(Mark.STATEMENT, encode([encode([1, 1, bytes(32)]), []]), ""))
    office.refused("unsupported_version", "explain", "newer.valija")


# -- signing -----------------------------------------------------------------------------------------
def test_signing_shows_the_statement_and_asks(office: Office) -> None:
    office.ok("charter", "draft", "--from", "plan.toml")
    before = Path("charter-aiamp-1.valija").read_bytes()
    no = office.run("sign", "charter-aiamp-1.valija", "--key", "ana", said="n\n")
    assert no.exit_code == 1
    assert "founds the association aiamp" in no.output
    assert Path("charter-aiamp-1.valija").read_bytes() == before
    yes = office.run("sign", "charter-aiamp-1.valija", "--key", "ana", said="y\n")
    assert yes.exit_code == 0
    assert len(office.statement("charter-aiamp-1.valija").signatures) == 1


def test_a_typed_passphrase_signs(office: Office) -> None:
    office.ok("charter", "draft", "--from", "plan.toml")
    said = office.ok("sign", "charter-aiamp-1.valija", "--key", "ana", "--yes", passphrase=False, said=f"{WORDS}\n")
    assert "Signed as ana.steward" in said
    assert WORDS not in said


def test_the_wrong_passphrase_signs_nothing(office: Office) -> None:
    office.ok("charter", "draft", "--from", "plan.toml")
    before = Path("charter-aiamp-1.valija").read_bytes()
    Path("pass").write_text("una frase larga y falsa")
    office.refused("wrong_passphrase", "sign", "charter-aiamp-1.valija", "--key", "ana", "--yes")
    assert Path("charter-aiamp-1.valija").read_bytes() == before


def test_a_daemons_key_asks_for_its_secret_file(office: Office) -> None:
    office.ok("new", "member-root", "co-fgn", "--secret-file", "secret", "--out", "co.pub", *NEW)
    office.ok("new", "node", "co-fgn", "--secret-file", "secret", "--out", "co-node.pub", *NEW)
    charter = office.charter()
    certify = ("certify", "node", "co-fgn", "--charter", charter, "--node-key", "co-node.pub", "--root-key", "co-fgn")
    assert "--secret-file" in office.refused("key_access", *certify)
    office.ok(*certify, "--with", "co.pub", "--secret-file", "secret")
    assert len(office.statement("certificate-co-fgn.valija").signatures) == 1


def test_json_never_asks(office: Office) -> None:
    office.ok("charter", "draft", "--from", "plan.toml")
    result = office.run("sign", "charter-aiamp-1.valija", "--key", "ana", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["code"] == "invalid_request"


def test_where_nobody_can_be_asked_a_refusal_says_what_to_give(office: Office) -> None:
    file = "charter-aiamp-1.valija"
    office.ok("charter", "draft", "--from", "plan.toml", "--out", file)
    for asks in (("new", "steward", "eva", *NEW), ("sign", file, "--key", "ana", "--yes")):
        assert "give --passphrase-file FILE" in office.refused("invalid_request", *asks, passphrase=False, said="")
    nobody = office.run("sign", file, "--key", "ana", said="")
    assert (nobody.exit_code, nobody.stderr.splitlines()[-1].endswith("give --yes) [invalid_request]")) == (1, True)
    assert office.run("sign", file, "--key", "ana", said="n\n").stderr.endswith("Aborted!\n")
    assert office.statement(file).signatures == ()


def test_a_passphrase_is_not_typed_where_it_would_show() -> None:
    with pytest.raises(UsageError, match="nobody to ask"), asking("something"):
        warnings.warn("Can not control echo on the terminal.", GetPassWarning, stacklevel=1)


def test_without_a_terminal_only_the_refusal_is_said(office: Office) -> None:
    command = [sys.executable, "-c", "from keys.cli import main; main()", "--keystore", str(office.vault.folder)]
    environment = {each: value for each, value in os.environ.items() if not each.startswith("VALIJA")}
    done = subprocess.run(
        [*command, "new", "steward", "eva", *NEW, "--json"],
        env={**environment, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert json.loads(done.stdout)["error"]["code"] == "invalid_request"


def test_a_dry_run_of_sign_needs_no_passphrase_and_signs_nothing(office: Office) -> None:
    office.ok("charter", "draft", "--from", "plan.toml")
    said = office.ok("sign", "charter-aiamp-1.valija", "--key", "ana", "--dry-run", passphrase=False)
    assert "Would sign this as ana.steward." in said
    assert office.statement("charter-aiamp-1.valija").signatures == ()


def test_sign_to_another_file_leaves_the_first(office: Office) -> None:
    office.ok("charter", "draft", "--from", "plan.toml", "--out", "draft.valija")
    office.ok("sign", "draft.valija", "--key", "ana", "--yes", "--out", "by-ana.valija")
    assert office.statement("draft.valija").signatures == ()
    assert len(office.statement("by-ana.valija").signatures) == 1
    for how in ("--yes", "--dry-run"):
        office.refused("already_exists", "sign", "draft.valija", "--key", "bruno", how, "--out", "by-ana.valija")
        office.refused("already_exists", "show", "ana", "--out", "by-ana.valija", *({how} & {"--dry-run"}))


def test_a_key_that_does_not_count_does_not_sign(office: Office) -> None:
    office.ok("charter", "draft", "--from", "plan.toml", "--out", "draft.valija")
    for how in ("--yes", "--dry-run"):
        for name in ("dora", "ar-mpf.member-root"):
            assert "would not count" in office.refused("invalid_request", "sign", "draft.valija", "--key", name, how)
        said = office.refused("invalid_request", "sign", "draft.valija", "--key", "aiamp.log", how)
        assert "a log key signs no statements" in said
    assert office.statement("draft.valija").signatures == ()


def test_a_failed_write_keeps_the_old_file(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.ok("charter", "draft", "--from", "plan.toml", "--out", "draft.valija")
    before = Path("draft.valija").read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        office.refused("store", "sign", "draft.valija", "--key", "ana", "--yes")
    assert Path("draft.valija").read_bytes() == before
    assert not [name for name in office.files() if name.endswith(".part")]


# -- assembling --------------------------------------------------------------------------------------
def test_copies_signed_apart_are_put_together(office: Office) -> None:
    office.ok("charter", "draft", "--from", "plan.toml", "--out", "draft.valija")
    for name in ("ana", "carla"):
        office.ok("sign", "draft.valija", "--key", name, "--yes", "--out", f"by-{name}.valija")
    said = office.ok("assemble", "by-ana.valija", "by-carla.valija", "draft.valija", "--out", "whole.valija")
    assert "Complete: nothing is missing." in said
    assert len(office.statement("whole.valija").signatures) == 2


def test_one_steward_twice_does_not_count_twice(office: Office) -> None:
    office.ok("charter", "draft", "--from", "plan.toml", "--out", "draft.valija")
    for number in ("1", "2"):
        office.ok("sign", "draft.valija", "--key", "ana", "--yes", "--out", f"{number}.valija")
    office.signed_by("1.valija", "ana")
    first, second = office.statement("1.valija"), office.statement("2.valija")
    assert first.signatures != second.signatures
    assert "1 of the 2 needed" in office.refused("threshold_not_met", "assemble", "1.valija", "2.valija", "--out", "x")
    assert "x" not in office.files()
    told = office.told("assemble", "1.valija", "2.valija", "--out", "x", "--partial")
    assert (told["signatures"]["missing"], len(office.statement("x").signatures)) == (1, 1)


def test_a_doubled_signature_in_the_bytes_is_refused(office: Office) -> None:
    office.charter("charter.valija", "ana")
    signed = office.statement("charter.valija")
    fingerprint, signature = signed.signatures[0]
    doubled = encode([signed.body, [(fingerprint, *signature.value())] * 2])
    Path("doubled.valija").write_bytes(armour(Mark.STATEMENT, doubled, ""))
    office.refused("malformed", "explain", "doubled.valija")


def test_different_statements_do_not_assemble(office: Office) -> None:
    office.charter("one.valija")
    Path("plan.toml").write_text(PLAN.replace("hub.example", "other.example"))
    office.charter("two.valija")
    office.refused("invalid_request", "assemble", "one.valija", "two.valija", "--out", "x")


def test_what_cannot_be_counted_is_not_called_complete(office: Office) -> None:
    charter = office.charter()
    office.ok("admit", "ar-mpf", "--charter", charter, "--root", "ar-mpf.member-root.pub", "--out", "a.valija")
    office.signed_by("a.valija", "ana", "bruno")
    assert "give --charter FILE" in office.ok("explain", "a.valija")
    assert "give --charter FILE" in office.refused("invalid_request", "assemble", "a.valija", "--out", "x")
    assert "Complete" in office.ok("assemble", "a.valija", "--charter", charter, "--out", "x")


# -- manners -----------------------------------------------------------------------------------------
def test_no_command_takes_a_passphrase_as_an_argument(office: Office) -> None:
    for command in (["new"], ["sign"], ["certify"], ["revoke"]):
        said = office.ok(*command, "--help")
        assert "--passphrase-file" in said
        assert "--passphrase " not in said


def test_what_is_not_understood_exits_2(office: Office) -> None:
    assert office.run("new", "prince", "ana").exit_code == 2
    result = office.run("new", "--json", "prince", "ana")
    assert (result.exit_code, json.loads(result.stdout)["error"]["code"]) == (2, "invalid_request")
    assert office.run("certify", "node", "--charter", "x", "--node-key", "x", "--root-key", "x").exit_code == 2
    assert office.run("charter", "draft").exit_code == 2
    assert office.run("charter", "draft", "--from", "plan.toml", "--name", "x").exit_code == 2


@pytest.mark.parametrize("words", [["new", "--bogus"], ["bogus"], ["--bogus", "list"], ["charter", "draft", "--bogus"]])
def test_a_program_is_told_in_json_what_was_not_understood(office: Office, words: list[str]) -> None:
    result = office.run(*words, "--json")
    assert (result.exit_code, json.loads(result.stdout)["error"]["code"]) == (2, "invalid_request")
    for spoken in (office.run(*words), office.run(*words, "--", "--json")):
        assert (spoken.exit_code, spoken.stdout) == (2, "")


def test_what_the_system_refuses_is_no_traceback(office: Office) -> None:
    assert "File name too long" in office.refused("store", "--keystore", "k" * 300, "list")
    assert "nobody knows whose home" in office.refused("bad_config", "--keystore", "~nobody-here/ks", "list")
    Path("long.toml").write_text(f"a = {'[' * 3_000}{']' * 3_000}")
    office.refused("bad_config", "charter", "draft", "--from", "long.toml")
    Path("zero.toml").write_text(PLAN.replace("aiamp.log.pub", "a\\u0000b"))
    assert "no file has such a name" in office.refused("invalid_request", "charter", "draft", "--from", "zero.toml")


def test_a_threshold_of_nobody_is_refused_and_not_left_out(office: Office) -> None:
    charter = office.charter()
    assert "0 of 3 stewards" in office.refused("invalid_request", "charter", "next", charter, "-k", "0")


def test_hostile_text_is_shown_as_text(office: Office) -> None:
    charter = office.charter()
    office.ok("suspend", "ar-mpf", "--charter", charter, "--reason", "\x1b[2J[bold]now\u202e", "--out", "s.valija")
    said = office.ok("explain", "s.valija", "--charter", charter)
    assert "\\u{1b}[2J[bold]now\\u{202e}" in said
    assert "\x1b" not in said


def test_colour_is_kept_from_pipes_and_from_those_who_refuse_it(office: Office) -> None:
    office.charter()
    forced = {"FORCE_COLOR": "1", "TERM": "xterm-256color"}
    assert "\x1b[" in office.ok("explain", "charter.valija", **forced)
    assert "\x1b[3" not in office.ok("explain", "charter.valija", NO_COLOR="1", **forced)
    assert "\x1b" not in office.ok("explain", "charter.valija")


@pytest.mark.full
def test_a_whole_ceremony_in_real_processes(office: Office) -> None:
    """Two of three stewards found an association, admit a member and certify its node, each as a process."""

    def keys(*args: str, status: int = 0) -> dict[str, object]:
        command = [sys.executable, "-c", "from keys.cli import main; main()", "--keystore", "fresh", *args, "--json"]
        root = str(Path(__file__).parents[2])
        environment = {**os.environ, "PYTHONPATH": root, "VALIJA_PASSPHRASE_FILE": "pass"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
        assert (done.returncode, done.stderr) == (status, "")
        found: dict[str, object] = json.loads(done.stdout)
        return found

    for name in ("ana", "bruno", "carla"):
        keys("new", "steward", name, "--out", f"{name}.pub", *NEW)
    keys("new", "hub-root", "aiamp", "--out", "root.pub", *NEW)
    keys("new", "log", "aiamp", "--secret-file", "hub.secret", "--out", "log.pub")
    keys("new", "member-root", "ar-mpf", "--out", "ar.pub", *NEW)
    keys("new", "node", "ar-mpf", "--secret-file", "node.secret", "--out", "node.pub")
    stewards = [part for name in ("ana", "bruno", "carla") for part in ("--steward", f"{name}.pub")]
    hub = ("--hub-root", "root.pub", "--log", "log.pub", "--origin", "hub.example/a", "--url", "https://hub.example")
    keys("charter", "draft", "--name", "aiamp", *stewards, "-k", "2", *hub, "--expires", "365d", "--out", "draft")
    keys("sign", "draft", "--key", "ana", "--yes", "--out", "by-ana")
    assert keys("assemble", "by-ana", "--out", "charter", status=1)["error"]
    keys("sign", "draft", "--key", "carla", "--yes", "--out", "by-carla")
    keys("assemble", "by-ana", "by-carla", "--out", "charter")
    keys("admit", "ar-mpf", "--charter", "charter", "--root", "ar.pub", "--country", "AR", "--out", "admission")
    for name in ("bruno", "carla"):
        keys("sign", "admission", "--key", name, "--charter", "charter", "--yes")
    certificate = ("certify", "node", "ar-mpf", "--charter", "charter", "--with", "admission")
    told = keys(*certificate, "--node-key", "node.pub", "--root-key", "ar-mpf", "--out", "certificate")
    assert told["signatures"] == {
        "complete": True,
        "missing": 0,
        "groups": [{"who": "root of ar-mpf", "needed": 1, "signed": ["root of ar-mpf"], "not_signed": []}],
        "not_counted": [],
        "wanted": None,
    }
    assert isinstance(office.statement("certificate"), SignedStatement)


def test_the_keystore_of_the_office_is_whole(office: Office) -> None:
    assert office.vault.open(Kind.STEWARD, "ana", Passphrase(WORDS)).public.name == "ana"


# -- what is no text ------------------------------------------------------------------------------------
@click.group(cls=Commands)
def _commands() -> None:
    """Commands that say what they were given."""


@_commands.command()
@click.argument("word")
@click.argument("encoding")
@json_option
def written(*, word: str, encoding: str) -> None:
    """Write a word, as to another program."""
    answer({"written": len(word.encode(encoding)), "word": word}, [word])


@_commands.command()
def unread() -> None:
    """Speak to somebody who has enough of it."""
    raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def test_whoever_has_enough_of_what_is_said_is_told_nothing_more() -> None:
    done = CliRunner().invoke(_commands, ["unread"])
    assert (done.exit_code, done.output) == (1, "")


def test_bytes_that_are_no_text_are_blamed_on_the_command_line() -> None:
    done = CliRunner().invoke(_commands, ["written", "a\udc9bb", "utf-8"])
    assert (done.exit_code, "the byte 0x9b on the command line is not UTF-8 text" in done.output) == (1, True)


def test_other_text_that_cannot_be_written_is_no_fault_of_it() -> None:
    done = CliRunner().invoke(_commands, ["written", "→", "ascii"])
    assert isinstance(done.exception, UnicodeEncodeError)


def test_the_name_of_a_file_that_is_no_text_is_told_escaped() -> None:
    done = CliRunner().invoke(_commands, ["written", "a\udc9bb", "unicode_escape", "--json"])
    assert (done.exit_code, json.loads(done.output)["word"]) == (0, "a\udc9bb")


def test_what_a_terminal_lacks_is_shown_by_its_number() -> None:
    done = CliRunner(charset="ascii").invoke(_commands, ["written", "señal →", "utf-8"])
    assert (done.exit_code, done.output) == (0, "se\\xf1al \\u2192\n")


def test_an_output_that_is_no_terminal_and_no_file_is_left_as_it_is() -> None:
    with redirect_stdout(StringIO()) as said:
        _commands.main(["written", "señal", "utf-8"], standalone_mode=False)
    assert said.getvalue() == "señal\n"
