"""What may be wrong with a hub, found from its home: problem, effect and remedy, a row each.

Nothing is changed, and a hub that runs is not disturbed: its database is read beside it.  A *problem* needs somebody
now, a *warning* soon.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from hub import store_checks
from hub.client import Hub
from hub.config import Home, console_tls, load, tls_files
from hub.core import NOT_INSTALLED
from hub.diagnosis import RESTORE, Row, Visit, ok
from hub.identity import HubKeys
from hub.sqlite_check import looking
from keys.home import TlsFiles
from keys.last_backup import overdue
from keys.levels import Level
from keys.times import show_time
from protocol.errors import (
    ConfigError,
    HomeMissingError,
    KeyAccessError,
    KeyDamagedError,
    NotRunningError,
    PassphraseError,
    ValijaError,
)
from protocol.limits import DAY_SECONDS, MIB

_GIB: Final = 1024 * MIB
_FEW_BYTES: Final = 2 * _GIB
_NO_BYTES: Final = 256 * MIB
_CERTIFICATE_DAYS: Final = 30
_CHARTER_DAYS: Final = 90
_TLS_DAYS: Final = 14
_OLD_SECONDS: Final = 7 * DAY_SECONDS
_CONNECT_SECONDS: Final = 3.0


def examine(home: Home, environment: Mapping[str, str], *, deep: bool = False, journal_head: str = "") -> list[Row]:
    """Everything that was looked at, in the order in which it should be put right; `HomeMissingError`."""
    now = int(time.time())
    try:
        config = load(home, environment)
    except HomeMissingError:
        raise
    except ConfigError as error:
        return [Row("settings", Level.PROBLEM, str(error), "the hub does not start", f"correct {home.config}")]
    visit = Visit(home, config, environment, now, deep, _status(home), journal_head)
    rows = [ok("settings", str(home.config)), *_closed(home), *_guarded(store_checks.written, visit)]
    # Whoever opens a damaged log loses a trace of what it held; where nothing can be written, any looks damaged.
    checks = _CHECKS if is_healthy(rows) else [check for check in _CHECKS if check not in _INSIDE]
    for check in checks:
        rows += _guarded(check, visit)
    return rows


def _closed(home: Home) -> list[Row]:
    """Said where nothing can be written in the home."""
    if os.access(home.folder, os.W_OK | os.X_OK):
        return []
    remedy = "let the user who runs it own this folder, on a disk that is mounted for writing"
    return [Row("home", Level.PROBLEM, f"nothing can be written in {home.folder}", "the hub does not start", remedy)]


def is_healthy(rows: list[Row]) -> bool:
    """Whether nothing is a problem."""
    return all(row.level is not Level.PROBLEM for row in rows)


def _status(home: Home) -> Mapping[str, Any] | None:
    try:
        return Hub.at_home(home).get("/status")
    except NotRunningError:
        return None


def _guarded(check: Callable[[Visit], Iterator[Row]], visit: Visit) -> list[Row]:
    rows: list[Row] = []
    try:
        rows.extend(check(visit))
    except ValijaError as error:
        name = check.__name__.strip("_")
        rows.append(Row(name, Level.PROBLEM, str(error), "this could not be looked at", _remedy(error, visit.home)))
    return rows


def _remedy(error: ValijaError, home: Home) -> str:
    match error:
        case PassphraseError():
            return "let `secret`, or the file named in its place, be the one with which these keys were made; an old one is in each backup"
        case KeyDamagedError():
            return (
                "put the key file back from the newest backup: valija-hub restore; without one an operating key can be made "
                "and certified anew, and a log key only by another charter"
            )
        case KeyAccessError():
            return (
                f"put back what is missing of {home.folder}, owned by the hub's user, the keys and the secret closed to all "
                "others; a secret that is kept elsewhere is named by VALIJA_SECRET_FILE"
            )
        case ConfigError(detail=detail) if detail == NOT_INSTALLED:
            return f"valija-hub install --home {home.folder} CHARTER CERTIFICATE"
        case ConfigError():
            return f"correct {home.config}, or put back what it names"
    return RESTORE


# -- the checks ------------------------------------------------------------------------------------------
def _keys(visit: Visit) -> Iterator[Row]:
    """Key files are there, closed to others, and open with the secret."""
    keys = HubKeys.load(visit.home, visit.config, visit.environment)
    opened = {"operating": keys.hub.public.fingerprint, "log": keys.open_log().public.fingerprint}
    shown = ", ".join(f"the {name} key {fingerprint[:8].hex()}…" for name, fingerprint in opened.items())
    yield ok("keys", f"they open: {shown}")


def _console(visit: Visit) -> Iterator[Row]:
    """What the console shows to browsers serves, and for how long; nothing where it has no certificate."""
    console = console_tls(visit.home, visit.config)
    if console is None:
        return
    yield _shown(visit, "console", "the console's TLS certificate", console, "browsers refuse the console")


def _tls(visit: Visit) -> Iterator[Row]:
    files = tls_files(visit.home, visit.config)
    if files is None:
        yield ok("tls", "plain, on loopback only")
        return
    yield _shown(visit, "tls", "TLS certificate", files, "nodes refuse the connection")


def _shown(visit: Visit, check: str, about: str, files: TlsFiles, effect: str) -> Row:
    """How long what is shown to others still holds; `ConfigError` if it does not serve."""
    files.context()
    answer = (effect, "renew it, then send SIGHUP to the hub")
    return _runway(check, about, files.ends_at(), visit.now, _TLS_DAYS, answer)


def _runways(visit: Visit) -> Iterator[Row]:
    """How long the hub's certificate and the charter still hold."""
    if not visit.home.database.exists():
        return
    certificate, charter = _ends(visit)
    if certificate is None:
        yield Row("certificate", Level.PROBLEM, "no certificate of this hub's key is in standing",
                  "nodes refuse the hub", "have one signed with valija-keys certify hub, then install it")  # fmt: skip
    else:
        yield _runway(
            "certificate", "the hub's certificate", certificate, visit.now, _CERTIFICATE_DAYS,
            ("nodes refuse the hub", "have one signed with valija-keys certify hub, then publish it"),
        )  # fmt: skip
    yield _runway(
        "charter", "the charter", charter, visit.now, _CHARTER_DAYS,
        ("nothing can be changed, and after 90 days nothing is sent", "the stewards sign the next one"),
    )  # fmt: skip


def _ends(visit: Visit) -> tuple[int | None, int]:
    if visit.status is not None:
        return visit.status["certificate_not_after"], visit.status["charter_expires_at"]
    keys = HubKeys.load(visit.home, visit.config, visit.environment)
    with looking(visit.home.database) as tx:
        registry = store_checks.replayed(tx, keys)
    own = keys.certificates(registry, visit.now)
    return (own[0].not_after if own else None), registry.charter.expires_at


def _runway(name: str, what: str, until: int, now: int, warn_days: int, said: tuple[str, str]) -> Row:
    found = f"{what} holds until {show_time(until)}"
    if until <= now:
        return Row(name, Level.PROBLEM, f"{what} ended at {show_time(until)}", *said)
    if until <= now + warn_days * DAY_SECONDS:
        return Row(name, Level.WARNING, found, f"then {said[0]}", said[1])
    return ok(name, found)


def _backup(visit: Visit) -> Iterator[Row]:
    """A backup was made not long ago."""
    found, is_overdue = overdue(visit.home.folder, visit.now)
    if is_overdue:
        yield Row("backup", Level.WARNING, found, "if this disk dies, keys and quotas of members are lost with it",
                  "valija-hub backup FILE, to another machine, every day")  # fmt: skip
    else:
        yield ok("backup", found)


def _disk(visit: Visit) -> Iterator[Row]:
    free = shutil.disk_usage(visit.home.folder).free
    found = f"{free / _GIB:.1f} GiB free"
    if free < _NO_BYTES:
        yield Row("disk", Level.PROBLEM, found, "the hub stops when it cannot write", "make room, or move the home")
    elif free < _FEW_BYTES:
        yield Row("disk", Level.WARNING, found, "mailboxes cannot grow much more", "make room, or move the home")
    else:
        yield ok("disk", found)


def _running(visit: Visit) -> Iterator[Row]:
    """The hub answers, also where nodes look for it."""
    if visit.status is None:
        yield Row("running", Level.PROBLEM, "the hub does not answer", "nodes keep their messages until it does",
                  "start it: valija-hub serve")  # fmt: skip
        return
    listen = visit.config.listen
    place = f"{listen.host} port {listen.port}"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen.host, listen.host)
    try:
        socket.create_connection((host, listen.port), _CONNECT_SECONDS).close()
    except OSError as error:
        yield Row("running", Level.PROBLEM, f"nothing answers at {place}: {error.strerror or error}",
                  "no node can connect", "see the hub's log")  # fmt: skip
        return
    yield ok("running", f"{visit.status['sessions']} sessions, at {place}")


def _queues(visit: Visit) -> Iterator[Row]:
    """Mailboxes that nobody empties."""
    if visit.status is None:
        return
    members = visit.status["members"]
    late = [each["member"] for each in members if each["queued"] and each["oldest_seconds"] >= _OLD_SECONDS]
    if late:
        yield Row("mailboxes", Level.WARNING, f"waiting for over a week: {', '.join(late)}",
                  "their messages will expire", "ask the operators of these nodes")  # fmt: skip
    else:
        yield ok("mailboxes", f"{sum(each['queued'] for each in members)} items wait")


def _steered(visit: Visit) -> Iterator[Row]:
    """What operators decided and may have forgotten."""
    if visit.status is None:
        return
    held = [each["member"] for each in visit.status["members"] if each["suspended"]]
    if visit.status["draining"]:
        yield Row("draining", Level.WARNING, "nobody is let in", "nodes keep their messages until somebody is",
                  "valija-hub drain --undo")  # fmt: skip
    if held:
        yield Row("suspended", Level.WARNING, f"nothing is delivered to {', '.join(held)}",
                  "what waits for them expires in the end", "valija-hub resume MEMBER")  # fmt: skip


_INSIDE: Final = frozenset(
    (
        store_checks.version,
        store_checks.store,
        store_checks.log,
        store_checks.items,
        store_checks.tables,
        _runways,
        store_checks.journal,
    )
)
"""They read the database."""

_CHECKS: Final = (
    _keys,
    _tls,
    _console,
    store_checks.version,
    store_checks.store,
    store_checks.log,
    store_checks.items,
    store_checks.tables,
    _runways,
    store_checks.journal,
    _backup,
    _disk,
    _running,
    _queues,
    _steered,
)
