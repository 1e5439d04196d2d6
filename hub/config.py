"""The hub's home and its settings: what stands where, and what an operator may choose.

Everything that a hub keeps is in one folder, its home.  `hub.toml` in it holds the settings; the environment
variables `VALIJA_HUB_<SECTION>_<NAME>` override them, and `VALIJA_SECRET_FILE` names the file that opens the keys.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from hub.board.settings import Console
from hub.board.settings import mistakes as console_mistakes
from keys import settings
from keys.home import BaseHome, Keys, Log, TlsFiles, is_loopback, resolve
from protocol.errors import ConfigError, MalformedError
from protocol.limits import MIB
from protocol.names import check_name

PREFIX: Final = "VALIJA_HUB"
DEFAULT_PORT: Final = 8440
_MAX_PORT: Final = 65_535


class Association(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose hub this is: the key files are called so."""

    name: str


class Listen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where nodes connect; plain only on loopback."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files in PEM form, both or neither."""

    certificate: str = ""
    key: str = ""


class Sessions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one connection and one member may take."""

    submit_envelopes: int = 4_096
    submit_bytes: int = 32 * MIB
    pending_bytes: int = 1 * MIB
    handshake_seconds: int = 10
    idle_seconds: int = 30
    strangers: int = 64
    strangers_per_address: int = 16
    connections_per_minute: int = 60
    drain_seconds: int = 10


class Restore(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long no node has offered anything before a hub put back from a backup goes on."""

    quiet_seconds: int = 180


class Operator(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A second, plain address for /metrics, /livez and /readyz; port 0 means none."""

    host: str = "127.0.0.1"
    port: int = 0


class HubConfig(msgspec.Struct, frozen=True):
    """All settings of a hub."""

    association: Association
    listen: Listen
    tls: Tls
    keys: Keys
    sessions: Sessions
    restore: Restore
    operator: Operator
    console: Console
    log: Log


@dataclass(frozen=True, slots=True)
class Home(BaseHome):
    """The folder of one hub, and what is called how in it."""

    config_name = "hub.toml"

    @property
    def database(self) -> Path:
        """The relay's store and the log."""
        return self.folder / "hub.db"

    @property
    def public(self) -> Path:
        """The public halves of the keys, to pass on."""
        return self.folder / "public"

    @property
    def socket(self) -> Path:
        """Where a running hub answers its operator."""
        return self.folder / "admin.sock"


def load(home: Home, environment: Mapping[str, str]) -> HubConfig:
    """The settings of this home under `environment`.

    Raises `HomeMissingError`, or `ConfigError` that names every mistake.
    """
    home.require()
    config = settings.load(home.config, HubConfig, PREFIX, environment)
    if mistakes := _mistakes(config):
        raise ConfigError(f"{home.config}: " + "; ".join(mistakes))
    return config


def tls_context(home: Home, config: HubConfig) -> ssl.SSLContext | None:
    """TLS 1.3 with the configured certificate; None if there is none.  `ConfigError` if the files do not serve."""
    files = tls_files(home, config)
    if files is None:
        return None
    context = files.context()
    # Tickets would outlive the session they came from, and nodes reconnect too rarely to gain from one.
    context.num_tickets = 0
    return context


def console_tls(home: Home, config: HubConfig) -> TlsFiles | None:
    """The console's certificate and key; None if it has none."""
    console = config.console
    if not console.tls_certificate:
        return None
    certificate, key = resolve(home, console.tls_certificate), resolve(home, console.tls_key)
    return TlsFiles(certificate, key, "console.tls_certificate", "console.tls_key")


def tls_files(home: Home, config: HubConfig) -> TlsFiles | None:
    """The certificate and key that nodes see; None if there is none."""
    if not config.tls.certificate:
        return None
    certificate, key = resolve(home, config.tls.certificate), resolve(home, config.tls.key)
    return TlsFiles(certificate, key, "tls.certificate", "tls.key")


def _mistakes(config: HubConfig) -> list[str]:
    found = [f"{name} is no port" for name, port in _ports(config) if not 0 <= port <= _MAX_PORT]
    try:
        check_name(config.association.name)
    except MalformedError:
        found.append("association.name has 2 to 32 lower-case letters, digits and single hyphens")
    if bool(config.tls.certificate) != bool(config.tls.key):
        found.append("tls.certificate and tls.key belong together")
    if not config.tls.certificate and not is_loopback(config.listen.host):
        found.append(f"listen.host {config.listen.host} can be reached from elsewhere: set tls.certificate and tls.key")
    found += console_mistakes(config.console)
    if config.restore.quiet_seconds < 0:
        found.append("restore.quiet_seconds must be 0 or more")
    limits = msgspec.structs.asdict(config.sessions)
    found += [f"sessions.{name} must be above 0" for name, value in limits.items() if value <= 0]
    return found


def _ports(config: HubConfig) -> list[tuple[str, int]]:
    return [("listen.port", config.listen.port), ("operator.port", config.operator.port)]


TEMPLATE: Final = """\
# Settings of this Valija hub.  What is commented out has the value shown.
# Environment variables override: VALIJA_HUB_LISTEN_PORT=8440 sets port in [listen].

[association]
name = "{association}"

[listen]
# Plain connections are taken on loopback only; everywhere else TLS is needed.
host = {host}
port = {port}

[tls]
# Files in PEM form; a relative path starts in this folder.  After a renewal: kill -HUP <process>.
{tls}

[keys]
# The file that opens the key files.  VALIJA_SECRET_FILE overrides; empty means `secret` in this folder.  A relative path
# starts in this folder, the variable's too, wherever a command is run.
# secret_file = ""

[sessions]
# What one member may have submitted and not yet answered.
# submit_envelopes = 4096
# submit_bytes = 33554432
# What waits to be sent to one slow reader before the hub stops reading from it.
# pending_bytes = 1048576
# How long a connection may take to prove who it is, and how long it may then be silent before it is asked.
# handshake_seconds = 10
# idle_seconds = 30
# Connections that have not yet proved who they are.
# strangers = 64
# strangers_per_address = 16
# How often one address may connect.  Neither of the two binds this machine itself: a proxy here speaks for everybody.
# connections_per_minute = 60
# How long a stopping hub waits for readers to take what is under way.
# drain_seconds = 10

[restore]
# A hub put back from a backup takes in the registry from its members' nodes until none offered more for so long.  Nodes
# wait up to 60 s between two attempts: if the only one that holds a statement comes too late, the log has forked.
# quiet_seconds = 180

[operator]
# A second, plain address for /metrics, /livez and /readyz.  Port 0: none.  On loopback [listen] serves them too.
# host = "127.0.0.1"
# port = 0

[console]
# Pages for operators, with a login of their own (valija-hub operators add).  host:port such as 127.0.0.1:8442; empty: none.
# listen = ""
# Under which name browsers reach them; without it http(s)://localhost:PORT.  Needed for any address but loopback.
# public_origin = ""
# Files in PEM form; needed for any address but loopback.
# tls_certificate = ""
# tls_key = ""
# When an idle session ends, and any.
# idle_minutes = 30
# session_hours = 12

[log]
# debug, info, warning or error.
# level = "info"
"""


def template(association: str, host: str, port: int, tls: Tls) -> str:
    """A settings file with every setting in it, those that differ by hub filled in."""
    lines = [f"certificate = {settings.quoted(tls.certificate)}", f"key = {settings.quoted(tls.key)}"]
    if not tls.certificate:
        lines = [f"# {line}" for line in lines]
    return TEMPLATE.format(association=association, host=settings.quoted(host), port=port, tls="\n".join(lines))
