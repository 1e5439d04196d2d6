"""What the figures were measured on, and where on its disk."""

from __future__ import annotations

import os
import platform
import tempfile
from pathlib import Path
from typing import Any

_IN_MEMORY = {"tmpfs", "ramfs"}


def describe(folder: Path) -> dict[str, Any]:
    """Processor, cores, memory, versions, what else was running (load average), and the file system of `folder`."""
    return {
        "processor": _processor(),
        "cores": cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "file_system": file_system(folder),
        "load_before": round(os.getloadavg()[0], 2),
    }


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def file_system(folder: Path) -> str:
    """The type of the file system that holds `folder`."""
    found, place = "unknown", Path("/")
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        mount, kind = Path(line.split()[1]), line.split()[2]
        if folder.resolve().is_relative_to(mount) and len(mount.parts) >= len(place.parts):
            found, place = kind, mount
    return found


def durable_folder() -> Path:
    """The system's temporary folder; another one where that is in memory, which no fsync reaches."""
    chosen = Path(tempfile.gettempdir())
    return Path("/var/tmp") if file_system(chosen) in _IN_MEMORY else chosen
