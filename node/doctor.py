"""What may be wrong with a node: problem, effect and remedy, a row each.

First the home itself is looked at, then what the running daemon tells of itself.  Nothing is changed.  A *problem*
needs somebody now, a *warning* soon.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from typing import Final

from keys.last_backup import last, overdue
from keys.levels import Level
from keys.migrating import taken
from keys.prekeys import check_files, damaged_files
from keys.times import show_time
from node import archive, archive_check
from node import config as settings
from node.client import NodeClient
from node.config import Home, NodeConfig
from node.diagnosis import Row, ok, problem
from node.founding import open_custody, read_anchor
from node.people.heads import Check
from node.schema import steps
from node.speaking import Told, told
from node.sql import SqlTransaction
from node.vital_signs import Vitals, judge
from protocol.errors import (
    ConfigError,
    DamagedError,
    KeyAccessError,
    KeyDamagedError,
    NewerHomeError,
    NotRunningError,
    PassphraseError,
    StoreError,
    ValijaError,
)
from protocol.limits import DAY_SECONDS, MIB

_FEW_BYTES: Final = 2048 * MIB
_NO_BYTES: Final = 256 * MIB
_SECONDS: Final = 5.0
_TLS_SECONDS: Final = 14 * DAY_SECONDS


def examine(home: Home, environment: Mapping[str, str], *, deep: bool = False) -> list[Row]:
    """Everything that can be found out; `HomeMissingError` if there is no home, `ConfigError` if it cannot be read.

    `deep`: a large archive is read through too, however long it takes.
    """
    config = settings.load(home, environment)
    rows = [
        ok("home", told("%(home)s, the node of %(member)s", home=home.folder, member=config.member.name)),
        _disk(home),
    ]
    rows += [*_keys(home, config, environment, deep=deep), *_charter(home), *_tls(home, config), _backup(home)]
    try:
        vitals = NodeClient(home.socket, _SECONDS).get("status")
    except NotRunningError as error:
        effect = told("nothing is sent or received, and no command works")
        return [*rows, problem("daemon", error, effect, f"valija-node serve --home {home.folder}")]
    except ValijaError as error:
        effect = told("the daemon answers, but not what it should")
        return [*rows, problem("daemon", error, effect, told("look at its log"))]
    return [
        *rows,
        ok("daemon", told("process %(pid)s, since %(when)s", pid=vitals["pid"], when=vitals["started_at"])),
        *judge(vitals),
    ]


def glance(home: Home, vitals: Vitals) -> list[Row]:
    """What a running node can be asked at any time: its disk, its newest backup, and what it tells of itself."""
    return [_disk(home), _backup(home), *judge(vitals)]


# -- the home ------------------------------------------------------------------------------------------
def _disk(home: Home) -> Row:
    if not os.access(home.folder, os.W_OK | os.X_OK):
        nothing = StoreError(told("nothing can be written in %(home)s", home=home.folder))
        remedy = told("let the user who runs it own this folder, on a disk that is mounted for writing")
        return problem("disk", nothing, told("the daemon cannot start"), remedy)
    free = shutil.disk_usage(home.folder).free
    found = told("%(free)d MiB free", free=free // MIB)
    if free >= _FEW_BYTES:
        return ok("disk", found)
    level = Level.WARNING if free >= _NO_BYTES else Level.PROBLEM
    effect, remedy = told("the daemon ends when it cannot write"), told("make room, or enlarge the disk")
    return Row("disk", level, found, "store", effect, remedy)


def _keys(home: Home, config: NodeConfig, environment: Mapping[str, str], *, deep: bool) -> list[Row]:
    try:
        custody = open_custody(home, config, environment)
    except ValijaError as error:
        return [problem("keys", error, told("the daemon cannot start"), _remedy_of_keys(error))]
    archived = _archive(home, custody.archive_key, deep=deep)
    journal = _journal(home, custody.archive_key) if archived.level is Level.OK else []
    return [ok("keys", told("the secret opens them")), *_damaged_prekeys(home), archived, *journal]


def _remedy_of_keys(error: ValijaError) -> Told:
    match error:
        case PassphraseError():
            return told("put back the secret file, or name it in [keys] or by VALIJA_SECRET_FILE")
        case KeyDamagedError():
            return told("valija-node restore the newest backup")
    return told("put back the file that is named, closed to all other users; the keys are in each backup")


def _charter(home: Home) -> list[Row]:
    """What the daemon trusts first can be read; nothing where it can."""
    try:
        read_anchor(home.charter)
    except ValijaError as error:
        remedy = told(
            "put %(path)s back as the stewards gave it out, or valija-node restore the newest backup", path=home.charter
        )
        return [problem("charter", error, told("the daemon cannot start"), remedy)]
    return []


def _tls(home: Home, config: NodeConfig) -> Iterator[Row]:
    """What case systems and browsers are shown serves, and for how long; nothing where it is plain."""
    effect, remedy = told("then case systems and browsers refuse it"), told("renew it, then send SIGHUP to the node")
    for name, section in (("api", config.api), ("web", config.web)):
        files = settings.tls_files(home, section, name) if section.listen else None
        if files is None:
            continue
        try:
            files.context()
            ends_at = files.ends_at()
        except ConfigError as error:
            yield problem("tls", error, told("the daemon cannot start"), told("correct what these settings name"))
            continue
        found = told("the certificate of [%(section)s] is valid until %(when)s", section=name, when=show_time(ends_at))
        left = ends_at - int(time.time())
        level = Level.PROBLEM if left <= 0 else Level.WARNING if left <= _TLS_SECONDS else Level.OK
        yield ok("tls", found) if level is Level.OK else Row("tls", level, found, "", effect, remedy)


def _damaged_prekeys(home: Home) -> list[Row]:
    """What keeps the daemon from starting, or what it set aside when it did; nothing where everything opens."""
    try:
        check_files(home.prekeys)
    except KeyAccessError as error:
        remedy = told("do what is said of this file, then start the daemon")
        return [problem("prekeys", error, told("the daemon cannot start"), remedy)]
    damaged = [path.name for path in damaged_files(home.prekeys)]
    if not damaged:
        return []
    found = told("damaged, set aside and replaced: %(names)s", names=", ".join(damaged))
    effect = told("what was sealed to them is sealed again by its senders; nothing is lost")
    remedy = told("check this machine's disk and memory; these files are destroyed by themselves after their days")
    return [Row("prekeys", Level.WARNING, found, KeyDamagedError.code, effect, remedy)]


def _archive(home: Home, key: bytes, *, deep: bool) -> Row:
    known, fault = len(archive.schema(key).names), None
    restore = told(
        "check this machine's disk, then valija-node restore the newest backup: peers send again what is missing"
    )
    try:
        with archive.opened(home.archive, key) as connection:
            version = taken(connection, steps)[1]
            is_read = deep or archive_check.is_shallow(home.archive)
            if is_read:
                fault = archive_check.damage(connection)
    except DamagedError as error:
        return problem("archive", error, told("the daemon cannot start"), restore)
    except ValijaError as error:
        remedy = told("valija-node restore the newest backup")
        return problem("archive", error, told("the daemon cannot start"), remedy)
    if version > known:
        newer = NewerHomeError(
            told("version %(version)d, this program knows up to %(known)d", version=version, known=known)
        )
        return problem("archive", newer, told("the daemon cannot start"), told("install the newer program again"))
    if fault is not None:
        effect = told("what stands there cannot be read, and the daemon ends when it comes to it")
        return problem("archive", StoreError(fault), effect, restore)
    read = told("intact") if is_read else told("not read through; say --deep")
    if version < known:
        facts = {"version": version, "known": known, "read": read}
        return ok("archive", told("version %(version)d, brought to %(known)d at the next start, %(read)s", **facts))
    return ok("archive", told("version %(version)d, %(read)s", version=version, read=read))


def _journal(home: Home, key: bytes) -> list[Row]:
    """Whether what the journal tells of people follows entry by entry; nothing of an archive that has none yet."""
    with archive.opened(home.archive, key) as connection:
        if taken(connection, steps)[1] < len(archive.schema(key).names):
            return []
        tx, check = SqlTransaction(connection), Check()
        while check.step(tx):
            pass
    if check.broken is None:
        facts = {"count": check.count, "head": check.head.hex()}
        return [
            ok("journal", told("%(count)d entries, each bound to the one before it; the newest is %(head)s", **facts))
        ]
    found = told("entry %(number)d was changed or taken away, or one before it", number=check.broken)
    effect = told("nobody can say from it what people did")
    remedy = told("compare with the lines journal_head of the daemon's logs, and keep the home as it is")
    return [Row("journal", Level.PROBLEM, found, "", effect, remedy)]


def _backup(home: Home) -> Row:
    now, known, found = int(time.time()), last(home.folder), told("none was made yet")
    if known is not None:
        days = max(0, now - known.at) // DAY_SECONDS
        facts = {"when": show_time(known.at), "days": days, "file": known.file}
        found = told("made at %(when)s (days ago: %(days)d): %(file)s", **facts)
    if not overdue(home.folder, now)[1]:
        return ok("backup", found)
    effect = told("if this disk dies, what was received is sent again, and what was sent since then is lost")
    remedy = told("valija-node backup FILE, to another machine, every day")
    return Row("backup", Level.WARNING, found, "", effect, remedy)
