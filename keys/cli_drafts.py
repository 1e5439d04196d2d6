"""Commands that draft what is decided under a charter: members, certificates, networks, and the end of trust."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from keys.ceremony import Papers, add_signature, require_counts, tally
from keys.cli_statements import issue, papers_from
from keys.console import FILE, F, Unlocking, dry_run_option, json_option, now, out_option, unlocking_options
from keys.drafts import (
    CERTIFICATE_DAYS,
    certificate,
    charter_of,
    draft,
    read_titles,
    roster,
)
from keys.kinds import Kind, PublicPart
from keys.papers import read_part, read_statement
from keys.times import read_time
from keys.vault import Vault
from protocol.errors import CharterExpiredError, UsageError
from protocol.names import StatementId, read_id, show_id
from protocol.trust.statements import (
    Admission,
    Expulsion,
    Lift,
    Revocation,
    SignedStatement,
    Statement,
    StatementType,
    Suspension,
)

SUFFIX: Final = ".valija"


# -- shared ------------------------------------------------------------------------------------------
def charter_option(command: F) -> F:
    """Let a command know under which charter it drafts."""
    return click.option(
        "--charter", type=FILE, required=True, envvar="VALIJA_CHARTER", help="The charter in force, signed."
    )(command)


def reason_options(command: F) -> F:
    """Let a negative statement say from when on and why."""
    after = click.option(
        "--after", "after", default="0d", help="The last moment of trust; now, unless you say another."
    )
    reason = click.option("--reason", default="", help="Why, for all members to read.")
    return after(reason(command))


def drafting(command: F) -> F:
    """Add the options of every command that writes a new paper."""
    return out_option(dry_run_option(json_option(command)))


class Charters:
    """The charter in force, as one drafts under it."""

    def __init__(self, path: Path, others: tuple[Path, ...] = ()) -> None:
        """The charter in this file, and other papers; raises what reading and judging them does."""
        self.signed = read_statement(path)
        self.charter = charter_of(self.signed)
        self.papers = papers_from((path,), others)
        self.association = self.signed.association

    def in_force(self) -> Charters:
        """The same, for what an expired charter can no longer decide; `CharterExpiredError`."""
        if self.charter.expires_at <= now():
            raise CharterExpiredError
        return self

    def issue(self, statement: Statement, name: str, out: Path | None, *, dry_run: bool) -> None:
        """Draft a statement, write it to `out` or under a name of its own, and tell it."""
        issue(draft(statement), self.papers, out or Path(f"{name}{SUFFIX}"), dry_run=dry_run)


def _named(written: str, wanted: StatementType) -> StatementId:
    # An officer has the file at hand, or an identifier from a list.
    if not Path(written).exists():
        try:
            return StatementId(read_id("stm", written))
        except UsageError:
            raise UsageError(f"{written!r} is neither a file here nor an identifier stm_…") from None
    signed = read_statement(Path(written))
    if signed.statement.type is not wanted:
        raise UsageError(f"{written} is no {wanted.name.lower()}")
    return signed.id


# -- members and networks ----------------------------------------------------------------------------
@click.command(short_help="Draft the admission of a member.")
@click.argument("member")
@charter_option
@click.option("--root", type=FILE, required=True, help="Public key file of the member's root.")
@click.option("--title", multiple=True, help="Its name in a language: es=Ministerio Público Fiscal.")
@click.option("--country", default="", help="Two capital letters, as AR.")
@drafting
def admit(
    member: str, *, charter: Path, root: Path, title: tuple[str, ...], country: str, out: Path | None, dry_run: bool
) -> None:
    """Draft the admission of MEMBER, whose root key speaks for it from then on."""
    # The root's paper is at hand: whose it says it is, is told below.
    in_force = Charters(charter, (root,)).in_force()
    key = read_part(root).require(Kind.MEMBER_ROOT).key
    admission = Admission(in_force.association, member, read_titles(title), country, key, now())
    in_force.issue(admission, f"admission-{member}", out, dry_run=dry_run)


@click.command(short_help="Certify the key of a node or of the hub.")
@click.argument("role", type=click.Choice(["node", "hub"]))
@click.argument("member", default="")
@charter_option
@click.option("--node-key", "--hub-key", "part", type=FILE, required=True, help="Public key file of the node or hub.")
@click.option("--root-key", "name", required=True, help="Root key in your keystore: NAME or NAME.KIND.")
@click.option("--with", "others", type=FILE, multiple=True, help="The member's admission, to check the root against.")
@click.option("--from", "begins", default="0d", help="First day of validity; now, unless you say another.")
@click.option("--days", type=click.IntRange(1, 366), default=CERTIFICATE_DAYS, show_default=True)
@unlocking_options
@drafting
@click.pass_obj
def certify(
    vault: Vault,
    *,
    role: str,
    member: str,
    charter: Path,
    part: Path,
    name: str,
    others: tuple[Path, ...],
    begins: str,
    days: int,
    passphrase_file: Path | None,
    secret_file: Path | None,
    out: Path | None,
    dry_run: bool,
) -> None:
    """Certify the operating key of a MEMBER's node, or of the hub, with the root key; signed at once.

    `certify node ar-mpf --node-key FILE --root-key ar-mpf` or `certify hub --hub-key FILE --root-key aiamp`.
    """
    if (role == "node") != bool(member):
        raise click.UsageError("Say `certify node MEMBER` or `certify hub`.")
    in_force = Charters(charter, others).in_force()
    key = read_part(part)
    signed = draft(certificate(in_force.association, member, key, read_time(begins, now()), days))
    wanted = Kind.MEMBER_ROOT if member else Kind.HUB_ROOT
    entry = vault.find(name if "." in name else f"{name}.{wanted}")
    _require_own(member, key, entry.public.require(wanted), signed, in_force.papers)
    if not dry_run:
        opened = entry.open(Unlocking(passphrase_file, secret_file).of(entry))
        signed = add_signature(signed, opened.signing(), in_force.papers)
    issue(signed, in_force.papers, out or Path(f"certificate-{member or 'hub'}{SUFFIX}"), dry_run=dry_run)


def _require_own(member: str, key: PublicPart, root: PublicPart, signed: SignedStatement, papers: Papers) -> None:
    # A hub goes by other names than its association.  Where the admission tells the root, its name says nothing more.
    if member and key.name != member:
        raise UsageError(
            f"this node key is {key.name}'s, not {member}'s: give the one of {member}'s node, --node-key FILE"
        )
    require_counts(signed, root.key, papers)
    if member and root.name != member and not tally(signed, papers).alternatives:
        lacking = f"give {member}'s, --root-key, or the admission that names this one, --with FILE"
        raise UsageError(f"this root is {root.name}'s, not {member}'s: {lacking}")


@click.group()
def network() -> None:
    """Say who belongs to a network."""


@network.command("define")
@click.argument("name")
@charter_option
@click.option("--members", required=True, help="Names of the members, with commas between; empty dissolves it.")
@click.option("--title", multiple=True, help="Its name in a language: es=Red de Fiscales Antidrogas.")
@click.option("--version", type=click.IntRange(1), default=1, show_default=True, help="One more than its last.")
@drafting
def define(
    name: str, *, charter: Path, members: str, title: tuple[str, ...], version: int, out: Path | None, dry_run: bool
) -> None:
    """Draft the list of members of the network NAME; it replaces the list before it."""
    in_force = Charters(charter).in_force()
    listed = [each.strip() for each in members.split(",") if each.strip()]
    drafted = roster(in_force.association, name, read_titles(title), version, listed, now())
    in_force.issue(drafted, f"network-{name}-{version}", out, dry_run=dry_run)


# -- the end of trust --------------------------------------------------------------------------------
@click.command(short_help="End the trust in a certificate.")
@click.argument("certificate", metavar="CERTIFICATE")
@charter_option
@reason_options
@click.option("--root-key", "name", help="Sign at once with this root key; without it stewards sign.")
@click.option(
    "--with", "others", type=FILE, multiple=True, help="What the root key is known by: the member's admission."
)
@unlocking_options
@drafting
@click.pass_obj
def revoke(
    vault: Vault,
    *,
    certificate: str,
    charter: Path,
    after: str,
    reason: str,
    name: str | None,
    others: tuple[Path, ...],
    passphrase_file: Path | None,
    secret_file: Path | None,
    out: Path | None,
    dry_run: bool,
) -> None:
    """Draft the revocation of a CERTIFICATE, which is a file or an identifier stm_…; it cannot be taken back."""
    wanted = _named(certificate, StatementType.CERTIFICATE)
    at_hand = (Path(certificate),) if Path(certificate).exists() else ()
    in_force = Charters(charter, (*at_hand, *others))
    drafted = draft(Revocation(in_force.association, wanted, read_time(after, now()), reason))
    if name:
        entry = vault.find(name)
        require_counts(drafted, entry.public.key, in_force.papers)
        if not dry_run:
            key = entry.open(Unlocking(passphrase_file, secret_file).of(entry)).signing()
            drafted = add_signature(drafted, key, in_force.papers)
    short = show_id("stm", wanted)[4:12]
    issue(drafted, in_force.papers, out or Path(f"revocation-{short}{SUFFIX}"), dry_run=dry_run)


@click.command(short_help="Suspend a member.")
@click.argument("member")
@charter_option
@reason_options
@drafting
def suspend(member: str, *, charter: Path, after: str, reason: str, out: Path | None, dry_run: bool) -> None:
    """Draft the suspension of MEMBER, until it is lifted."""
    in_force = Charters(charter)
    suspension = Suspension(in_force.association, member, read_time(after, now()), reason)
    in_force.issue(suspension, f"suspension-{member}", out, dry_run=dry_run)


@click.command(short_help="Expel a member.")
@click.argument("member")
@charter_option
@reason_options
@drafting
def expel(member: str, *, charter: Path, after: str, reason: str, out: Path | None, dry_run: bool) -> None:
    """Draft the expulsion of MEMBER; it comes back only by a new admission."""
    in_force = Charters(charter)
    expulsion = Expulsion(in_force.association, member, read_time(after, now()), reason, now())
    in_force.issue(expulsion, f"expulsion-{member}", out, dry_run=dry_run)


@click.command(short_help="End a suspension.")
@click.argument("suspension", metavar="SUSPENSION")
@charter_option
@drafting
def lift(suspension: str, *, charter: Path, out: Path | None, dry_run: bool) -> None:
    """Draft the end of a SUSPENSION, which is a file or an identifier stm_…."""
    in_force = Charters(charter).in_force()
    wanted = _named(suspension, StatementType.SUSPENSION)
    short = show_id("stm", wanted)[4:12]
    in_force.issue(Lift(in_force.association, wanted, now()), f"lift-{short}", out, dry_run=dry_run)


DRAFTS: Final = (admit, certify, network, revoke, suspend, expel, lift)
