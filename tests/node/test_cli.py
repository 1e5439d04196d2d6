"""The commands, by subprocess, against a running node: what they say, how they refuse, and what a terminal is spared."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from keys.levels import Level
from node import diagnosis, fields, speaking, terminal, vital_signs
from node.cli import _readable, main
from node.cli_messages import handling_of
from node.speaking import Told
from protocol.errors import UsageError
from tests.support.association import Association, found
from tests.support.processes import ROOT, Daemons, command

AR, BR, CO = "ar-mpf", "br-mpf", "co-fgn"
TURNED = "Urgente\u202etxt.exe"
HOSTILE = "Urgente\x1b[2J\x1b]0;robado\x07\r\u202etxt.exe\x9b31m"


@dataclass
class Done:
    """A command that ended."""

    status: int
    out: str
    err: str

    @property
    def told(self) -> Any:
        return json.loads(self.out)


def valija(*words: str | Path, text: str | bytes = "", **environment: str) -> Done:
    """Run the command inside this process."""
    outside = {name: None for name in os.environ if name.startswith("VALIJA_")}
    given = outside | {"COLUMNS": "200", "LC_ALL": "C.UTF-8"} | environment
    done = CliRunner().invoke(main, [str(each) for each in words], input=text, env=given)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Done(done.exit_code, done.stdout, done.stderr)


def process(*words: str | Path, text: str = "") -> Done:
    """Run the command in a process of its own, as people do."""
    done = subprocess.run(
        command("node", *map(str, words)), input=text.encode(), capture_output=True, cwd=ROOT, check=False, timeout=60
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


@dataclass
class Scene:
    """A running hub with two nodes."""

    association: Association
    daemons: Daemons

    def ar(self, *words: str | Path, text: str | bytes = "") -> Done:
        return valija(*words, "--home", self.association.homes[AR].folder, text=text)

    def br(self, *words: str | Path, text: str | bytes = "") -> Done:
        return valija(*words, "--home", self.association.homes[BR].folder, text=text)

    def send(self, *words: str, text: str = "Texto", to: str = BR) -> str:
        done = self.ar("send", "--to", to, *words, "--json", text=text)
        assert done.status == 0, done
        return str(done.told["id"])

    def arrived(self, message_id: str) -> None:
        for _try in range(600):
            if self.br("show", message_id).status == 0:
                return
            time.sleep(0.05)
        raise AssertionError(f"{message_id} did not arrive")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("c")
    association = found(folder / "x", [AR, BR, CO], {"rfai": [AR, BR, CO]}, tls=False)
    with Daemons(folder / "logs") as daemons:
        daemons.hub(association)
        daemons.node(association, AR)
        daemons.node(association, BR)
        daemons.ready()
        yield Scene(association, daemons)


# -- writing and reading -------------------------------------------------------------------------------
def test_a_message_goes_and_says_who_will_read_it(scene: Scene) -> None:
    done = scene.ar("send", "--to", f"{BR}/central", "--to", "#rfai", "--subject", "Pedido", "--type", "mla-request",
                    "--urgency", "urgent", "--due", "2027-01-31", "--handling", "TLP:AMBER", "--handling", "h1",
                    "--handling", "B2", "--case", "FRO 1/26", text="Hola,\ncolega.\n")  # fmt: skip
    assert done.status == 0, done
    message_id = done.out.split()[5]
    assert message_id.startswith("msg_")
    assert f"{BR}           Fiscalía {BR} (BR)" in done.out
    assert CO in done.out
    scene.arrived(message_id)
    shown = scene.br("show", message_id[:12], "--json").told
    content = shown["content"]
    assert content["handling"] == {"tlp": "TLP:AMBER", "europol": ["H1"], "source": "B", "information": 2}
    assert (content["due_at"], content["urgency"], content["type"]) == ("2027-01-31T00:00:00Z", "urgent", "mla-request")
    assert content["body"]["text"] == "Hola,\ncolega.\n"
    text = scene.br("show", message_id).out
    for words in ("Pedido", "URGENT", "due          2027-01-31", "TLP:AMBER H1", "FRO 1/26", "colega."):
        assert words in text
    listed = scene.br("inbox").out
    assert "[URGENT, TLP:AMBER H1, due 2027-01-31T00:00:00Z]" in listed


def test_lines_of_a_hostile_peer_are_shown_as_text() -> None:
    content = {"subject": HOSTILE, "to": [HOSTILE], "case_reference": HOSTILE, "urgency": "routine", "type": "message"}
    item = {
        "id": "msg_" + "a" * 26,
        "received_at": "2026-11-22T00:00:00Z",
        "sender": {"member": AR},
        "content": content,
    }
    assert "Urgente\\u{1b}[2J\\u{1b}]0;robado\\u{7}\\u{d}\\u{202e}txt.exe\\u{9b}31m" in terminal.inbox_line(item)
    assert terminal.inbox_line(item).isprintable()


def test_a_hostile_message_moves_no_cursor(scene: Scene) -> None:
    message_id = scene.send("--subject", TURNED, "--case", TURNED, text=HOSTILE + "\n\ttabs\x00\x08\n")
    scene.arrived(message_id)
    for done in (scene.br("inbox"), scene.br("show", message_id), scene.ar("outbox"), scene.ar("show", message_id),
                 scene.br("thread", message_id), scene.ar("send", "--dry-run", "--to", BR, "--subject", TURNED)):  # fmt: skip
        assert done.status == 0, done
        assert [each for each in done.out if not each.isprintable() and each != "\n"] == []
    assert "Urgente\\u{202e}txt.exe" in scene.br("inbox").out
    assert "Urgente\\u{1b}[2J\\u{1b}]0;robado\\u{7}\\u{d}\\u{202e}txt.exe\\u{9b}31m" in scene.br("show", message_id).out
    told = scene.br("show", message_id, "--json").told["content"]
    assert (told["subject"], told["body"]["text"].splitlines()[0]) == (TURNED, HOSTILE.partition("\r")[0])
    refused = scene.ar("send", "--to", BR, "--subject", HOSTILE, text="x")
    assert (refused.status, "subject holds a line break" in refused.err) == (1, True)
    done = process("show", message_id, "--home", scene.association.homes[BR].folder)
    assert (done.status, done.err) == (0, "")
    assert [each for each in done.out if not each.isprintable() and each != "\n"] == []


def test_a_reply_stands_in_the_thread_under_the_same_code(scene: Scene) -> None:
    first = scene.send(
        "--subject", "Asunto", "--type", "mla-request", "--handling", "TLP:GREEN", "--case", "C-9", to="#rfai"
    )
    scene.arrived(first)
    done = scene.br("reply", first, "--json", text="Sí.")
    assert done.status == 0, done
    content = scene.br("show", done.told["id"], "--json").told["content"]
    assert content["to"] == [f"{AR}/central@aiamp"]
    assert (content["subject"], content["type"], content["case_reference"]) == ("Re: Asunto", "mla-response", "C-9")
    assert content["thread"] == content["in_reply_to"] == first
    assert content["handling"] == {"tlp": "TLP:GREEN"}
    again = scene.br("reply", done.told["id"], "--all", "--json", text="Y más.")
    content = scene.br("show", again.told["id"], "--json").told["content"]
    assert (content["subject"], content["thread"]) == ("Re: Asunto", first)
    everybody = scene.br("reply", first, "--all", "--dry-run", "--json", text="x").told["request"]
    assert everybody["to"] == [f"{AR}/central", CO]


def test_a_forward_obeys_the_code(scene: Scene) -> None:
    message_id = scene.send("--subject", "Reservado", "--handling", "TLP:AMBER+STRICT", "--handling", "H2")
    scene.arrived(message_id)
    done = scene.br("forward", message_id, "--to", CO)
    assert (done.status, "[handling_forbids]" in done.err, done.out) == (1, True, "")
    free = scene.send("--subject", "Libre", text="cuerpo original")
    scene.arrived(free)
    done = scene.br("forward", free, "--to", CO, "--comment", "Para su conocimiento", "--json")
    assert done.status == 0, done
    text = scene.br("show", done.told["id"], "--json").told["content"]["body"]["text"]
    assert text.startswith("Para su conocimiento\n\n--- ar-mpf/central, ")
    assert text.endswith("cuerpo original")


def test_withdrawing_acknowledging_and_the_receipts(scene: Scene) -> None:
    waiting = scene.send("--subject", "Espera", to=CO)
    assert "held" in scene.ar("show", waiting).out
    done = scene.ar("withdraw", waiting[:14])
    assert (done.status, "withdrawn" in done.out) == (0, True), done
    message_id = scene.send("--subject", "Acuse")
    scene.arrived(message_id)
    done = scene.br("ack", message_id, "--action", "accepted", "--note", "Mañana")
    assert done.status == 0, done
    for _try in range(600):
        shown = scene.ar("show", message_id).out
        if "accepted" in shown:
            break
        time.sleep(0.05)
    assert "receipt ContentHandover, signed by br-mpf" in shown
    assert "Mañana" in shown
    done = scene.ar("withdraw", message_id)
    assert (done.status, "[too_late]" in done.err) == (1, True)


def test_a_key_sends_once(scene: Scene) -> None:
    first = scene.ar("send", "--to", BR, "--key", "una", text="x")
    again = scene.ar("send", "--to", BR, "--key", "una", text="x")
    other = scene.ar("send", "--to", BR, "--key", "una", "--json", text="y")
    assert (first.status, again.status, other.status) == (0, 0, 1)
    assert "This key was used before" in again.out
    assert other.told["error"]["code"] == "conflict"


def test_a_dry_run_says_who_could_read_it_and_whether_it_could_go(scene: Scene) -> None:
    before = scene.ar("outbox", "--json").told
    done = scene.ar("send", "--dry-run", "--to", "#rfai", "--due", "2020-01-01", text="x")
    assert done.status == 0, done
    for words in ("Nothing was sent", BR, CO, "lies in the past"):
        assert words in done.out
    told = scene.ar("send", "--dry-run", "--to", "#rfai", "--json", text="x").told
    assert (told["dry_run"], told["fresh"], told["warnings"]) == (True, True, [])
    assert {each["member"] for each in told["readers"]} == {BR, CO}
    for wrong, code in (
        (["--to", "xx-none"], "unknown_recipient"),
        (["--to", BR, "--desk", "nada"], "unknown_desk"),
        (["--to", BR, "--subject", "x" * 301], "invalid_request"),
    ):
        refused = scene.ar("send", "--dry-run", *wrong, "--json", text="x")
        assert (refused.status, refused.told["error"]["code"]) == (1, code)
    assert scene.ar("outbox", "--json").told == before
    key = ("send", "--to", BR, "--key", "seco", "--json")
    fresh = [scene.ar(*key, *more, text="x").told["fresh"] for more in (["--dry-run"], [], ["--dry-run"])]
    assert fresh == [True, True, False]
    assert scene.ar(*key, "--dry-run", text="y").told["error"]["code"] == "conflict"


def test_what_is_no_text_is_blamed_on_the_command_line(scene: Scene) -> None:
    broken = "a\udc9bb"
    for words in (["send", "--to", BR, "--subject", broken], ["send", "--to", BR, "--key", broken], ["search", broken],
                  ["show", broken], ["inbox", "--desk", broken], ["desk", "add", broken]):  # fmt: skip
        done = scene.ar(*words, text="x")
        assert (done.status, "0x9b on the command line" in done.err) == (1, True), done
    missing = scene.ar("send", "--to", BR, "--body", f"/nowhere/{broken}", "--json")
    assert (missing.status, missing.told["error"]["code"]) == (1, "invalid_request")


@pytest.mark.parametrize(("key", "said"), [("", "1 to 255 bytes"), ("a\nb", "no control characters")])
def test_a_key_that_can_be_none_sends_nothing(scene: Scene, key: str, said: str) -> None:
    done = scene.ar("send", "--to", BR, "--key", key, text="x")
    assert (done.status, said in done.err) == (1, True), done


def test_a_key_is_any_text(scene: Scene) -> None:
    sent = [scene.ar("send", "--to", BR, "--key", "causa ñ€", "--json", text="x").told for _ in range(2)]
    assert [each["fresh"] for each in sent] == [True, False]


def test_search_networks_status_and_doctor(scene: Scene) -> None:
    message_id = scene.send("--subject", "Ñandú overo")
    for _try in range(600):
        hits = scene.ar("search", "nandu", "--json").told["items"]
        if hits:
            break
        time.sleep(0.05)
    assert [each["id"] for each in hits] == [message_id]
    assert "Nothing found" in scene.ar("search", "inexistente").out
    networks = scene.ar("networks").out
    assert "#rfai  Red rfai" in networks
    assert f"{AR}           Fiscalía {AR} (AR)  (this node)" in networks
    status = scene.ar("status").out
    assert "phase        connected" in status
    assert re.search(r"alarm after +24 hours", status)
    told = scene.ar("doctor", "--json")
    assert (told.status, told.told["healthy"]) == (0, True)
    assert [row["code"] for row in told.told["rows"] if row["level"] == "warning"] != []
    assert "unwitnessed" in scene.ar("doctor").out


def test_a_person_is_spoken_to_in_their_language_and_a_program_in_none(scene: Scene) -> None:
    message_id = scene.send("--subject", "Idiomas", "--urgency", "urgent")
    scene.arrived(message_id)
    for language, asunto, remedy in (("es", "urgencia", "remedio:"), ("pt-BR", "urgência", "remédio:")):
        shown = scene.br("show", message_id, "--language", language).out
        assert asunto in shown
        assert "URGENTE" in shown
        assert remedy in scene.br("doctor", "--language", language).out
    spanish = scene.ar("outbox", "--language", "es")
    assert spanish.status == 0
    refused = scene.ar("show", "msg_aaaa", "--language", "es")
    assert (refused.status, refused.err) == (
        1,
        "No hay aquí un mensaje con ese identificador; revíselo con `valija-node inbox` u `outbox`. [unknown_message]\n",
    )
    for words in (["doctor"], ["show", "msg_aaaa"], ["send", "--to", BR, "--handling", "XX"], ["status"]):
        plain, other = scene.ar(*words, "--json"), scene.ar(*words, "--json", "--language", "es")
        assert (plain.status, set(plain.told)) == (other.status, set(other.told))
        assert plain.told.get("error") == other.told.get("error")
        assert plain.told.get("rows", [{}])[0] == other.told.get("rows", [{}])[0]


def test_nobody_is_called_where_no_address_is_set(scene: Scene) -> None:
    done = scene.ar("nudge", "central", "--language", "es")
    assert (done.status, done.out) == (1, "")
    assert "este nodo no avisa a nadie" in done.err


def test_every_name_in_a_status_can_be_translated(scene: Scene) -> None:
    def names(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for name, each in value.items():
                yield fields.shown(name)
                yield from names(each)

    assert set(names(scene.ar("status", "--json").told)) - fields.FIELDS == set()
    assert "este nodo" in scene.ar("networks", "--language", "es").out


def test_what_a_status_lists_is_told_by_name() -> None:
    waiting = {"desk": "central", "count": 2, "calls": False, "failing_since": None}
    assert list(_readable({"desks": [waiting, "x\x1b"]}).values()) == [
        ["desk: central; count: 2; calls: no", "x\\u{1b}"]
    ]


@pytest.mark.parametrize(
    ("tongue", "shown"),
    [
        ("en", ["13 minutes", "24 hours", "3 days", "0 seconds", "1 second behind", "None"]),
        ("es", ["13 minutos", "24 horas", "3 días", "0 segundos", "1 segundo de atraso", "None"]),
        ("pt-BR", ["13 minutos", "24 horas", "3 dias", "0 segundo", "1 segundo de atraso", "None"]),
        ("pt-PT", ["13 minutos", "24 horas", "3 dias", "0 segundos", "1 segundo de atraso", "None"]),
    ],
)
def test_a_length_of_time_is_told_as_people_do(tongue: str, shown: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fields, "language", lambda: tongue)
    monkeypatch.setattr(speaking, "language", lambda: tongue)
    told = [{"age_seconds": value} for value in (805, 86_400, 259_200, 0, -1, None)]
    assert [str(each) for row in told for each in _readable({"registry": row}).popitem()[1].values()] == shown


def test_desks_and_tokens(scene: Scene) -> None:
    assert scene.ar("desk", "add", "extradiciones").status == 0
    assert "[already_exists]" in scene.ar("desk", "add", "extradiciones").err
    made = scene.ar("desk", "token", "extradiciones", "--label", "sistema \x1b[31m", "--json").told
    assert made["token"].startswith("vlj_")
    listed = scene.ar("desk", "list").out
    assert made["token"] not in listed
    assert f"{made['handle']}" in listed
    assert "\\u{1b}" in listed
    assert scene.ar("desk", "revoke", made["handle"]).status == 0
    assert "revoked 20" in scene.ar("desk", "list").out
    assert "[unknown_desk]" in scene.ar("desk", "token", "nada").err


# -- refusals ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("words", "text", "code"),
    [
        (["send", "--to", "xx-none"], "x", "unknown_recipient"),
        (["send", "--to", "#nadie"], "x", "unknown_network"),
        (["send", "--to", "Br Mpf"], "x", "invalid_request"),
        (["send", "--to", BR, "--handling", "TLP:PURPLE"], "x", "invalid_request"),
        (["send", "--to", BR, "--handling", "TLP:RED", "--handling", "TLP:GREEN"], "x", "invalid_request"),
        (["send", "--to", BR, "--handling", "A1", "--handling", "B2"], "x", "invalid_request"),
        (["send", "--to", "https://br"], "x", "invalid_request"),
        (["send", "--to", BR], " \n", "invalid_request"),
        (["send", "--to", BR, "--due", "mañana"], "x", "invalid_request"),
        (["send", "--to", BR], b"\xff\xfe", "invalid_request"),
        (["send", "--to", BR], b"x" * (512 * 1024 + 1), "invalid_request"),
        (["send", "--to", BR, "--body", "/no/such/file"], "", "invalid_request"),
        (["send", "--to", BR, "--desk", "nada"], "x", "unknown_desk"),
        (["show", "msg_aaaaaaaa"], "", "unknown_message"),
        (["show", "../desks"], "", "invalid_request"),
        (["withdraw", "msg_aaaaaaaa"], "", "unknown_message"),
        (["ack", "msg_aaaaaaaa"], "", "unknown_message"),
        (["inbox", "--after", "zzz"], "", "invalid_request"),
        (["desk", "revoke", "zz"], "", "invalid_request"),
    ],
)
def test_a_refusal_is_one_sentence_with_its_code(scene: Scene, words: list[str], text: str | bytes, code: str) -> None:
    done = scene.ar(*words, text=text)
    assert (done.status, done.out) == (1, "")
    assert done.err.count("\n") == 1
    assert done.err.endswith(f"[{code}]\n")
    told = scene.ar(*words, "--json", text=text)
    assert (told.status, told.told["error"]["code"]) == (1, code)


def test_what_is_not_understood_exits_2(scene: Scene) -> None:
    assert scene.ar("send", "--json", text="x").status == 2
    assert scene.ar("send", "--to", BR, "--type", "poem", text="x").status == 2
    assert scene.ar("inbox", "--limit", "0").status == 2
    assert valija("dance").status == 2


def test_without_a_daemon_every_command_says_so(tmp_path: Path) -> None:
    association = found(tmp_path / "x", [AR], tls=False)
    home = association.homes[AR].folder
    for words in (["status"], ["inbox"], ["send", "--to", BR], ["desk", "list"], ["networks"], ["show", "msg_aaaa"]):
        done = valija(*words, "--home", home, text="x")
        assert (done.status, "valija-node serve" in done.err, "[not_running]" in done.err) == (1, True, True)
    assert process("status", "--home", home).err.endswith("[not_running]\n")
    told = valija("doctor", "--json", VALIJA_HOME=str(home))
    assert told.status == 1
    assert [row["code"] for row in told.told["rows"] if row["level"] == "problem"] == ["not_running"]
    charter = association.homes[AR].charter
    charter.write_bytes(charter.read_bytes()[:200])
    told = valija("doctor", "--home", home, "--json")
    (wrong,) = [row for row in told.told["rows"] if row["name"] == "charter"]
    assert (wrong["level"], str(charter) in wrong["remedy"]) == ("problem", True)
    assert f"[{wrong['code']}]" in valija("serve", "--home", home).err
    (association.homes[AR].secret).unlink()
    told = valija("doctor", "--home", home, "--json")
    assert "key_access" in {row["code"] for row in told.told["rows"]}


@pytest.mark.parametrize("words", [["serve"], ["doctor"], ["status"], ["send", "--to", BR], ["publish", __file__]])
def test_without_a_home_nothing_is_made(tmp_path: Path, words: list[str]) -> None:
    run = process if words == ["serve"] else valija
    done = run(*words, "--home", tmp_path / "none", "--json", text="x")
    assert (done.status, done.told["error"]["code"]) == (1, "home_missing")
    assert list(tmp_path.iterdir()) == []


def test_init_says_what_to_compare_and_what_comes_next(tmp_path: Path) -> None:
    association = found(tmp_path / "x", [], tls=False)
    words: list[str | Path] = [
        "init",
        "--home",
        tmp_path / "node",
        "--member",
        AR,
        "--charter",
        association.charter_file,
    ]
    done = valija(*words)
    assert done.status == 0, done
    assert association.charter.id.hex()[:4] in done.out
    for step in ("valija-keys certify node", "valija-node publish", "valija-node serve"):
        assert step in done.out
    assert "BEGIN VALIJA PUBLIC KEY" in (tmp_path / "node" / "node-key.txt").read_text()
    again = valija(*words, "--json")
    assert (again.status, again.told["error"]["code"]) == (1, "already_exists")
    wrong = valija("init", "--home", tmp_path / "other", "--member", AR, "--charter", tmp_path / "none", "--json")
    assert (wrong.status, wrong.told["error"]["code"]) == (1, "invalid_request")


def test_publishing_logs_statements_in_order_and_again(scene: Scene, tmp_path: Path) -> None:
    from keys.papers import statement_paper

    roster = scene.association.network("extradicion", [AR, BR])
    paper = tmp_path / "roster.txt"
    paper.write_bytes(statement_paper(roster, "a network"))
    done = scene.ar("publish", paper, "--json")
    assert done.status == 0, done
    assert done.told["logged"][0]["type"] == "roster"
    assert scene.ar("publish", paper, "--json").told == done.told
    for _try in range(600):
        if "#extradicion" in scene.ar("networks").out:
            return
        time.sleep(0.05)
    raise AssertionError("the network is not mirrored")


# -- pure ----------------------------------------------------------------------------------------------
def test_handling_codes_are_joined() -> None:
    assert handling_of(()) is None
    assert handling_of(("tlp:amber+strict", "H2", "H0", "x4")) == {
        "tlp": "TLP:AMBER+STRICT", "europol": ["H2", "H0"], "source": "X", "information": 4,
    }  # fmt: skip
    for wrong in ("TLP:BLACK", "D1", "A5", "A", ""):
        with pytest.raises(UsageError):
            handling_of((wrong,))


def test_text_keeps_its_lines_and_loses_its_tricks() -> None:
    assert terminal.text_lines("a\r\nb\tc\n\x1b[1m") == ["a", "b   c", "\\u{1b}[1m"]
    assert terminal.text_lines("a\x0bb\x85c\u2028d") == ["a\\u{b}b\\u{85}c\\u{2028}d"]
    assert terminal.title({"titles": {"fr": "X", "es": "Fiscalía\x1b"}}) == "Fiscalía\\u{1b}"
    assert terminal.title({"titles": {}}) == ""


VITALS: dict[str, Any] = {
    "hub": {"phase": "connected", "url": "u", "since": "s", "error": None, "clock_ahead_seconds": 0},
    "certificate": {"in_standing": True, "days_left": 300, "valid_until": "t"},
    "association": {"charter_days_left": 400, "charter_expires_at": "t", "is_witnessed": True},
    "registry": {"size": 9, "age_seconds": 60, "alarm_after_seconds": 86_400, "stop_after_seconds": 259_200},
    "prekeys": {"held": 15, "days_ahead": 14, "overdue": 0},
    "messages": {"sent": 1, "received": 1, "under_way": 0, "waiting": 0, "held": 0, "held_for": {}, "quarantined": 0,
                 "forks": 0},
    "nudges": {"calls": True, "unknown_desks": [], "desks": []},
    "webhooks": {"count": 1, "troubled": []},
    "now": "2026-08-20T00:00:00Z",
    "alarms": [{"at": "2026-08-12T00:00:00Z", "code": "gap", "detail": "br-mpf"}],
}  # fmt: skip
HOOK: dict[str, Any] = {
    "name": "whk_1",
    "desk": "central",
    "failing_since": "t",
    "disabled_at": None,
    "disabled_why": None,
}
WAITING: dict[str, Any] = {"desk": "central", "count": 1, "emergencies": 0, "since": "t", "calls": True, "called": 1,
                           "escalated": False, "failing_since": None, "outcome": None}  # fmt: skip


@pytest.mark.parametrize(
    ("where", "change", "code", "level"),
    [
        (
            "hub",
            {"phase": "waiting", "error": {"code": "tls_inspected", "message": "m"}},
            "tls_inspected",
            Level.PROBLEM,
        ),
        ("hub", {"phase": "waiting", "error": {"code": "of_tomorrow", "message": "m"}}, "of_tomorrow", Level.PROBLEM),
        ("hub", {"phase": "connecting"}, "", Level.WARNING),
        ("hub", {"clock_ahead_seconds": -900}, "clock_skew", Level.WARNING),
        ("certificate", None, "not_in_standing", Level.PROBLEM),
        ("certificate", {"in_standing": False}, "not_in_standing", Level.PROBLEM),
        ("certificate", {"days_left": 3}, "", Level.WARNING),
        ("incarnation_put_off_until", "2026-08-21T00:00:00Z", "incarnation_limit", Level.PROBLEM),
        ("association", None, "", Level.PROBLEM),
        ("association", {"charter_days_left": -1}, "charter_expired", Level.PROBLEM),
        ("association", {"charter_days_left": 10}, "charter_expired", Level.WARNING),
        ("association", {"is_witnessed": False}, "unwitnessed", Level.WARNING),
        ("registry", {"age_seconds": 90_000}, "stale_view", Level.WARNING),
        ("registry", {"age_seconds": 300_000}, "stale_view", Level.PROBLEM),
        ("registry", {"age_seconds": None}, "stale_view", Level.PROBLEM),
        ("prekeys", {"days_ahead": 1}, "no_prekey", Level.WARNING),
        ("prekeys", {"overdue": 2}, "", Level.WARNING),
        ("messages", {"waiting": 2}, "held", Level.WARNING),
        ("messages", {"held_for": {"view_ahead": 1}}, "view_ahead", Level.WARNING),
        ("messages", {"held_for": {"forked_view": 1}}, "forked_view", Level.PROBLEM),
        ("messages", {"quarantined": 1}, "unverifiable", Level.WARNING),
        ("messages", {"forks": 1}, "forked_view", Level.PROBLEM),
        ("nudges", {"unknown_desks": ["otra"]}, "unknown_desk", Level.WARNING),
        ("nudges", {"desks": [WAITING | {"calls": False}]}, "", Level.WARNING),
        ("nudges", {"desks": [WAITING | {"failing_since": "t", "outcome": "status 500"}]}, "", Level.PROBLEM),
        ("nudges", {"desks": [WAITING | {"escalated": True}]}, "", Level.PROBLEM),
        ("webhooks", {"troubled": [HOOK]}, "", Level.WARNING),
        ("webhooks", {"troubled": [HOOK | {"disabled_at": "t", "disabled_why": "gone"}]}, "", Level.PROBLEM),
    ],
)
def test_the_doctor_names_what_is_wrong(where: str, change: dict | str | None, code: str, level: Level) -> None:
    healthy = vital_signs.judge(VITALS)
    assert {row.level for row in healthy} == {Level.OK}
    ill = VITALS | {where: VITALS[where] | change if isinstance(change, dict) else change}
    (row,) = [row for row in vital_signs.judge(ill) if row.level is not Level.OK]
    assert all(isinstance(part, Told) for part in (row.found, row.effect, row.remedy, row.title))
    assert (row.code, row.level) == (code, level)
    assert row.effect
    assert row.remedy
    assert diagnosis.is_healthy(vital_signs.judge(ill)) is (level is Level.WARNING)


def test_who_never_reached_the_hub_is_not_told_to_have_its_key_certified() -> None:
    rows = vital_signs.judge(VITALS | {"association": None, "certificate": None})
    assert [row.name for row in rows if row.level is not Level.OK] == ["registry"]


def test_the_doctor_tells_of_the_alarms_of_a_week_each_kind_once() -> None:
    fresh = [{"at": f"2026-08-1{day}T00:00:00Z", "code": "gap", "detail": f"peer {day}"} for day in (2, 4, 6)]
    (row,) = [row for row in vital_signs.judge(VITALS | {"alarms": fresh}) if row.name == "alarms"]
    assert (row.level, row.code) == (Level.WARNING, "gap")
    assert row.found == "gap: 2 in a week, the newest at 2026-08-16T00:00:00Z: peer 6"


def test_a_daemon_of_before_tells_nothing_of_webhooks() -> None:
    before = {name: told for name, told in VITALS.items() if name != "webhooks"}
    assert {row.level for row in vital_signs.judge(before)} == {Level.OK}


def test_what_waits_while_somebody_is_called_is_well() -> None:
    rows = vital_signs.judge(VITALS | {"nudges": VITALS["nudges"] | {"desks": [WAITING]}})
    assert {row.level for row in rows} == {Level.OK}
    assert [row.found for row in rows if row.name == "nudges"] == [
        "urgent and unopened at central since t: 1; calls to duty: 1"
    ]
