"""The names of what `status` shows, for the catalogue and for readers."""

from __future__ import annotations

from typing import Any, Final

from node.speaking import N_, language, say

_SECONDS: Final = "_seconds"
FIELDS: Final = frozenset(
    {
        N_("member"),
        N_("version"),
        N_("schema"),
        N_("pid"),
        N_("now"),
        N_("started at"),
        N_("session"),
        N_("association"),
        N_("name"),
        N_("id"),
        N_("charter version"),
        N_("charter fingerprint"),
        N_("charter expires at"),
        N_("charter days left"),
        N_("is witnessed"),
        N_("hub"),
        N_("url"),
        N_("phase"),
        N_("since"),
        N_("failures"),
        N_("error"),
        N_("code"),
        N_("message"),
        N_("clock ahead"),
        N_("registry"),
        N_("size"),
        N_("root"),
        N_("age"),
        N_("alarm after"),
        N_("stop after"),
        N_("certificate"),
        N_("valid until"),
        N_("days left"),
        N_("in standing"),
        N_("incarnation"),
        N_("incarnation put off until"),
        N_("prekeys"),
        N_("held"),
        N_("days ahead"),
        N_("overdue"),
        N_("messages"),
        N_("received"),
        N_("sent"),
        N_("under way"),
        N_("waiting"),
        N_("held here"),
        N_("quarantined"),
        N_("forks"),
        N_("held for"),
        N_("alarms"),
        N_("nudges"),
        N_("calls"),
        N_("unknown desks"),
        N_("desks"),
        N_("desk"),
        N_("count"),
        N_("emergencies"),
        N_("called"),
        N_("escalated"),
        N_("failing since"),
        N_("outcome"),
        N_("at"),
        N_("detail"),
        N_("webhooks"),
        N_("troubled"),
        N_("disabled at"),
        N_("disabled why"),
    }
)
"""Every name that a status of this program has, as it is shown in English."""


def label(name: str) -> str:
    """What a reader is shown for this name of a status."""
    return say(shown(name))


def shown(name: str) -> str:
    """The same in English."""
    return name.removesuffix(_SECONDS).replace("_", " ")


def length(name: str, value: Any) -> str:
    """What a reader is shown for a length of time, as `13 minutes`; nothing for any other value of a status."""
    if not name.endswith(_SECONDS) or not isinstance(value, int):
        return ""
    # Who asks for something else need not wait until catalogues can be read.
    from node.i18n import speech  # noqa: PLC0415

    lasting = speech(language()).lasting(abs(value))
    return lasting if value >= 0 else say("%(time)s behind", time=lasting)
