"""The codes and sentences of SPEC 13 and those of the error classes are the same, both ways."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from protocol.errors import (
    ConflictError,
    HeldError,
    KeyAccessError,
    OpenError,
    PeerError,
    StandingError,
    StoreError,
    TransportError,
    UsageError,
    ValijaError,
)
from tests.agreement.spec import section, table

BLAME: dict[str, tuple[type[ValijaError], ...]] = {
    "P": (PeerError, StandingError),
    "U": (UsageError,),
    "O": (OpenError,),
    "C": (ConflictError,),
    "T": (TransportError,),
    "S": (StoreError,),
    "K": (KeyAccessError,),
    "H": (HeldError,),
}


def every(kind: type[ValijaError] = ValijaError) -> Iterator[type[ValijaError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == "protocol.errors":
            yield from every(child)


def sentence(kind: type[ValijaError]) -> str:
    return (kind.__doc__ or "").strip()


def in_spec() -> dict[str, str]:
    return {code.strip("`"): meaning for code, _who, meaning in table("13")}


def test_codes_and_sentences_agree() -> None:
    assert in_spec() == {kind.code: sentence(kind) for kind in every()}


def test_each_code_is_written_once_and_belongs_to_one_class() -> None:
    assert [code for code, count in Counter(kind.code for kind in every()).items() if count > 1] == []
    assert [code for code, count in Counter(row[0] for row in table("13")).items() if count > 1] == []


def test_the_blame_is_the_branch_of_the_tree() -> None:
    for kind in every():
        (who,) = [row[1] for row in table("13") if row[0] == f"`{kind.code}`"]
        expected = [letter for letter, branches in BLAME.items() if issubclass(kind, branches)]
        assert expected == ([] if who == "-" else [who]), kind.code
    for letter in BLAME:
        assert f"{letter} " in section("13").split("|")[0], letter


def test_every_class_of_our_own_has_its_code_in_the_table() -> None:
    """No module keeps an error of its own with a code that no reader can look up."""
    strays = [kind for kind in _everywhere() if kind.code not in in_spec()]
    assert strays == []


def _everywhere(kind: type[ValijaError] = ValijaError) -> Iterator[type[ValijaError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _everywhere(child)


def test_a_sentence_says_what_is_wrong_on_one_line() -> None:
    for kind in every():
        assert sentence(kind).endswith("."), kind
        assert "\n" not in sentence(kind), kind
