"""Commands on messages: write them, read them, follow them."""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path
from typing import Any, Final

import click
from rich.text import Text

from keys.console import now
from keys.times import read_time, show_time
from node import terminal
from node.client import NodeClient, segment
from node.console import answer, author, strong, with_client
from node.lines import as_line
from node.speaking import N_, command, say
from protocol.errors import UsageError
from protocol.limits import MAX_CONTENT_BYTES
from protocol.messages.content import MAX_SUBJECT_CHARS, EuropolCode, MessageType, SourceGrade, Tlp, Urgency
from protocol.messages.receipts import Action

LISTED: Final = 30
_KEY_BYTES: Final = 16
_TYPES: Final = [each.value for each in MessageType]
_ACTIONS: Final = [each.name.lower().replace("_", "-") for each in Action]
_BODY = click.Path(dir_okay=False, allow_dash=True, path_type=Path)


# -- what is written -------------------------------------------------------------------------------------
def _read_body(path: Path) -> str:
    try:
        data = sys.stdin.buffer.read(MAX_CONTENT_BYTES + 1) if str(path) == "-" else _read_file(path)
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError(say("the body is not UTF-8 text")) from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    if len(data) > MAX_CONTENT_BYTES:
        raise UsageError(say("a body of over %(most)d bytes", most=MAX_CONTENT_BYTES))
    return text


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_CONTENT_BYTES + 1)


def handling_of(codes: tuple[str, ...]) -> dict[str, Any] | None:
    """The handling that codes such as `TLP:AMBER`, `H2` and `B3` (source, information) make; None for none."""
    found: dict[str, Any] = {}
    for code in (each.upper() for each in codes):
        if code in set(Tlp):
            _only_one(found, "tlp", code)
            found["tlp"] = code
        elif code in set(EuropolCode):
            found["europol"] = [*found.get("europol", ()), code]
        elif len(code) == 2 and code[0] in set(SourceGrade) and code[1] in "1234":
            _only_one(found, "source", code)
            found |= {"source": code[0], "information": int(code[1])}
        else:
            known = ", ".join((*Tlp, *EuropolCode))
            raise UsageError(
                say("%(code)s is no handling code: %(known)s, or a grade such as B2", code=code, known=known)
            )
    return found or None


def _only_one(found: dict[str, Any], name: str, code: str) -> None:
    if name in found:
        raise UsageError(say("%(code)s beside another of its kind: which of them holds?", code=code))


def _due(written: str | None) -> str | None:
    return None if written is None else show_time(read_time(written, now()))


_FROM: Final = click.option("--from", "sender", help="The sender, where messages of several have this ID.")


def _writing(written: Any) -> Any:
    options = (
        click.option("--body", type=_BODY, default="-", show_default=True, help="File with the text; - reads it here."),
        click.option(
            "--urgency", type=click.Choice([each.value for each in Urgency]), help="How soon somebody must look."
        ),
        click.option("--due", help="When an answer is needed: 2026-12-01, 2026-12-01T12:00:00Z or 5d from now."),
        click.option("--handling", multiple=True, help="TLP:AMBER, H2 …; several are joined."),
        click.option("--case", "case", help="Your reference of the case."),
        click.option("--desk", help="The desk in whose name you write."),
        click.option("--key", help="Idempotency key: the same key never sends twice.  Drawn if you name none."),
        click.option(
            "--dry-run",
            is_flag=True,
            help="Say what would be sent, whether it could go and who could read it; send nothing.",
        ),
    )
    for option in reversed(options):
        written = option(written)
    return written


def _send(client: NodeClient, request: dict[str, Any], key: str | None, *, dry_run: bool) -> None:
    request = {name: value for name, value in request.items() if value is not None} | {"author": author()}
    key = secrets.token_hex(_KEY_BYTES) if key is None else key
    if any(each < " " or each == "\x7f" for each in key):
        raise UsageError(say("an idempotency key holds no control characters"))
    if not request["subject"] and not request["body"].strip():
        raise UsageError(say("nothing is written: give a subject, or a body that is not empty"))
    told = client.post("messages:check" if dry_run else "messages", request, key)
    lines: list[str | Text] = [*map(_warning, told.get("warnings", ())), *terminal.readers(told["readers"])]
    again = say("This key was used before, for this same message.")
    if dry_run:
        shown = json.dumps(request | {"body": f"({len(request['body'])} characters)"}, ensure_ascii=False)
        verdict = say("It would be accepted, and go by itself.  Nothing was sent.") if told["fresh"] else again
        answer(
            {"dry_run": True, "request": request} | told,
            [say("Would send:"), terminal.plain(shown), strong(verdict), *lines],
        )
        return
    fresh = say("Accepted; it goes by itself.")
    answer(told, [strong(f"{fresh if told['fresh'] else again}  {told['id']}"), *lines])


_WARNINGS: Final = {"due_in_the_past": N_("Look twice: the date by which an answer is needed lies in the past.")}


def _warning(code: str) -> Text:
    return Text(say(_WARNINGS[code]) if code in _WARNINGS else terminal.plain(code), style="yellow")


@command()
@click.option("--to", multiple=True, required=True, help="member, member/desk or '#network'; once for each.")
@click.option("--type", "kind", type=click.Choice(_TYPES), default="message", show_default=True)
@click.option("--subject", default="", help="One line.")
@_writing
@with_client
def send(
    client: NodeClient,
    *,
    to: tuple[str, ...],
    kind: str,
    subject: str,
    body: Path,
    urgency: str | None,
    due: str | None,
    handling: tuple[str, ...],
    case: str | None,
    desk: str | None,
    key: str | None,
    dry_run: bool,
) -> None:
    """Send a message; it is safe once the command ends, whatever happens to the line."""
    request = {
        "to": list(to),
        "type": kind,
        "subject": subject,
        "due_at": _due(due),
        "urgency": urgency,
        "handling": handling_of(handling),
        "case_reference": case,
        "desk": desk,
        "body": _read_body(body),
    }
    _send(client, request, key, dry_run=dry_run)


@command()
@click.argument("message_id", metavar="ID")
@click.option("--all", "everybody", is_flag=True, help="Answer everybody who could read it, not the sender alone.")
@click.option("--type", "kind", type=click.Choice(_TYPES), help="Default: a response to a request, else the same.")
@click.option("--subject", help="Default: that of the message answered.")
@_FROM
@_writing
@with_client
def reply(
    client: NodeClient,
    message_id: str,
    *,
    sender: str | None,
    everybody: bool,
    kind: str | None,
    subject: str | None,
    body: Path,
    urgency: str | None,
    due: str | None,
    handling: tuple[str, ...],
    case: str | None,
    desk: str | None,
    key: str | None,
    dry_run: bool,
) -> None:
    """Answer the message ID, in its thread, under its handling code."""
    original = client.get(f"messages/{segment(message_id)}", **_of(sender))
    content = original["content"]
    request = {
        "to": _answered(client, original, everybody=everybody),
        "type": kind or _RESPONSES.get(content["type"], content["type"]),
        "subject": _prefixed("Re", content["subject"]) if subject is None else subject,
        "due_at": _due(due),
        "urgency": urgency or content["urgency"],
        "handling": handling_of(handling) or content.get("handling"),
        "case_reference": case or _case_of(content),
        "thread": content.get("thread") or original["id"],
        "in_reply_to": original["id"],
        "desk": desk,
        "body": _read_body(body),
    }
    _send(client, request, key, dry_run=dry_run)


def _of(sender: str | None) -> dict[str, str]:
    return {} if sender is None else {"from": sender}


_RESPONSES: Final = {"mla-request": "mla-response"}


def _answered(client: NodeClient, original: dict[str, Any], *, everybody: bool) -> list[str]:
    sender = original["content"]["from"]
    if original["direction"] == "sent":
        return list(original["content"]["to"])
    first = f"{sender['member']}/{sender['desk']}"
    if not everybody:
        return [first]
    me = client.get("status")["member"]
    others = {each["member"] for each in original["readers"]} - {me, sender["member"]}
    return [first, *sorted(others)]


def _prefixed(prefix: str, subject: str) -> str:
    # What others wrote may hold what no node sends.
    line = as_line(subject)
    return line if line.lower().startswith(f"{prefix.lower()}:") else f"{prefix}: {line}"[:MAX_SUBJECT_CHARS]


def _case_of(content: dict[str, Any]) -> str | None:
    reference: str | None = content.get("case_reference")
    return None if reference is None else as_line(reference)


@command()
@click.argument("message_id", metavar="ID")
@click.option("--to", multiple=True, required=True, help="member, member/desk or '#network'; once for each.")
@click.option("--comment", default="", help="Your words above the message.")
@click.option("--desk", help="The desk in whose name you write.")
@click.option("--key", help="Idempotency key: the same key never sends twice.")
@click.option(
    "--dry-run", is_flag=True, help="Say what would be sent, whether it could go and who could read it; send nothing."
)
@_FROM
@with_client
def forward(
    client: NodeClient,
    message_id: str,
    *,
    sender: str | None,
    to: tuple[str, ...],
    comment: str,
    desk: str | None,
    key: str | None,
    dry_run: bool,
) -> None:
    """Pass the message ID on, as far as its handling code allows."""
    original = client.get(f"messages/{segment(message_id)}", **_of(sender))
    content = original["content"]
    origin = content["from"]
    head = f"--- {origin['member']}/{origin['desk']}, {original.get('received_at') or original.get('accepted_at')} ---"
    parts = [comment, head, content["body"]["text"]] if comment else [head, content["body"]["text"]]
    request = {
        "to": list(to),
        "type": content["type"],
        "subject": _prefixed("Fwd", content["subject"]),
        "handling": content.get("handling"),
        "case_reference": _case_of(content),
        "use_limits": content.get("use_limits"),
        "forward_of": original["id"],
        "desk": desk,
        "body": "\n\n".join(parts),
    }
    _send(client, request, key, dry_run=dry_run)


# -- what is read ----------------------------------------------------------------------------------------
@command()
@click.option("--desk", help="Of this desk alone.")
@click.option("--limit", type=click.IntRange(1, 500), default=LISTED, show_default=True)
@click.option("--after", help="A cursor: only what came behind it, oldest first.")
@with_client
def inbox(client: NodeClient, *, desk: str | None, limit: int, after: str | None) -> None:
    """List what was received, the newest last."""
    found = _listed(client, "messages", desk, limit, after)
    lines = [terminal.inbox_line(each) for each in found["items"]]
    answer(found, lines or [say("Nothing has arrived yet.  `valija-node status` tells whether the hub is reached.")])


@command()
@click.option("--desk", help="Of this desk alone.")
@click.option("--limit", type=click.IntRange(1, 500), default=LISTED, show_default=True)
@click.option("--after", help="A cursor: only what was sent behind it, oldest first.")
@with_client
def outbox(client: NodeClient, *, desk: str | None, limit: int, after: str | None) -> None:
    """List what was sent and where it stands, the newest last."""
    found = _listed(client, "outbox", desk, limit, after)
    lines = [terminal.outbox_line(each) for each in found["items"]]
    answer(found, lines or [say("Nothing was sent yet.  `valija-node send --to … --subject …` writes a message.")])


def _listed(client: NodeClient, path: str, desk: str | None, limit: int, after: str | None) -> Any:
    if after is not None:
        return client.get(path, desk=desk, limit=limit, after=after)
    found = client.get(path, desk=desk, limit=limit, before="")
    items = found["items"][::-1]
    return found | {"items": items, "next": items[-1]["cursor"] if items else None}


@command()
@click.argument("message_id", metavar="ID")
@_FROM
@with_client
def show(client: NodeClient, message_id: str, sender: str | None) -> None:
    """Show the message ID (or the start of it) in full, with its receipts."""
    found = client.get(f"messages/{segment(message_id)}", **_of(sender))
    answer(found, terminal.message(found))


@command()
@click.argument("message_id", metavar="ID")
@_FROM
@with_client
def thread(client: NodeClient, message_id: str, sender: str | None) -> None:
    """List the thread in which the message ID stands, oldest first."""
    found = client.get(f"threads/{segment(message_id)}", **_of(sender))
    answer(found, [terminal.either_line(each) for each in found["items"]])


@command()
@click.argument("words", nargs=-1, required=True)
@click.option("--limit", type=click.IntRange(1, 500), default=LISTED, show_default=True)
@with_client
def search(client: NodeClient, words: tuple[str, ...], *, limit: int) -> None:
    """Find messages by words of subject and text, or by part of a case reference."""
    found = client.get("search", q=" ".join(words), limit=limit)
    answer(found, [terminal.either_line(each) for each in found["items"]] or [say("Nothing found.")])


# -- what is done ----------------------------------------------------------------------------------------
@command()
@click.argument("message_id", metavar="ID")
@with_client
def withdraw(client: NodeClient, message_id: str) -> None:
    """Take the message ID back wherever it is not delivered yet."""
    found = client.post(f"messages/{segment(message_id)}/withdraw")
    told = [line for each in found["deliveries"] for line in terminal.delivery(each)]
    answer(found, [strong(say("Being taken back where it can be: %(id)s", id=found["id"])), *told])


@command()
@click.argument("message_id", metavar="ID")
@click.option("--action", type=click.Choice(_ACTIONS), default="acknowledged", show_default=True)
@click.option("--note", default="", help="A few words to the sender.")
@click.option("--desk", help="The desk in whose name you answer.")
@_FROM
@with_client
def ack(client: NodeClient, message_id: str, *, action: str, note: str, desk: str | None, sender: str | None) -> None:
    """Tell the sender of the message ID, by a signed receipt, that you have it in hand."""
    body = {"action": action, "note": note, "author": author()} | ({"desk": desk} if desk else {})
    done = client.post(f"messages/{segment(message_id)}/acknowledge", body, **_of(sender))
    answer(
        done,
        [say("The sender will be told: %(action)s.", action=say(terminal.ACTIONS.get(done["action"], done["action"])))],
    )


MESSAGES: Final = (send, inbox, show, reply, forward, thread, outbox, withdraw, ack, search)
