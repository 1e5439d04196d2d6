"""The node's home and its settings: what stands where, and what an operator may choose.

Everything that a node keeps is in one folder, its home.  `node.toml` in it holds the settings; the environment
variables `VALIJA_NODE_<SECTION>_<NAME>` override them, and `VALIJA_SECRET_FILE` names the file that opens the keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from keys import settings
from keys.home import BaseHome, Keys, Log, TlsFiles, is_loopback, resolve
from node.nudging import settings as nudging
from node.nudging.settings import Mail, Nudges
from node.web.settings import Web, mistakes
from node.webhooks import settings as webhooks
from node.webhooks.settings import Webhooks
from protocol.errors import ConfigError, MalformedError
from protocol.names import check_name

PREFIX: Final = "VALIJA_NODE"
HOME_VARIABLE: Final = "VALIJA_HOME"
DEFAULT_HOME: Final = Path("~/.valija/node")
FIRST_DESK: Final = "central"
NO_PROXY: Final = "none"
_MAX_PORT: Final = 65_535


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose node this is; `desk` is shown what is addressed to no desk of ours by name."""

    name: str
    desk: str = FIRST_DESK


class Hub(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the hub is, and by which way it is reached; an empty `url` means the charter's."""

    url: str = ""
    proxy: str = ""
    ca_file: str = ""


class Api(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The address for case systems, `host:port`; empty: the Unix socket alone.  TLS files in PEM form.

    Each token may ask `requests_per_second` in the long run, and `request_burst` at once.
    """

    listen: str = ""
    tls_certificate: str = ""
    tls_key: str = ""
    requests_per_second: int = 2_000
    request_burst: int = 10_000


class NodeConfig(msgspec.Struct, frozen=True):
    """All settings of a node."""

    member: Member
    hub: Hub
    api: Api
    keys: Keys
    log: Log
    web: Web
    webhooks: Webhooks
    nudges: Nudges
    mail: Mail


@dataclass(frozen=True, slots=True)
class Home(BaseHome):
    """The folder of one node, and what is called how in it."""

    config_name = "node.toml"

    @property
    def charter(self) -> Path:
        """The charter that this node was given by hand."""
        return self.folder / "charter.txt"

    @property
    def prekeys(self) -> Path:
        """One file for each day; left out of backups."""
        return self.folder / "prekeys"

    @property
    def archive(self) -> Path:
        """Everything sent and received, and the mirror of the registry; encrypted."""
        return self.folder / "archive.db"

    @property
    def archive_key(self) -> Path:
        """What opens the archive, under the secret."""
        return self.folder / "archive.key"

    @property
    def public(self) -> Path:
        """The public half of the node's key, to be certified."""
        return self.folder / "node-key.txt"

    @property
    def socket(self) -> Path:
        """Where a running node answers the commands."""
        return self.folder / "api.sock"


def load(home: Home, environment: Mapping[str, str]) -> NodeConfig:
    """The settings of this home under `environment`.

    Raises `HomeMissingError`, or `ConfigError` that names every mistake.
    """
    home.require()
    config = settings.load(home.config, NodeConfig, PREFIX, environment)
    if mistakes := _mistakes(config):
        raise ConfigError(f"{home.config}: " + "; ".join(mistakes))
    return config


# -- addresses -----------------------------------------------------------------------------------------
@lru_cache(maxsize=256)
def hub_url(url: str) -> str:
    """The same address without a slash at its end; `ConfigError` unless it is https, or http on loopback."""
    parts = _split(url)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ConfigError(f"hub.url {url!r} is no address such as https://hub.example.org")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ConfigError(f"hub.url {url!r}: a hub on another machine is reached by https only")
    return url.rstrip("/")


def listen_address(listen: str, setting: str = "api.listen") -> tuple[str, int] | None:
    """Host and port of `host:port`; None if it is empty.  Raises `ConfigError`."""
    if not listen:
        return None
    parts = _split(f"//{listen}")
    if parts is None or not parts.hostname or parts.port is None or parts.netloc != listen or "@" in listen:
        raise ConfigError(f"{setting} {listen!r} is no host:port such as 127.0.0.1:8450")
    return parts.hostname, parts.port


def tls_files(home: Home, api: Api | Web, section: str = "api") -> TlsFiles | None:
    """The configured certificate and key; None if there is none."""
    if not api.tls_certificate:
        return None
    certificate, key = resolve(home, api.tls_certificate), resolve(home, api.tls_key)
    return TlsFiles(certificate, key, f"{section}.tls_certificate", f"{section}.tls_key")


def _split(url: str) -> SplitResult | None:
    """The parts of an address; None if it is none, a port that cannot be included."""
    try:
        parts = urlsplit(url)
        _port = parts.port
    except ValueError:
        return None
    return parts


# -- judgement -----------------------------------------------------------------------------------------
def _mistakes(config: NodeConfig) -> list[str]:
    found = [_name_mistake(f"member.{field}", getattr(config.member, field)) for field in ("name", "desk")]
    if config.hub.url:
        found.append(_caught(hub_url, config.hub.url))
    found.append(_proxy_mistake(config.hub.proxy))
    found.append(_caught(listen_address, config.api.listen) or _listen_mistake(config.api))
    if config.api.requests_per_second < 1 or config.api.request_burst < 1:
        found.append("api.requests_per_second and api.request_burst are at least 1")
    found += _web_mistakes(config.web) + webhooks.mistakes(config.webhooks)
    found += nudging.mistakes(config.nudges, config.mail)
    return [mistake for mistake in found if mistake]


def _web_mistakes(web: Web) -> list[str]:
    try:
        address = listen_address(web.listen, "web.listen")
    except ConfigError as error:
        return [error.detail]
    return mistakes(web, is_loopback=address is None or is_loopback(address[0]))


def _caught(check: Callable[[str], object], value: str) -> str:
    try:
        check(value)
    except ConfigError as error:
        return error.detail
    return ""


def _name_mistake(where: str, name: str) -> str:
    try:
        check_name(name)
    except MalformedError:
        return f"{where} has 2 to 32 lower-case letters, digits and single hyphens"
    return ""


def _proxy_mistake(proxy: str) -> str:
    if proxy in {"", NO_PROXY}:
        return ""
    parts = _split(proxy)
    if parts is None or parts.scheme != "http" or not parts.hostname or parts.port is None:
        # The value may hold a password, so it is not repeated.
        return f"hub.proxy is no address such as http://proxy.example.org:3128, nor {NO_PROXY!r}"
    return ""


def _listen_mistake(api: Api) -> str:
    if bool(api.tls_certificate) != bool(api.tls_key):
        return "api.tls_certificate and api.tls_key belong together"
    address = listen_address(api.listen)
    if address and not api.tls_certificate and not is_loopback(address[0]):
        return f"api.listen {api.listen} can be reached from elsewhere: set api.tls_certificate and api.tls_key"
    return ""


TEMPLATE: Final = """\
# Settings of this Valija node.  What is commented out has the value shown.
# Environment variables override: VALIJA_NODE_HUB_PROXY=… sets proxy in [hub].

[member]
# Whose node this is: the name under which the stewards admitted it.
name = "{member}"
# The desk that is shown what is addressed to the member, a network, or a desk that does not exist here.
# desk = "{desk}"

[hub]
# https, or http on this machine alone.  Empty: the address that the charter names.
url = {url}
# An HTTP proxy that allows CONNECT, http://user:password@host:port.  Empty: HTTPS_PROXY of the environment,
# where it is set; "none": no proxy whatever the environment says.
# proxy = ""
# Authorities that may vouch for the hub's TLS certificate, in PEM form, in place of the system's.
{ca_file}

[api]
# Where case systems connect, besides the Unix socket `api.sock` in this folder: 127.0.0.1:8450.
# Any other address than loopback needs the two files, in PEM form.
# listen = ""
# tls_certificate = ""
# tls_key = ""
# How many requests each token may make in a second, in the long run and at once.
# requests_per_second = 2000
# request_burst = 10000

[web]
# Where people open their pages: 127.0.0.1:8451.  Empty: nowhere.  Any other address than loopback needs the two
# files, in PEM form, and the origin under which browsers know it: https://valija.example.org.
# listen = ""
# public_origin = ""
# tls_certificate = ""
# tls_key = ""
# The address of a proxy that stands before these pages; what it says of where a reader is, is believed.
# trusted_proxy = ""
# In which time zone times are told: America/Bogota.
# time_zone = "UTC"
# How long somebody stays logged in without doing anything, and at most.
# idle_minutes = 60
# session_hours = 12
# For how many seconds what somebody sends can be taken back into writing.
# undo_seconds = 10

[webhooks]
# Where webhooks may lead although it is no public address, by plain http too: addresses, networks ("10.20.0.0/16")
# and names ("cases.intranet.example").
# allow = []

[nudges]
# Who is called while something urgent is unopened: mailto:turno@example.org or https://example.org/turno.  A call says
# how many wait, at which desk and since when; never what, nor from whom.
# duty = ""
# Who is called when duty was and it is still unopened.
# escalation = ""
# es, pt-BR, pt-PT or en.
# language = "es"
# After how many minutes duty is called first, for an emergency sooner; then again; and escalation after that.
# urgent_minutes = 30
# emergency_minutes = 5
# repeat_minutes = 30
# escalate_minutes = 60
# The file with the secret that signs calls over HTTPS: whsec_ and 32 random bytes in base64.
# signing_secret_file = ""
# What is otherwise at one desk stands in a section of its own: [nudges.desks.antidrogas], then duty = "…" and so on.

[mail]
# The server that takes mail from this node, and how it is secured: starttls, tls, or none on this machine alone.
# host = ""
# port = 587
# security = "starttls"
# From whom the mail is, and as whom to log in, if the server asks for it; the password stands in a file.
# sender = ""
# user = ""
# password_file = ""
# Authorities that may vouch for the server's certificate, in PEM form, in place of the system's.
# ca_file = ""

[keys]
# The file that opens the keys.  VALIJA_SECRET_FILE overrides; empty means `secret` in this folder.  A relative path
# starts in this folder, the variable's too, wherever a command is run.
# secret_file = ""

[log]
# debug, info, warning or error.
# level = "info"
"""


def template(member: str, url: str, ca_file: str = "") -> str:
    """A settings file with every setting in it, those that differ by node filled in."""
    line = f"ca_file = {settings.quoted(ca_file)}" if ca_file else '# ca_file = ""'
    return TEMPLATE.format(member=member, desk=FIRST_DESK, url=settings.quoted(url), ca_file=line)
