"""Every vector of the protocol, read by an implementation that was written from SPEC.md alone."""

import ast
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.spec_reader import cases_base, cases_message, cases_session, cases_trust
from tests.spec_reader.cases_base import Case
from tests.spec_reader.refusal import Refused

HERE = Path(__file__).parent
VECTORS = HERE.parents[1] / "protocol" / "vectors"
PROJECT = {"protocol", "keys", "hub", "node", "demo", "bench", "msgpack", "msgspec"}

READERS: dict[str, Callable[[Case, Case], None]] = {
    "batch": cases_base.batch,
    "checkpoint": cases_trust.checkpoint,
    "chunks": cases_base.chunks_,
    "codec": cases_base.codec,
    "content": cases_message.content,
    "envelope": cases_message.envelope,
    "frames": cases_session.frames,
    "hpke": cases_base.hpke_,
    "merkle": cases_base.merkle_,
    "message": cases_message.message,
    "names": cases_base.names_,
    "offer": cases_trust.offer,
    "opening": cases_message.opening,
    "padding": cases_base.padding_,
    "prekeys": cases_trust.prekeys,
    "receipts": cases_message.receipts,
    "registry": cases_trust.registry,
    "session": cases_session.session,
    "signing": cases_base.signing_,
    "statements": cases_trust.statements,
}


@cache
def vectors(name: str) -> Case:
    read: Case = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
    return read


def cases(part: str) -> list[object]:
    return [
        pytest.param(name, number, id=f"{name}-{number}-{case.get('name', case.get('kind', ''))}")
        for name in READERS
        if (VECTORS / f"{name}.json").exists()
        for number, case in enumerate(vectors(name)[part])
    ]


@pytest.mark.parametrize(("name", "number"), cases("valid"))
def test_what_is_valid_is_read_as_it_was_written(name: str, number: int) -> None:
    READERS[name](vectors(name), vectors(name)["valid"][number])


@pytest.mark.parametrize(("name", "number"), cases("invalid"))
def test_what_is_invalid_is_refused_with_its_error(name: str, number: int) -> None:
    case = vectors(name)["invalid"][number]
    with pytest.raises(Refused) as refused:
        READERS[name](vectors(name), case)
    assert refused.value.code == case["error"], refused.value


def test_every_file_of_vectors_has_a_reader() -> None:
    assert {path.stem for path in VECTORS.glob("*.json")} == set(READERS)


@pytest.mark.parametrize("name", sorted(READERS))
def test_every_file_says_what_it_holds(name: str) -> None:
    file = vectors(name)
    assert file["description"]
    assert file["valid"]
    assert all(case["error"] and case["name"] for case in file["invalid"])


@pytest.mark.parametrize("path", sorted(HERE.glob("*.py")), ids=lambda path: path.name)
def test_the_reader_imports_nothing_of_the_project(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(node.module or "")
    assert not {name.split(".")[0] for name in imported} & PROJECT
    assert all(name.startswith("tests.spec_reader") for name in imported if name.split(".")[0] == "tests")
