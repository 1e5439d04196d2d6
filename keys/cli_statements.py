"""Commands on any paper: explain it, sign it, put copies together."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click
from rich.text import Text

from keys.ceremony import Papers, add_signature, assemble, require_counts, tally
from keys.console import (
    FILE,
    F,
    Unlocking,
    answer,
    asking,
    dry_run_option,
    json_option,
    now,
    out_option,
    strong,
    unlocking_options,
    wants_json,
    warned,
)
from keys.files import PUBLIC, replace, require_room, write_new
from keys.kinds import PublicPart
from keys.papers import read_paper, read_statement, statement_paper
from keys.vault import Vault
from keys.words import Facts, facts, headline, lines_of, part_facts, tally_facts, tally_lines, warnings
from protocol.trust.statements import Charter, SignedStatement

NOT_PROVEN: Final = "The lines above the first mark prove nothing; `valija-keys explain FILE` says what the file holds."


def papers_options(command: F) -> F:
    """Let a command know the charters, admissions, certificates and public keys at hand."""
    charter = click.option(
        "--charter", type=FILE, multiple=True, envvar="VALIJA_CHARTER", help="The charter in force (and older ones)."
    )
    others = click.option("--with", "others", type=FILE, multiple=True, help="Other papers: admissions, public keys…")
    return charter(others(command))


def papers_from(charter: tuple[Path, ...], others: tuple[Path, ...], *more: SignedStatement) -> Papers:
    """These files, read and judged as papers at hand."""
    return Papers.of([*(read_paper(path) for path in (*charter, *others)), *more])


# -- telling -----------------------------------------------------------------------------------------
def told(signed: SignedStatement, papers: Papers) -> Facts:
    """Everything about a statement, for a program."""
    counted = tally(signed, papers)
    return facts(signed) | {
        "headline": headline(signed),
        "warnings": warnings(signed, now(), papers),
        "signatures": tally_facts(counted, papers.names()),
    }


def said(signed: SignedStatement, papers: Papers) -> list[str | Text]:
    """Everything about a statement, for a person."""
    counted = tally(signed, papers)
    return [
        strong(headline(signed)),
        *lines_of(facts(signed)),
        *map(warned, warnings(signed, now(), papers)),
        *tally_lines(counted, papers.names()),
    ]


def summary(signed: SignedStatement, papers: Papers) -> str:
    """The lines that stand above a statement in its file."""
    return "\n".join([headline(signed), *tally_lines(tally(signed, papers), papers.names()), NOT_PROVEN])


def known(signed: SignedStatement, papers: Papers) -> Papers:
    """The same papers, and, of a founding charter, what it tells of itself."""
    if isinstance(signed.statement, Charter):
        return Papers({**papers.statements, signed.id: signed}, papers.parts)
    return papers


def issue(signed: SignedStatement, papers: Papers, out: Path, *, dry_run: bool) -> None:
    """Write a new paper to `out` and tell what it says; raises what `require_room` does."""
    papers = known(signed, papers)
    require_room(out)
    if not dry_run:
        write_new(out, statement_paper(signed, summary(signed, papers)), PUBLIC)
    end = f"Would be written to {out}." if dry_run else f"Written to {out}."
    answer(told(signed, papers) | {"file": str(out), "dry_run": dry_run}, [*said(signed, papers), end])


# -- commands ----------------------------------------------------------------------------------------
@click.command(short_help="Say in plain words what a paper holds.")
@click.argument("file", type=FILE)
@papers_options
@json_option
def explain(file: Path, charter: tuple[Path, ...], others: tuple[Path, ...]) -> None:
    """Say in plain words what FILE holds, who has signed it, and how many signatures are missing.

    Everything is read anew from the signed bytes; the lines above them in the file are ignored.
    """
    found = read_paper(file)
    papers = papers_from(charter, others)
    if isinstance(found, PublicPart):
        public = part_facts(found) | {"in_these_papers": papers.names().get(found.fingerprint)}
        answer(public, [strong(f"The public {found.kind} key of {found.name}."), *lines_of(public)])
        return
    papers = known(found, papers)
    answer(told(found, papers), said(found, papers))


@click.command(short_help="Add your signature to a statement.")
@click.argument("file", type=FILE)
@click.option("--key", "name", required=True, help="Your key in the keystore: NAME or NAME.KIND.")
@papers_options
@click.option("--yes", is_flag=True, help="Sign without asking; for scripts.")
@unlocking_options
@out_option
@dry_run_option
@json_option
@click.pass_obj
def sign(
    vault: Vault,
    *,
    file: Path,
    name: str,
    charter: tuple[Path, ...],
    others: tuple[Path, ...],
    yes: bool,
    passphrase_file: Path | None,
    secret_file: Path | None,
    out: Path | None,
    dry_run: bool,
) -> None:
    """Add your signature to the statement in FILE, after showing what it says.

    The file gets the signature in addition to those it has; with --out a new file does.
    """
    signed, entry = read_statement(file), vault.find(name)
    papers = papers_from(charter, others)
    # Whatever would be refused is refused before anybody is asked, and in a dry run too.
    require_counts(signed, entry.public.key, papers)
    if out is not None:
        require_room(out)
    if dry_run:
        shown = known(signed, papers)
        would = f"Would sign this as {entry.path.stem}."
        answer(told(signed, shown) | {"dry_run": True}, [*said(signed, shown), would])
        return
    if not yes:
        _ask(signed, known(signed, papers), entry.path.stem)
    key = entry.open(Unlocking(passphrase_file, secret_file).of(entry)).signing()
    result = add_signature(signed, key, papers)
    after = known(result, papers)
    (write_new if out else replace)(out or file, statement_paper(result, summary(result, after)), PUBLIC)
    lines = [*said(result, after), strong(f"Signed as {entry.path.stem}, in {out or file}.")]
    answer(told(result, after) | {"file": str(out or file), "dry_run": False}, lines)


def _ask(signed: SignedStatement, papers: Papers, stem: str) -> None:
    if wants_json(click.get_current_context()):
        raise click.UsageError("With --json, say --yes too: there is nobody to ask.")
    answer({}, said(signed, papers))
    with asking("--yes"):
        click.confirm(f"Sign this as {stem}?", abort=True, err=True)


@click.command("assemble", short_help="Put the signatures of copies together.")
@click.argument("files", type=FILE, nargs=-1, required=True)
@papers_options
@click.option("--partial", is_flag=True, help="Write the file even while signatures are missing.")
@click.option("--out", type=FILE, required=True, help="Where to write the statement with all signatures.")
@dry_run_option
@json_option
def assemble_files(
    *,
    files: tuple[Path, ...],
    charter: tuple[Path, ...],
    others: tuple[Path, ...],
    partial: bool,
    out: Path,
    dry_run: bool,
) -> None:
    """Put the signatures of several copies of one statement together, and say whether they are enough."""
    result = assemble([read_statement(path) for path in files])
    papers = papers_from(charter, others)
    if not partial:
        tally(result, papers).require()
    issue(result, papers, out, dry_run=dry_run)


STATEMENTS: Final = (explain, sign, assemble_files)
