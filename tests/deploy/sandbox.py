"""What a container gives a command, made of namespaces alone: its user, a read-only root, a small /tmp, its volume.

`unshare` and `mount` of util-linux do it; no engine and no privilege is needed where user namespaces are allowed.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.deploy import places

# The steps inside: first as root of a fresh user namespace to mount, then as the service's user to run.
# /var/lib, /run and /tmp are replaced; whatever of the program lies below one of them is put back, read-only.
SCRIPT = """
set -eu
mount --make-rprivate /
keep=$(mktemp -d)
mount -t tmpfs tmpfs "$keep"
mkdir "$keep/volume"; mount --bind "$VOLUME" "$keep/volume"
mkdir "$keep/secret"; mount --bind "$SECRETS" "$keep/secret"
number=0
for path in $PROGRAM; do
  number=$((number + 1)); mkdir "$keep/$number"; mount --rbind "$path" "$keep/$number"
done
stage=$(mktemp -d /dev/shm/XXXXXX); mount --move "$keep" "$stage"; rmdir "$keep"
mount -t tmpfs tmpfs /var/lib; mount -t tmpfs tmpfs /run; mount -t tmpfs -o size=64m,mode=1777 tmpfs /tmp
number=0
for path in $PROGRAM; do
  number=$((number + 1)); [ -d "$path" ] || { mkdir -p "$path"; mount --rbind "$stage/$number" "$path"; mount -o remount,bind,ro "$path"; }
done
mkdir -p "$HOME_INSIDE" /run/secrets
mount --bind "$stage/volume" "$HOME_INSIDE"; mount --bind "$stage/secret" /run/secrets
umount -l "$stage"; rmdir "$stage"
for path in /run/secrets /run /var/lib /; do mount -o remount,bind,ro "$path"; done
cd "$HOME_INSIDE"
exec unshare --user --map-user="$AS_USER" --map-group="$AS_GROUP" -- "$@"
"""


def argv(service: Mapping[str, Any], command: Sequence[str], volume: Path, secrets: Path) -> list[str]:
    """The command line that runs `command` as this compose service would, with `volume` as its home.

    `secrets` is the folder that stands at /run/secrets.  The programs are those of this environment.
    """
    user, group = service["user"].split(":")
    (volume_line,) = service["volumes"]
    program = sorted({str(places.ROOT), sys.prefix, sys.base_prefix}, key=len)
    settings = {
        "VOLUME": volume,
        "SECRETS": secrets,
        "PROGRAM": shlex.join(program),
        "HOME_INSIDE": volume_line.split(":")[1],
        "AS_USER": user,
        "AS_GROUP": group,
        "PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        **service["environment"],
    }
    clean = ["env", "-i", *(f"{key}={value}" for key, value in settings.items())]
    inside = ["unshare", "--user", "--map-root-user", "--mount", "--", "bash", "-c", SCRIPT, "sandbox"]
    return [*clean, *inside, *command]
