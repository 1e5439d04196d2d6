"""Settings: one file, the environment over it, every mistake at once."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import settings
from protocol.errors import ConfigError, HomeMissingError


class Relay(msgspec.Struct):
    listen: str
    port: int = 7443
    metrics: bool = True


class Tls(msgspec.Struct):
    key: str | None = None


class Model(msgspec.Struct):
    relay: Relay
    tls: Tls


def write(folder: Path, text: str) -> Path:
    path = folder / "hub.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_file_and_defaults(tmp_path: Path) -> None:
    path = write(tmp_path, '[relay]\nlisten = "127.0.0.1"\nport = 9\n')
    read = settings.load(path, Model, "VALIJA_HUB", {})
    assert (read.relay.listen, read.relay.port, read.relay.metrics, read.tls.key) == ("127.0.0.1", 9, True, None)


def test_environment_wins_over_the_file_and_stands_in_for_it(tmp_path: Path) -> None:
    path = write(tmp_path, "[relay]\nport = 9\n")
    environment = {
        "VALIJA_HUB_RELAY_LISTEN": "::1",
        "VALIJA_HUB_RELAY_PORT": "8",
        "VALIJA_HUB_RELAY_METRICS": "false",
        "VALIJA_HUB_TLS_KEY": "/k",
        "VALIJA_NODE_TLS_KEY": "/other",
    }
    read = settings.load(path, Model, "VALIJA_HUB", environment)
    assert (read.relay.listen, read.relay.port, read.relay.metrics, read.tls.key) == ("::1", 8, False, "/k")


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, 'loose = 1\n[relay]\nport = "many"\nlisted = "x"\n[tsl]\nkey = "k"\n')
    with pytest.raises(ConfigError) as caught:
        settings.load(path, Model, "VALIJA_HUB", {})
    for part in (
        "loose stands outside a section",
        "relay.port: Expected int, got str",
        "relay.listed is no setting, did you mean listen?",
        "relay.listen is missing",
        "[tsl] is no section, did you mean tls?",
    ):
        assert part in caught.value.detail


def test_what_a_variable_says_wrong_is_told_under_its_name(tmp_path: Path) -> None:
    path = write(tmp_path, '[relay]\nlisten = "x"\n')
    with pytest.raises(ConfigError, match="VALIJA_HUB_RELAY_PORT: Expected int"):
        settings.load(path, Model, "VALIJA_HUB", {"VALIJA_HUB_RELAY_PORT": "many"})


def test_a_zero_character_is_in_no_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tls\.key: holds a zero character"):
        settings.load(write(tmp_path, '[relay]\nlisten = "x"\n[tls]\nkey = "a\\u0000b"\n'), Model, "VALIJA_HUB", {})


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_quoted_text_is_read_as_it_was(text: str) -> None:
    assert tomllib.loads(f"a = {settings.quoted(text)}") == {"a": text}


def test_an_unknown_word_near_nothing_gets_no_advice(tmp_path: Path) -> None:
    path = write(tmp_path, '[relay]\nlisten = "x"\n[zzzzzz]\n')
    with pytest.raises(ConfigError, match=r"\[zzzzzz\] is no section\)$"):
        settings.load(path, Model, "VALIJA_HUB", {})


@pytest.mark.parametrize("text", ["[relay", "a = 'b", f"a = {'1' * 5_000}", f"a = {'[' * 3_000}{']' * 3_000}"])
def test_no_toml(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"hub\.toml"):
        settings.load(write(tmp_path, text), Model, "VALIJA_HUB", {})


def test_no_text(tmp_path: Path) -> None:
    path = tmp_path / "hub.toml"
    path.write_bytes(b"\xff\xfe[relay]")
    with pytest.raises(ConfigError, match=r"hub\.toml"):
        settings.load(path, Model, "VALIJA_HUB", {})


def test_no_file_and_no_readable_file(tmp_path: Path) -> None:
    with pytest.raises(HomeMissingError):
        settings.load(tmp_path / "hub.toml", Model, "VALIJA_HUB", {})
    with pytest.raises(ConfigError, match="directory"):
        settings.load(tmp_path, Model, "VALIJA_HUB", {})
