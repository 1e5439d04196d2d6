"""The settings of a node: one file, the environment over it, and nothing unsafe by mistake."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from keys.home import is_loopback, resolve, secret_file
from keys.locks import Secret
from node import config
from node.config import Api, Home, hub_url, listen_address, load, template, tls_files
from protocol.errors import ConfigError, HomeMissingError, KeyAccessError


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    found.folder.mkdir()
    found.config.write_text(template("ar-mpf", "https://hub.example.org"))
    return found


def write(home: Home, text: str) -> None:
    home.config.write_text(text)


# -- the file ------------------------------------------------------------------------------------------
def test_the_template_is_what_it_says(home: Home) -> None:
    settings = load(home, {})
    assert settings.member.name == "ar-mpf"
    assert settings.member.desk == config.FIRST_DESK
    assert settings.hub.url == "https://hub.example.org"
    assert (settings.hub.proxy, settings.hub.ca_file, settings.api.listen) == ("", "", "")


def test_what_is_commented_out_in_the_template_has_the_value_shown(home: Home) -> None:
    shown = [line.removeprefix("# ") for line in home.config.read_text().splitlines()]
    live = [line for line in shown if line.startswith("[") or (" = " in line and line.split(" = ")[0].isidentifier())]
    assert len(live) > 12
    before = load(home, {})
    write(home, "\n".join(live))
    assert load(home, {}) == before


def test_an_address_with_quotes_is_written_as_it_is(home: Home) -> None:
    write(home, config.template("ar-mpf", 'https://hub"x.example.org', 'a"\\b.pem'))
    assert (load(home, {}).hub.url, load(home, {}).hub.ca_file) == ('https://hub"x.example.org', 'a"\\b.pem')


def test_a_home_of_nobody_is_refused(home: Home) -> None:
    with pytest.raises(ConfigError, match="nobody knows whose home"):
        resolve(home, "~nobody-here/secret")


def test_an_authority_is_written_where_one_is_given() -> None:
    assert 'ca_file = "/etc/ca.pem"' in template("ar-mpf", "", "/etc/ca.pem").splitlines()


def test_the_environment_stands_over_the_file(home: Home) -> None:
    settings = load(home, {"VALIJA_NODE_HUB_PROXY": "http://proxy:3128", "VALIJA_NODE_API_LISTEN": "127.0.0.1:8450"})
    assert settings.hub.proxy == "http://proxy:3128"
    assert settings.api.listen == "127.0.0.1:8450"


def test_without_a_home_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(HomeMissingError):
        load(Home(tmp_path / "none"), {})
    assert list(tmp_path.iterdir()) == []


def test_every_mistake_is_told_at_once(home: Home) -> None:
    write(home, '[member]\nname = "Ar"\n[hub]\nurl = "ftp://x"\nproxy = "nonsense"\n[api]\nlisten = "8450"\n')
    with pytest.raises(ConfigError) as caught:
        load(home, {})
    for word in ("member.name", "hub.url", "hub.proxy", "api.listen"):
        assert word in caught.value.detail


def test_a_proxy_with_a_password_is_not_repeated(home: Home) -> None:
    with pytest.raises(ConfigError) as caught:
        load(home, {"VALIJA_NODE_HUB_PROXY": "https://ana:secreto@proxy:1"})
    assert "secreto" not in str(caught.value)


# -- addresses -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "url", ["https://hub.example.org", "http://127.0.0.1:8440", "http://localhost:1", "http://[::1]:1"]
)
def test_a_hub_is_reached_by_tls_or_on_this_machine(url: str) -> None:
    assert hub_url(url + "/") == url


@pytest.mark.parametrize(
    "url",
    ["http://hub.example.org", "http://10.0.0.1", "ftp://127.0.0.1", "https://", "hub.example.org", "https://h?x=1",
     "https://h:99999", "https://[::1"],
)  # fmt: skip
def test_no_other_address_is_a_hub(url: str) -> None:
    with pytest.raises(ConfigError):
        hub_url(url)


@pytest.mark.parametrize(("host", "here"), [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True),
                                            ("0.0.0.0", False), ("10.1.1.1", False), ("intranet", False)])  # fmt: skip
def test_what_is_loopback(host: str, here: bool) -> None:
    assert is_loopback(host) is here


def test_addresses_to_listen_on() -> None:
    assert listen_address("") is None
    assert listen_address("127.0.0.1:8450") == ("127.0.0.1", 8450)
    assert listen_address("[::1]:0") == ("::1", 0)


@pytest.mark.parametrize("listen", ["127.0.0.1", ":80", "host:port", "a@b:1", "http://127.0.0.1:1", "127.0.0.1:1/x"])
def test_no_other_address_is_listened_on(listen: str) -> None:
    with pytest.raises(ConfigError):
        listen_address(listen)


def test_the_api_is_open_to_other_machines_by_tls_alone(home: Home) -> None:
    with pytest.raises(ConfigError, match="can be reached from elsewhere"):
        load(home, {"VALIJA_NODE_API_LISTEN": "0.0.0.0:8450"})
    both = {"VALIJA_NODE_API_TLS_CERTIFICATE": "c.pem", "VALIJA_NODE_API_TLS_KEY": "k.pem"}
    assert load(home, {"VALIJA_NODE_API_LISTEN": "0.0.0.0:8450", **both}).api.tls_key == "k.pem"
    with pytest.raises(ConfigError, match="belong together"):
        load(home, {"VALIJA_NODE_API_TLS_KEY": "k.pem"})


def test_tls_files_that_do_not_serve_are_named(home: Home) -> None:
    assert tls_files(home, Api()) is None
    files = tls_files(home, Api(tls_certificate="c.pem", tls_key="k.pem"))
    assert files
    with pytest.raises(ConfigError, match=r"c\.pem"):
        files.context()


# -- the secret ----------------------------------------------------------------------------------------
def test_where_the_secret_is(home: Home) -> None:
    assert secret_file(home, "", {}) == home.folder / "secret"
    assert secret_file(home, "elsewhere/secret", {}) == home.folder / "elsewhere/secret"
    assert secret_file(home, "/etc/secret", {"VALIJA_SECRET_FILE": "/run/secrets/node"}) == Path("/run/secrets/node")


def test_a_relative_secret_starts_in_the_home_wherever_a_command_runs(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("another\n")
    monkeypatch.chdir(tmp_path)
    named = secret_file(home, "/etc/secret", {"VALIJA_SECRET_FILE": "./secret-elsewhere"})
    assert named == home.folder / "secret-elsewhere"
    with pytest.raises(KeyAccessError, match=re.escape(str(home.folder / "secret-elsewhere"))):
        Secret.read(named)
    assert "starts in this folder, the variable's too" in template("ar-mpf", "", "")
