"""Tiles against their definition in tlog-tiles, and the one spelling of their paths."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.tiles import TilePath, Tiles
from protocol.errors import UsageError
from protocol.merkle import leaf_hash, root

SIZE = 70_000


@pytest.fixture(scope="module")
def large() -> Tiles:
    """The example of the specification: 273 full tiles, one of 112; one full above, one of 17; one of 1."""
    tiles = Tiles()
    for number in range(SIZE):
        tiles.append(entry(number))
    return tiles


def entry(number: int) -> bytes:
    return b"entry %d" % number


def defined(level: int, index: int, width: int) -> bytes:
    """The specification's formula, taken literally."""
    span = 256**level
    starts = [(index * 256 + each) * span for each in range(width)]
    return b"".join(root([leaf_hash(entry(leaf)) for leaf in range(start, start + span)]) for start in starts)


@pytest.mark.parametrize(
    ("level", "index", "width"),
    [(0, 0, 256), (0, 0, 1), (0, 272, 256), (0, 273, 112), (0, 273, 5), (1, 0, 256), (1, 1, 17), (2, 0, 1)],
)
def test_tiles_are_what_the_specification_says(large: Tiles, level: int, index: int, width: int) -> None:
    assert large.read(TilePath(level, index, width)) == defined(level, index, width)


@pytest.mark.parametrize(
    ("level", "index", "width"),
    [(0, 273, 113), (0, 274, 1), (1, 1, 18), (1, 2, 1), (2, 0, 2), (3, 0, 1), (63, 0, 1), (None, 274, 1)],
)
def test_there_is_nothing_beyond_the_end(large: Tiles, level: int | None, index: int, width: int) -> None:
    assert large.read(TilePath(level, index, width)) is None


def test_a_bundle_holds_length_prefixed_entries(large: Tiles) -> None:
    assert large.read(TilePath(None, 1, 2)) == b"\x00\x09entry 256\x00\x09entry 257"


def test_a_level_begins_when_the_one_below_is_full() -> None:
    tiles = Tiles()
    for number in range(255):
        tiles.append(entry(number))
    assert tiles.read(TilePath(1, 0, 1)) is None
    tiles.append(entry(255))
    assert tiles.read(TilePath(1, 0, 1)) == defined(1, 0, 1)


@pytest.mark.parametrize(
    ("path", "tile"),
    [
        ("0/000", TilePath(0, 0, 256)),
        ("63/005", TilePath(63, 5, 256)),
        ("1/x001/x234/067", TilePath(1, 1_234_067, 256)),
        ("0/x001/000.p/255", TilePath(0, 1_000, 255)),
        ("entries/007.p/1", TilePath(None, 7, 1)),
    ],
)
def test_paths(path: str, tile: TilePath) -> None:
    assert TilePath.parse(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        *("", "0", "0/", "00/000", "01/000", "64/000", "0/00", "0/0000", "0/x000/001", "0/001/002", "0/x001"),
        *("0/x001/x002", "0/000.p/0", "0/000.p/256", "0/000.p/01", "0/000.p/", "0/000.p", "-1/000", "x/000"),
        *("0/000 ", "0/٠٠٠", "entries/000/0", "0/" + "x001/" * 20 + "001"),
    ],
)
def test_other_spellings_are_none(path: str) -> None:
    with pytest.raises(UsageError):
        TilePath.parse(path)


@settings(max_examples=100)
@given(
    st.text(max_size=70) | st.from_regex(r"[0-9a-z]{1,7}/(x?[0-9]{3}/){0,3}x?[0-9]{3}(\.p/[0-9]{1,4})?", fullmatch=True)
)
def test_any_text_is_a_tile_or_refused(path: str) -> None:
    try:
        tile = TilePath.parse(path)
    except UsageError:
        return
    assert 1 <= tile.width <= 256
    assert tile.level is None or 0 <= tile.level <= 63
