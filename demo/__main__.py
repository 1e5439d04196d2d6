"""Four prosecution services exchange sealed and signed messages through a relay that cannot read them.

ONCE=1 ends by itself; FILES="a.txt b.txt" sends your own text.  Everything runs on loopback, in a temporary folder.
"""

from __future__ import annotations

import signal
import sys
import threading
import time

from demo import ledger
from demo.association import Association
from demo.letters import NETWORK, SERVICES, STEWARDS
from demo.stage import CommandError, Stage, choice
from demo.story import Story, own_texts


def play(stage: Stage, own: list[tuple[str, str]]) -> bool:
    """The whole story, in which `own` texts are sent; whether it ended well."""
    association = Association(stage)
    story = Story(stage, association, own=own)
    stage.say("[bold]Valija[/]: a pouch that a third party carries and may not open.")
    stage.say(f"Everything of this demonstration is in {stage.folder}; every server is a process of its own.")
    try:
        found(stage, story)
        exchange(stage, story)
        return conclude(stage, story)
    finally:
        story.close()


def found(stage: Stage, story: Story) -> None:
    """The charter, the hub, the members."""
    stage.heading("1. An association: two of three stewards sign its charter")
    stage.say(
        f"{', '.join(name.title() for name in STEWARDS)} make keys of their own; the hub's root key stays offline."
    )
    story.association.found()
    stage.heading("2. Four services are admitted (the commands of the first are shown)")
    papers = story.association.admit()
    stage.heading("3. The hub and four nodes start, each a process of its own")
    story.open(papers)


def exchange(stage: Stage, story: Story) -> None:
    """The messages, and the killing."""
    stage.heading("4. Argentina asks Colombia and Spain for assistance")
    request = story.request()
    stage.wait("the request's receipts", lambda: story.settled(request))
    stage.say("Both nodes opened it, verified everything, archived it and answered with a signed receipt.")
    stage.heading(f"5. Spain alerts the network #{NETWORK}; Colombia accepts Argentina's request and answers")
    story.alert()
    story.answer(request)
    stage.heading("6. While Brazil sends updates, Colombia's node is killed, then the hub")
    story.flood()


def conclude(stage: Stage, story: Story) -> bool:
    """The table, and the search at the hub."""
    told = story.wait_all()
    stage.heading("7. Everything that was sent, and the receipt that each recipient signed")
    found_rows = ledger.rows(story, told)
    stage.console.print(ledger.table(found_rows))
    stage.say(ledger.summary(found_rows))
    stage.heading("8. What the hub has of all this")
    searched = ledger.search(story.association.hub_home, story.written, stage.folder / "logs" / "hub.log")
    stage.say(
        f"Searched {searched.files} files of the hub ({searched.bytes_read:,} bytes) for {searched.phrases} phrases."
    )
    for path in searched.found:
        stage.say(f"[bold red]FOUND[/] in {path}")
    if not searched.found:
        stage.say("[green]Nothing of what was written is there.[/]")
    stage.say(f"All of it took {time.monotonic() - stage.began:.0f} s.")
    return not searched.found


def linger(stage: Stage) -> None:
    """Keep the servers running until Ctrl-C, with something to try."""
    stage.heading("It keeps running. In another terminal, in this folder:")
    home = stage.folder / SERVICES[0].member
    for line in (
        f"export PATH=$PWD/.venv/bin:$PATH VALIJA_HOME={home}",
        "valija-node status",
        "valija-node outbox",
        "echo 'Buenos días' | valija-node send --to br-mpf@aiamp --subject Prueba --body -",
        f"valija-node inbox --home {stage.folder / 'br-mpf'}",
        f"valija-hub status --home {stage.folder / 'hub'} --watch",
    ):
        stage.say(f"  {line}")
    stage.say("Ctrl-C ends it and removes everything.")
    threading.Event().wait()


def interrupt(_number: int, _frame: object) -> None:
    """Treat SIGTERM as Ctrl-C, so that both clean up."""
    raise KeyboardInterrupt


def main() -> int:
    """Play, linger unless ONCE is set, and clean up whatever happens."""
    signal.signal(signal.SIGTERM, interrupt)
    # Whoever started it in the background had Ctrl-C ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # A text that cannot be sent should not end the story in the middle.
    try:
        own = own_texts()
    except CommandError as error:
        print(f"The demonstration does not begin: {error}")
        return 1
    stage = Stage()
    try:
        well = play(stage, own)
        if well and not choice("ONCE"):
            linger(stage)
    except KeyboardInterrupt:
        stage.say("Cleaning up …")
        return 0
    except (CommandError, OSError) as error:
        stage.console.print(f"The demonstration failed: {error}", style="bold red", markup=False)
        return 1
    finally:
        stage.close()
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
