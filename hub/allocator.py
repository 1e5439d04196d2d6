"""How the C library's allocator is set: large buffers come from the system one by one.

Each TLS connection of uvloop owns a read buffer of 256 KiB, of which it touches little.  As long as such a buffer is
mapped by itself, only what is touched costs memory; glibc by default stops doing so after the first one is freed.
Measured with idle TLS sessions: 144 KiB each without this, 55 KiB with it.
"""

from __future__ import annotations

import ctypes
from typing import Final

_M_MMAP_THRESHOLD: Final = -3
_THRESHOLD_BYTES: Final = 128 * 1024


def map_large_buffers() -> bool:
    """Whether buffers above 128 KiB are mapped one by one from now on; False where the C library is not glibc."""
    adjust = getattr(ctypes.CDLL(None), "mallopt", None)
    return bool(adjust is not None and adjust(_M_MMAP_THRESHOLD, _THRESHOLD_BYTES))
