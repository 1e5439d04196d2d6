"""Settings of a hub: what is refused before anything listens, and what the template says."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import trustme

from hub.config import (
    TEMPLATE,
    Home,
    HubConfig,
    Tls,
    load,
    template,
    tls_context,
    tls_files,
)
from keys.home import Level, is_loopback, secret_file
from protocol.errors import ConfigError, HomeMissingError


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def write(home: Home, *sections: str) -> None:
    home.config.write_text('[association]\nname = "aiamp"\n' + "\n".join(sections))


def issue(folder: Path, host: str = "127.0.0.1") -> Tls:
    issued = trustme.CA().issue_cert(host)
    issued.private_key_pem.write_to_path(folder / "key.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "certificate.pem")
    return Tls("certificate.pem", "key.pem")


def test_no_home(home: Home) -> None:
    with pytest.raises(HomeMissingError):
        load(home, {})
    assert list(home.folder.iterdir()) == []


def test_defaults_are_safe(home: Home) -> None:
    write(home)
    config = load(home, {})
    assert (config.listen.host, config.listen.port, config.operator.port) == ("127.0.0.1", 8440, 0)
    assert config.log.level is Level.INFO
    assert tls_context(home, config) is None


def test_the_environment_wins(home: Home) -> None:
    write(home, "[listen]", "port = 1")
    assert load(home, {"VALIJA_HUB_LISTEN_PORT": "7000", "VALIJA_HUB_LOG_LEVEL": "debug"}).listen.port == 7000


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ('[listen]\nhost = "0.0.0.0"', "listen.host 0.0.0.0 can be reached from elsewhere"),
        ('[listen]\nhost = "hub.example"', "can be reached from elsewhere"),
        ('[tls]\ncertificate = "c.pem"', "tls.certificate and tls.key belong together"),
        ("[listen]\nport = 70000", "listen.port is no port"),
        ("[operator]\nport = -1", "operator.port is no port"),
        ("[sessions]\nstrangers = 0", "sessions.strangers must be above 0"),
        ('[log]\nlevel = "loud"', "log.level"),
        ('[lisen]\nhost = "::1"', "did you mean listen"),
    ],
)
def test_what_is_refused(home: Home, sections: str, said: str) -> None:
    write(home, sections)
    with pytest.raises(ConfigError) as caught:
        load(home, {})
    assert said in caught.value.detail


def test_every_mistake_is_told_at_once(home: Home) -> None:
    home.config.write_text('[association]\nname = "A I"\n[listen]\nhost = "10.0.0.1"\nport = 70000\n')
    with pytest.raises(ConfigError) as caught:
        load(home, {})
    assert caught.value.detail.count(";") == 2


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.8.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("hub", False)],
)
def test_loopback(host: str, local: bool) -> None:
    assert is_loopback(host) is local


def test_where_the_secret_is(home: Home) -> None:
    write(home)
    assert secret_file(home, load(home, {}).keys.secret_file, {}) == home.secret
    write(home, "[keys]", 'secret_file = "elsewhere"')
    assert secret_file(home, load(home, {}).keys.secret_file, {}) == home.folder / "elsewhere"
    assert secret_file(home, load(home, {}).keys.secret_file, {"VALIJA_SECRET_FILE": "/run/secret"}) == Path(
        "/run/secret"
    )


def test_tls_files(home: Home) -> None:
    tls = issue(home.folder)
    home.config.write_text(template("aiamp", "0.0.0.0", 8440, tls))
    config = load(home, {})
    context = tls_context(home, config)
    assert context is not None
    assert context.minimum_version.name == "TLSv1_3"
    files = tls_files(home, config)
    assert files
    files.load_into(context)
    (home.folder / "key.pem").write_text("nothing")
    with pytest.raises(ConfigError) as caught:
        files.load_into(context)
    assert "key.pem" in caught.value.detail
    (home.folder / "certificate.pem").write_text("nothing")
    with pytest.raises(ConfigError, match=r"tls\.certificate"):
        files.ends_at()


def test_a_tls_key_under_a_passphrase_is_no_prompt(home: Home) -> None:
    issue(home.folder)
    write(home, "[tls]", 'certificate = "certificate.pem"', 'key = "absent.pem"')
    with pytest.raises(ConfigError):
        tls_context(home, load(home, {}))


def test_the_template_says_every_setting_with_its_default(home: Home) -> None:
    home.config.write_text(template("aiamp", "127.0.0.1", 8440, Tls()))
    commented = load(home, {})
    everything = "\n".join(
        line.removeprefix("# ") if " = " in line else line
        for line in template("aiamp", "127.0.0.1", 8440, Tls()).splitlines()
    )
    assert {name: set(section) for name, section in tomllib.loads(everything).items()} == {
        name: set(type(getattr(commented, name)).__struct_fields__) for name in HubConfig.__struct_fields__
    }
    home.config.write_text(everything)
    assert load(home, {}) == commented
    assert TEMPLATE.count("{") == 4
