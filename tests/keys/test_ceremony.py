"""Drafting and counting: charters and their successors, members, certificates, networks, and the end of trust."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import time_machine

from keys.ceremony import Papers, add_signature, tally
from keys.kinds import Kind
from keys.locks import Passphrase
from keys.papers import read_part
from keys.times import read_time, show_time
from keys.words import facts, headline, lines_of, warnings
from protocol.errors import StaleError, UsageError
from protocol.names import show_id
from protocol.trust.registry import Registry, entry_bytes
from protocol.trust.statements import (
    Admission,
    Certificate,
    Charter,
    Expulsion,
    Lift,
    Opening,
    Revocation,
    Role,
    Roster,
    SignedStatement,
    Suspension,
    sign_statement,
)
from tests.keys.office import PLAN, WORDS, Office
from tests.support.world import START, World

WITNESSED = """
[witnesses]
quorum = 2
faulty = 0
keys = ["witness-b.witness.pub", "witness-a.witness.pub", "witness-c.witness.pub"]

[limits]
mailbox_messages = 5
"""


# -- charters ----------------------------------------------------------------------------------------
def test_a_charter_from_a_file_says_what_the_file_says(office: Office) -> None:
    Path("plan.toml").write_text(PLAN + WITNESSED)
    charter = office.statement(office.charter()).statement
    assert isinstance(charter, Charter)
    assert [steward.name for steward in charter.stewards] == ["ana", "bruno", "carla"]
    assert [name for name, _key in charter.witnesses.keys] == ["witness-a", "witness-b", "witness-c"]
    assert (charter.threshold, charter.limits.mailbox_messages, charter.version) == (2, 5, 1)
    assert charter.hub.root == office.vault.find("aiamp.hub-root").public.key
    told = office.told("explain", "charter.valija")
    assert told["witnesses"]["needed"] == "2 of 3"
    assert "No witnesses" not in office.ok("explain", "charter.valija")


def test_a_charter_from_options_is_the_same_as_from_a_file(office: Office) -> None:
    stewards = [part for name in ("ana", "bruno", "carla") for part in ("--steward", f"{name}.steward.pub")]
    hub = ("--hub-root", "aiamp.hub-root.pub", "--log", "aiamp.log.pub", "--origin", "hub.example/aiamp")
    options = ("--name", "aiamp", "-k", "2", *stewards, *hub, "--url", "https://hub.example", "--expires", "730d")
    with time_machine.travel(START, tick=False):
        office.ok("charter", "draft", *options, "--out", "one.valija")
        office.ok("charter", "draft", "--from", "plan.toml", "--out", "two.valija")
    assert office.statement("one.valija").body == office.statement("two.valija").body


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        ('name = "aiamp"', "", "bad_config"),
        ('name = "aiamp"', 'nom = "aiamp"', "bad_config"),
        ('name = "aiamp"', 'name = "aiamp" nonsense', "bad_config"),
        ('name = "aiamp"', 'name = "No Name"', "invalid_request"),
        ("threshold = 2", "threshold = 4", "invalid_request"),
        ("threshold = 2", 'threshold = "2"', "bad_config"),
        ('"bruno.steward.pub"', '"ana.steward.pub"', "invalid_request"),
        ('"bruno.steward.pub"', '"ar-mpf.node.pub"', "invalid_request"),
        ('"bruno.steward.pub"', '"none.pub"', "invalid_request"),
        ('"aiamp.log.pub"', '"witness-a.witness.pub"', "invalid_request"),
        ('expires = "730d"', 'expires = "0d"', "invalid_request"),
        ('expires = "730d"', 'expires = "soon"', "invalid_request"),
    ],
)
def test_a_plan_that_is_no_charter_drafts_nothing(office: Office, before: str, after: str, code: str) -> None:
    assert before in PLAN
    Path("plan.toml").write_text(PLAN.replace(before, after))
    office.refused(code, "charter", "draft", "--from", "plan.toml")
    assert "charter-aiamp-1.valija" not in office.files()


def test_every_mistake_in_a_plan_is_told_at_once(office: Office) -> None:
    plan = PLAN.replace('name = "aiamp"', "").replace("threshold = 2", 'threshold = "2"')
    limits = '[limits]\nmailbox_mesages = 5\nmailbox_bytes = "many"\n'
    Path("plan.toml").write_text("witnesses = 3\n" + plan.replace("origin =", "zzzzzz =") + limits)
    message = office.refused("bad_config", "charter", "draft", "--from", "plan.toml")
    for part in (
        "(name is missing",
        "threshold: Expected int, got str",
        "witnesses: Expected ",
        "hub.origin is missing",
        "hub.zzzzzz is no setting;",
        "limits.mailbox_mesages is no setting, did you mean mailbox_messages?",
        "limits.mailbox_bytes: Expected int, got str",
    ):
        assert part in message


def test_what_no_charter_can_say_is_told_at_once_with_the_files_that_are_not_there(office: Office) -> None:
    plan = PLAN.replace('"bruno.steward.pub"', '"ar-mpf.node.pub"').replace('"ana.steward.pub"', '"none.pub"')
    Path("plan.toml").write_text(plan.replace("threshold = 2", "threshold = 9").replace('"730d"', '"soon"'))
    message = office.refused("invalid_request", "charter", "draft", "--from", "plan.toml")
    for part in (
        "none.pub: No such file",
        "ar-mpf is a node key; needed: steward",
        "expires: 'soon'",
        "threshold: 9 of 3",
    ):
        assert part in message


def test_missing_options_are_all_named(office: Office) -> None:
    result = office.run("charter", "draft", "--name", "aiamp")
    assert result.exit_code == 2
    for option in ("--steward", "--threshold", "--hub-root", "--log", "--origin", "--url", "--expires"):
        assert option in result.stderr


def test_the_next_charter_needs_the_old_and_the_new_stewards(office: Office) -> None:
    charter = office.charter()
    changes = ("--remove-steward", "ana", "--add-steward", "dora.steward.pub", "--url", "https://new.example")
    office.ok("charter", "next", charter, *changes, "--out", "next.valija")
    assert "the charter before it is needed" in office.ok("explain", "next.valija")
    office.signed_by("next.valija", "dora", "carla")
    with_old = ("--charter", charter)
    said = office.ok("explain", "next.valija", *with_old)
    assert "stewards of charter 1, in force: 1 of the 2 needed have signed (steward carla)." in said
    assert "stewards of charter 2, this one: 2 of the 2 needed have signed (steward carla, steward dora)." in said
    office.refused("threshold_not_met", "assemble", "next.valija", *with_old, "--out", "x")
    office.ok("sign", "next.valija", "--key", "ana", "--yes", *with_old)
    assert "Complete" in office.ok("assemble", "next.valija", *with_old, "--out", "charter-2.valija")
    second = office.statement("charter-2.valija").statement
    assert isinstance(second, Charter)
    assert (second.version, second.previous, second.hub.url) == (2, office.statement(charter).id, "https://new.example")


def test_a_registry_takes_what_the_ceremony_made(office: Office) -> None:
    first = office.statement(office.charter())
    office.ok("charter", "next", "charter.valija", "--threshold", "3", "--out", "next.valija")
    office.signed_by("next.valija", "ana", "bruno", "carla")
    registry = Registry(first.association)
    for signed in (first, office.statement("next.valija")):
        at = signed.statement.created_at if isinstance(signed.statement, Charter) else 0
        entry = entry_bytes(signed.statement.type, at, signed.hash)
        assert registry.append(entry, signed).applied


def test_all_parts_of_a_charter_can_change(office: Office) -> None:
    charter = office.charter()
    office.ok("new", "hub-root", "second", "--out", "root2.pub", "--memory-kib", "8", "--passes", "1")
    office.ok("new", "log", "second", "--out", "log2.pub", "--memory-kib", "8", "--passes", "1")
    office.ok(
        "charter", "next", charter, "--hub-root", "root2.pub", "--log", "log2.pub", "--origin", "new.example/log",
        "--continues", "12", "ab" * 32, "--expires", "2030-01-01", "-k", "3", "--out", "n.valija",
    )  # fmt: skip
    new = office.statement("n.valija").statement
    assert isinstance(new, Charter)
    log_key, log_ed25519 = read_part(Path("log2.pub")).parts
    assert new.hub.root == read_part(Path("root2.pub")).key
    assert (new.hub.log_key, new.hub.log_ed25519, new.hub.origin) == (log_key, log_ed25519, "new.example/log")
    assert new.continues is not None
    assert (new.continues.size, new.continues.root, new.threshold) == (12, bytes.fromhex("ab" * 32), 3)
    assert show_time(new.expires_at) == "2030-01-01T00:00:00Z"
    assert office.told("explain", "n.valija")["continues_the_log"] == "from 12 entries"
    Path("plan.toml").write_text(PLAN.replace("hub.example", "third.example"))
    office.ok("charter", "next", charter, "--from", "plan.toml", "--out", "m.valija")
    third = office.statement("m.valija").statement
    assert isinstance(third, Charter)
    assert (third.version, third.hub.url) == (2, "https://third.example")


@pytest.mark.parametrize(
    "changes",
    [
        ("--remove-steward", "nobody"),
        ("--add-steward", "ana.steward.pub"),
        ("--continues", "12", "no digits"),
        ("--continues", "12", "ab"),
        ("--expires", "2020-01-01"),
        ("-k", "9"),
    ],
)
def test_changes_that_make_no_charter_are_refused(office: Office, changes: tuple[str, ...]) -> None:
    charter = office.charter()
    office.refused("invalid_request", "charter", "next", charter, *changes, "--out", "n.valija")
    assert "n.valija" not in office.files()


def test_a_successor_of_an_unsigned_charter_is_not_drafted(office: Office) -> None:
    charter = office.charter("half.valija", "ana")
    assert "1 of the 2" in office.refused("threshold_not_met", "charter", "next", charter)
    office.refused("threshold_not_met", "admit", "ar-mpf", "--charter", charter, "--root", "ar-mpf.member-root.pub")


def test_a_second_charter_counts_only_if_its_own_stewards_signed(office: Office) -> None:
    charter = office.charter()
    office.ok("charter", "next", charter, "--threshold", "3", "--out", "next.valija")
    root = ("--root", "ar-mpf.member-root.pub")
    for number, name in enumerate(("ana", "bruno", "carla")):
        message = office.refused("threshold_not_met", "admit", "ar-mpf", "--charter", "next.valija", *root)
        assert f"{number} of the 3" in message
        office.signed_by("next.valija", name)
    office.ok("admit", "ar-mpf", "--charter", "next.valija", *root, "--out", "a.valija")
    said = office.ok("explain", "a.valija", "--charter", charter, "--charter", "next.valija")
    assert "stewards of charter 2: 0 of the 3" in said


# -- members, certificates, networks -----------------------------------------------------------------
def test_an_admission_carries_titles_country_and_root(office: Office) -> None:
    charter = office.charter()
    titles = ("--title", "es=Ministerio Público Fiscal", "--title", "pt-BR=Ministério Público")
    office.ok("admit", "ar-mpf", "--charter", charter, "--root", "ar-mpf.member-root.pub", *titles, "--country", "AR")
    admission = office.statement("admission-ar-mpf.valija").statement
    assert isinstance(admission, Admission)
    assert admission.titles == (("es", "Ministerio Público Fiscal"), ("pt-BR", "Ministério Público"))
    assert (admission.country, admission.root) == ("AR", office.vault.find("ar-mpf.member-root").public.key)
    told = office.told("explain", "admission-ar-mpf.valija", "--charter", charter)
    assert told["signatures"]["missing"] == 2


@pytest.mark.parametrize(
    "wrong",
    [
        ("AR-MPF", "--root", "ar-mpf.member-root.pub"),
        ("ar-mpf", "--root", "ar-mpf.node.pub"),
        ("ar-mpf", "--root", "ar-mpf.member-root.pub", "--country", "ar"),
        ("ar-mpf", "--root", "ar-mpf.member-root.pub", "--title", "Ministerio"),
        ("ar-mpf", "--root", "ar-mpf.member-root.pub", "--title", f"es={'x' * 129}"),
    ],
)
def test_an_admission_that_cannot_be_is_refused(office: Office, wrong: tuple[str, ...]) -> None:
    charter = office.charter()
    before = office.files()
    office.refused("invalid_request", "admit", *wrong, "--charter", charter)
    assert office.files() == before


def test_only_a_charter_serves_as_charter(office: Office) -> None:
    charter = office.charter()
    office.ok("suspend", "ar-mpf", "--charter", charter)
    message = office.refused("invalid_request", "suspend", "br-mpf", "--charter", "suspension-ar-mpf.valija")
    assert "a charter is needed, not suspension" in message


def test_another_associations_charter_judges_nothing(office: Office) -> None:
    charter = office.charter()
    office.ok("suspend", "ar-mpf", "--charter", charter)
    Path("plan.toml").write_text(PLAN.replace('"aiamp"', '"other"'))
    office.charter("other.valija")
    office.refused("wrong_association", "explain", "suspension-ar-mpf.valija", "--charter", "other.valija")


def test_the_hubs_certificate_is_signed_by_the_root_of_the_charter(office: Office) -> None:
    charter = office.charter()
    hub = ("certify", "hub", "--charter", charter, "--hub-key", "aiamp.hub.pub")
    told = office.told(*hub, "--root-key", "aiamp", "--days", "30")
    certificate = office.statement("certificate-hub.valija").statement
    assert isinstance(certificate, Certificate)
    assert (certificate.role, certificate.member) == (Role.HUB, "")
    assert certificate.not_after - certificate.not_before == 30 * 86_400
    assert told["signatures"]["complete"] is True
    said = office.ok("explain", "certificate-hub.valija")
    assert "the hub's root is needed to count: give the charter that names it, --charter FILE." in said
    assert not any(each in said for each in ("does not count", "admission"))
    assert office.told("explain", "certificate-hub.valija")["signatures"]["not_counted"] == []
    office.ok("new", "hub-root", "false-root", "--memory-kib", "8", "--passes", "1")
    office.refused("invalid_request", *hub, "--root-key", "false-root", "--out", "x")


def test_a_nodes_certificate_is_checked_against_the_admission(office: Office) -> None:
    charter = office.charter()
    office.ok("admit", "ar-mpf", "--charter", charter, "--root", "br-mpf.member-root.pub", "--out", "wrong.valija")
    certify = ("certify", "node", "ar-mpf", "--charter", charter, "--node-key", "ar-mpf.node.pub", "--root-key")
    office.refused("invalid_request", *certify, "ar-mpf.member-root", "--with", "wrong.valija")
    office.refused("key_access", *certify, "nobody")
    before = office.files()
    assert "Would be written" in office.ok(*certify, "ar-mpf", "--dry-run")
    assert office.files() == before
    assert "give the admission of ar-mpf, --with FILE" in office.ok(*certify, "ar-mpf", "--from", "2027-01-01")
    certificate = office.statement("certificate-ar-mpf.valija").statement
    assert isinstance(certificate, Certificate)
    assert show_time(certificate.not_before) == "2027-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("node", "root", "told"),
    [
        ("ar-mpf.node.pub", "ar-mpf", "this node key is ar-mpf's, not br-mpf's: give the one of br-mpf's node"),
        ("ar-mpf.node.pub", "br-mpf", "this node key is ar-mpf's, not br-mpf's: give the one of br-mpf's node"),
        ("br.pub", "ar-mpf", "this root is ar-mpf's, not br-mpf's: give br-mpf's, --root-key, or"),
        ("br.pub", "ana.steward", "ana is a steward key; needed: member-root"),
    ],
)
def test_no_member_is_certified_with_the_keys_of_another(office: Office, node: str, root: str, told: str) -> None:
    charter = office.charter()
    office.ok("new", "node", "br-mpf", "--out", "br.pub", "--memory-kib", "8", "--passes", "1")
    office.ok("admit", "ar-mpf", "--charter", charter, "--root", "ar-mpf.member-root.pub", "--out", "a.valija")
    certify = ("certify", "node", "br-mpf", "--charter", charter, "--with", "a.valija", "--out", "wrong.txt")
    for dry in ((), ("--dry-run",)):
        assert told in office.refused("invalid_request", *certify, "--node-key", node, "--root-key", root, *dry)
    assert "wrong.txt" not in office.files()


def test_a_root_of_another_name_is_looked_at_twice_and_certifies_once_admitted(office: Office) -> None:
    charter = office.charter()
    admit = ("admit", "ar-mpf", "--charter", charter, "--out", "a.valija", "--root")
    assert "Look twice" not in office.ok(*admit, "ar-mpf.member-root.pub", "--dry-run")
    said = "The paper of this root key says br-mpf; with it br-mpf would speak for ar-mpf."
    assert f"Look twice: {said}" in office.ok(*admit, "br-mpf.member-root.pub")
    assert office.told("explain", "a.valija", "--with", "br-mpf.member-root.pub")["warnings"] == [said]
    assert office.told("explain", "a.valija")["warnings"] == []
    certify = ("certify", "node", "ar-mpf", "--charter", charter, "--with", "a.valija")
    assert "Complete" in office.ok(*certify, "--node-key", "ar-mpf.node.pub", "--root-key", "br-mpf")


def test_a_network_is_defined_and_dissolved(office: Office) -> None:
    charter = office.charter()
    office.ok("network", "define", "rfai", "--charter", charter, "--members", "co-fgn, ar-mpf", "--title", "es=RFAI")
    roster = office.statement("network-rfai-1.valija").statement
    assert isinstance(roster, Roster)
    assert [party.member for party in roster.members] == ["ar-mpf", "co-fgn"]
    assert "goes to the members below" in office.ok("explain", "network-rfai-1.valija")
    said = office.ok("network", "define", "rfai", "--charter", charter, "--members", "", "--version", "2")
    assert "dissolves the network #rfai" in said
    office.refused("invalid_request", "network", "define", "rfai", "--charter", charter, "--members", "ar-mpf,ar-mpf")


def test_an_expired_charter_decides_nothing_but_the_end_of_trust(office: Office) -> None:
    charter = office.charter()
    with time_machine.travel("2036-01-01T00:00:00Z"):
        root = ("--root", "ar-mpf.member-root.pub")
        office.refused("charter_expired", "admit", "ar-mpf", "--charter", charter, *root)
        office.ok("suspend", "ar-mpf", "--charter", charter)
        assert "already expired" in office.ok("explain", charter)


# -- the end of trust --------------------------------------------------------------------------------
def _certified(office: Office) -> tuple[str, str, str]:
    charter = office.charter()
    office.ok("admit", "ar-mpf", "--charter", charter, "--root", "ar-mpf.member-root.pub")
    office.ok(
        "certify", "node", "ar-mpf", "--charter", charter, "--node-key", "ar-mpf.node.pub", "--root-key", "ar-mpf"
    )
    return charter, "admission-ar-mpf.valija", "certificate-ar-mpf.valija"


def test_a_revocation_by_the_root_is_complete_at_once(office: Office) -> None:
    charter, admission, certificate = _certified(office)
    papers = ("--with", admission)
    root = ("--root-key", "ar-mpf.member-root")
    before = office.files()
    # Without the admission nobody knows the root: that is said, and by a dry run too.
    for dry in ((), ("--dry-run",)):
        office.refused("invalid_request", "revoke", certificate, "--charter", charter, *root, *dry, "--out", "r")
    office.ok("revoke", certificate, "--charter", charter, *papers, *root, "--dry-run", "--out", "r")
    assert office.files() == before
    told = office.told("revoke", certificate, "--charter", charter, *papers, *root, "--reason", "lost", "--out", "r")
    assert told["signatures"]["complete"] is True
    revocation = office.statement("r").statement
    assert isinstance(revocation, Revocation)
    assert (revocation.certificate, revocation.reason) == (office.statement(certificate).id, "lost")


def test_a_root_that_no_paper_tells_is_not_said_to_count_for_nothing(office: Office) -> None:
    charter, admission, certificate = _certified(office)
    root = ("--root-key", "ar-mpf.member-root")
    office.ok("revoke", certificate, "--charter", charter, "--with", admission, *root, "--out", "r")
    for papers, wanted in (
        ((), "give it and its member's admission, --with FILE each"),
        (("--with", admission), "give it and its member's admission, --with FILE each"),
        (("--with", certificate), "give the admission of ar-mpf, --with FILE"),
    ):
        by = ("r", "--charter", charter, *papers)
        said = office.ok("explain", *by)
        assert f"{wanted}.\n" in said
        assert "stewards of charter 1: 0 of the 2" in said
        assert not any(each in said for each in ("does not count", "missing", "Complete"))
        counted = office.told("explain", *by)["signatures"]
        assert (counted["missing"], counted["complete"], counted["not_counted"]) == (None, False, [])
        assert wanted in counted["wanted"]
        assert wanted in office.refused("invalid_request", "assemble", *by, "--out", "x")
        assert "nothing at hand tells" in office.refused("invalid_request", "sign", *by, "--key", "dora", "--yes")
    whole = ("r", "--with", admission, "--with", certificate)
    assert "Complete" in office.ok("explain", *whole, "--charter", charter)
    assert office.told("explain", *whole)["signatures"]["complete"] is True


@pytest.fixture
def replaced(office: Office) -> tuple[str, ...]:
    """A certificate by a root that a later admission replaced with br-mpf's; gives the papers to know them by."""
    office.charter()
    charter = ("--charter", "charter.valija")
    for file, root, at in (("old", "ar-mpf", START), ("new", "br-mpf", START + 60)):
        with time_machine.travel(at, tick=False):
            office.ok("admit", "ar-mpf", *charter, "--root", f"{root}.member-root.pub", "--out", file)
        office.signed_by(file, "ana", "bruno")
    keys = ("--node-key", "ar-mpf.node.pub", "--root-key", "ar-mpf.member-root")
    office.ok("certify", "node", "ar-mpf", *charter, *keys, "--with", "old", "--out", "certificate")
    return (*charter, "--with", "old", "--with", "new")


def test_a_former_root_is_told_as_such(office: Office, replaced: tuple[str, ...]) -> None:
    told = office.told("explain", "certificate", *replaced)
    assert told["signatures"]["groups"][0]["signed"] == ["former root of ar-mpf"]
    assert told["signatures"]["not_counted"] == []
    assert any("was replaced by a newer paper" in each for each in told["warnings"])
    key = office.told("explain", "ar-mpf.member-root.pub", *replaced)
    assert key["in_these_papers"] == "former root of ar-mpf"
    assert office.told("explain", "br-mpf.member-root.pub", *replaced)["in_these_papers"] == "root of ar-mpf"
    told = office.told("explain", "certificate", *replaced[:4])
    assert (told["warnings"], told["signatures"]["missing"]) == ([], 0)


def test_a_former_root_certifies_no_more(office: Office, replaced: tuple[str, ...]) -> None:
    asked = ("certify", "node", "ar-mpf", *replaced, "--node-key", "ar-mpf.node.pub", "--out", "another")
    said = office.refused("invalid_request", *asked, "--root-key", "ar-mpf.member-root")
    assert "the former root of ar-mpf, would not count" in said


def test_a_certificate_is_revoked_by_the_root_that_signed_it_and_no_other(
    office: Office, replaced: tuple[str, ...]
) -> None:
    revoke = ("revoke", "certificate", "--out", "revocation", "--root-key")
    told = office.told(*revoke, "ar-mpf.member-root", *replaced)
    assert told["signatures"]["complete"]
    Path("revocation").unlink()
    assert "would not count" in office.refused("invalid_request", *revoke, "br-mpf.member-root", *replaced)
    newest_alone = (*replaced[:2], "--with", "new")
    said = office.refused("invalid_request", *revoke, "br-mpf.member-root", *newest_alone)
    assert "the root that signed the certificate is needed" in said


def test_a_former_steward_and_a_former_root_of_the_hub_are_told_as_such(office: Office) -> None:
    office.charter()
    office.ok("certify", "hub", "--charter", "charter.valija", "--hub-key", "aiamp.hub.pub", "--root-key", "aiamp")
    office.vault.create(Kind.HUB_ROOT, "next", Passphrase(WORDS), START)
    office.ok("show", "next.hub-root", "--out", "next.pub")
    changes = ("--remove-steward", "carla", "--hub-root", "next.pub", "--out", "second.valija")
    office.ok("charter", "next", "charter.valija", *changes)
    office.signed_by("second.valija", "ana", "bruno")
    charters = ("--charter", "charter.valija", "--charter", "second.valija")
    told = office.told("explain", "certificate-hub.valija", *charters)
    assert told["signatures"]["groups"][0]["signed"] == ["former hub root"]
    for file, called in (
        ("carla.steward.pub", "former steward carla"),
        ("ana.steward.pub", "steward ana"),
        ("aiamp.hub-root.pub", "former hub root"),
        ("next.pub", "hub root"),
        ("dora.steward.pub", None),
    ):
        assert office.told("explain", file, *charters)["in_these_papers"] == called


def test_stewards_are_no_strangers_where_only_the_charter_is_missing(office: Office) -> None:
    charter, admission, certificate = _certified(office)
    office.ok("revoke", certificate, "--charter", charter, "--out", "r")
    said = office.ok("explain", "r", "--charter", charter)
    assert "2 signatures are missing." in said
    assert "give it and its member's admission" in said
    office.signed_by("r", "ana", "bruno")
    papers = ("--with", admission, "--with", certificate)
    said = office.ok("explain", "r", *papers)
    assert "root of ar-mpf: 0 of the 1 needed" in said
    assert "Not counted yet: the charter is needed to count: give --charter FILE.\n" in said
    assert "does not count" not in said
    # With k stewards it is complete, whoever its root is.
    assert "Not counted" not in office.ok("explain", "r", "--charter", charter)
    office.signed_by("r", "dora")
    assert "A signature by steward dora does not count here." in office.ok(
        "explain", "r", *papers, "--charter", charter, "--with", "dora.steward.pub"
    )


def test_stewards_of_a_charter_that_is_not_at_hand_may_end_trust(office: Office) -> None:
    charter = office.charter()
    office.ok("charter", "next", charter, "--remove-steward", "ana", "--add-steward", "dora.steward.pub", "--out", "n")
    office.ok("sign", "n", "--key", "bruno", "--yes")
    for name in ("ana", "dora"):
        office.ok("sign", "n", "--key", name, "--yes", "--charter", charter)
    office.ok("suspend", "ar-mpf", "--charter", charter, "--out", "s")
    assert "older charters" not in office.ok("explain", "s", "--charter", "n")
    office.signed_by("s", "ana", "bruno")
    said = office.ok("explain", "s", "--charter", "n")
    assert "the stewards of older charters count too" in said
    assert "does not count" not in said
    assert "Complete" in office.ok("explain", "s", "--charter", "n", "--charter", charter)


def test_a_revocation_by_stewards_needs_k_of_them(office: Office) -> None:
    charter, _admission, certificate = _certified(office)
    named = show_id("stm", office.statement(certificate).id)
    office.ok("revoke", named, "--charter", charter, "--after", "2020-05-01T10:00:00Z", "--out", "r")
    assert "It reaches back" in office.ok("explain", "r", "--charter", charter)
    office.signed_by("r", "ana")
    assert "1 signature is missing" in office.ok("explain", "r", "--charter", charter, "--with", certificate)
    office.ok("sign", "r", "--key", "carla", "--yes", "--charter", charter)
    assert "Complete" in office.ok("assemble", "r", "--charter", charter, "--out", "whole")
    before = office.files()
    office.ok("revoke", named, "--charter", charter, "--dry-run", "--out", "z")
    assert office.files() == before


def test_suspend_lift_and_expel(office: Office) -> None:
    charter = office.charter()
    office.ok("suspend", "ar-mpf", "--charter", charter, "--reason", "prueba", "--after", "30d")
    assert "in the future" in office.ok("explain", "suspension-ar-mpf.valija")
    office.ok("lift", "suspension-ar-mpf.valija", "--charter", charter, "--out", "lift.valija")
    lift, suspension = office.statement("lift.valija").statement, office.statement("suspension-ar-mpf.valija")
    assert isinstance(lift, Lift)
    assert lift.suspension == suspension.id
    assert "ends one suspension" in office.ok("explain", "lift.valija")
    office.ok("expel", "ar-mpf", "--charter", charter, "--reason", "prueba")
    assert isinstance(office.statement("expulsion-ar-mpf.valija").statement, Expulsion)
    assert "by a new admission" in office.ok("explain", "expulsion-ar-mpf.valija")
    message = office.refused("invalid_request", "lift", "expulsion-ar-mpf.valija", "--charter", charter)
    assert "is no suspension" in message
    office.refused("invalid_request", "lift", "stm_nonsense", "--charter", charter)


# -- counting, statement by statement ----------------------------------------------------------------
def _of(world: World, kind: type) -> list[SignedStatement]:
    return [signed for signed in world.statements if isinstance(signed.statement, kind)]


def test_every_statement_of_a_real_registry_is_explained_and_complete() -> None:
    world = World()
    papers = Papers.of(world.statements)
    known = papers.names()
    stewards = {known[key.public.fingerprint] for key in world.stewards}
    assert stewards == {"steward steward-00", "steward steward-01", "steward steward-02"}
    for signed in world.statements:
        counted = tally(signed, papers)
        counted.require()
        assert (counted.missing, counted.strangers) == (0, frozenset())
        assert headline(signed)
        assert lines_of(facts(signed))


def test_an_opening_is_counted_by_its_certificate() -> None:
    world = World()
    opening = _of(world, Opening)[0]
    alone = tally(opening, Papers())
    assert (alone.missing, alone.nearest, len(alone.strangers)) == (None, (), 1)
    with pytest.raises(UsageError, match="certificate is needed"):
        alone.require()
    charter = _of(world, Charter)[0]
    assert tally(opening, Papers.of([charter])).missing is None
    assert tally(opening, Papers.of(_of(world, Certificate))).missing == 0


def test_a_revocation_names_a_certificate_and_nothing_else() -> None:
    world = World()
    charter = _of(world, Charter)[0]
    revocation = Revocation(world.association, charter.id, START, "")
    signed = sign_statement(revocation.body(), world.association, [])
    counted = tally(signed, Papers.of(world.statements))
    assert [group.title for way in counted.alternatives for group in way] == ["stewards of charter 1"]


def test_charters_of_the_past_count_for_negatives_only() -> None:
    world = World()
    first = _of(world, Charter)[0]
    assert isinstance(first.statement, Charter)
    suspension = Suspension(world.association, "ar-mpf", START, "")
    signed = sign_statement(suspension.body(), world.association, world.stewards[:2])
    assert tally(signed, Papers.of([first])).missing == 0


def test_a_charter_that_does_not_follow_is_stale(office: Office) -> None:
    charter = office.statement(office.charter()).statement
    assert isinstance(charter, Charter)
    world = World()
    first, admission = _of(world, Charter)[0], _of(world, Admission)[0]
    assert isinstance(first.statement, Charter)
    for previous, version in ((first.id, 3), (admission.id, 2)):
        body = replace(first.statement, association=world.association, version=version, previous=previous).body()
        with pytest.raises(StaleError):
            tally(sign_statement(body, world.association, []), Papers.of([first, admission]))


def test_warnings_tell_what_a_threshold_risks() -> None:
    one_of_three, all_of_three = World(k=1), World(k=3)
    assert any("One single steward" in each for each in warnings(_of(one_of_three, Charter)[0], START))
    assert any("loses a key" in each for each in warnings(_of(all_of_three, Charter)[0], START))
    sound = World(n_stewards=4, k=3)
    assert [each[:12] for each in warnings(_of(sound, Charter)[0], START)] == ["No witnesses"]


def test_warnings_tell_what_has_expired_and_say_nothing_otherwise() -> None:
    world = World()
    certificate = _of(world, Certificate)[0]
    assert warnings(certificate, START) == []
    assert warnings(certificate, START + 800 * 86_400) == ["This certificate has already expired."]
    suspension = Suspension(world.association, "ar-mpf", START, "")
    assert warnings(sign_statement(suspension.body(), world.association, []), START) == []


# -- times -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("0d", START),
        ("365d", START + 365 * 86_400),
        ("2026-11-22", START),
        ("2026-11-22T00:00:00Z", START),
        ("2026-11-21T21:00:00-03:00", START),
    ],
)
def test_times_are_read(written: str, at: int) -> None:
    assert read_time(written, START) == at


@pytest.mark.parametrize("written", ["", "soon", "2026-13-01", "2026-11-22T00:00:00", "1960-01-01", "-1d", "1000000d"])
def test_other_texts_are_no_times(written: str) -> None:
    with pytest.raises(UsageError):
        read_time(written, START)


def test_a_time_past_the_last_that_can_be_written_is_said_to_be_so() -> None:
    with pytest.raises(UsageError, match="lies past the year 9999 in UTC"):
        read_time("9999-12-31T23:59:59-10:00", START)
    assert show_time(read_time("9999-12-31T23:59:59Z", START)) == "9999-12-31T23:59:59Z"


def test_times_past_the_calendar_are_shown_too() -> None:
    assert show_time(START) == "2026-11-22T00:00:00Z"
    assert "past the year 9999" in show_time(1 << 63)


def test_a_signature_that_counts_for_nothing_is_not_added() -> None:
    world = World()
    papers = Papers.of(world.statements)
    roster = world.roster("rfai", ["ar-mpf"])
    with pytest.raises(UsageError, match="would not count"):
        add_signature(roster, world.root("ar-mpf"), papers)
