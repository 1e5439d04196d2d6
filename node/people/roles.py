"""What each kind of person may do; desks say on whose mail."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from node.speaking import N_


class Role(StrEnum):
    """The kinds of people who log in."""

    PROSECUTOR = "prosecutor"
    CLERK = "clerk"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


class Power(StrEnum):
    """What a person may do at their desks, and for `ADMINISTER` at the node."""

    READ = "read"
    WRITE = "write"
    ACKNOWLEDGE = "acknowledge"
    DECIDE = "decide"
    FORMAL = "formal"
    READ_LOG = "read-log"
    ADMINISTER = "administer"


POWERS: Final[dict[Role, frozenset[Power]]] = {
    Role.PROSECUTOR: frozenset({Power.READ, Power.WRITE, Power.ACKNOWLEDGE, Power.DECIDE, Power.FORMAL}),
    Role.CLERK: frozenset({Power.READ, Power.WRITE, Power.ACKNOWLEDGE}),
    Role.AUDITOR: frozenset({Power.READ, Power.READ_LOG}),
    Role.ADMINISTRATOR: frozenset({Power.ADMINISTER, Power.READ_LOG}),
}
"""A clerk writes what is operational and says that something was received; formal acts, accepting and declining are a
prosecutor's.  An administrator reads no mail, an auditor writes none."""

DENIED: Final = {
    Power.READ: N_("an administrator reads no mail"),
    Power.WRITE: N_("you do not write for this desk: clerks and prosecutors of it do"),
    Power.ACKNOWLEDGE: N_("you do not answer for this desk: clerks and prosecutors of it do"),
    Power.DECIDE: N_("you do not decide for this desk: prosecutors of it do"),
    Power.FORMAL: N_("formal acts are a prosecutor's to write"),
    Power.READ_LOG: N_("the journal is read by administrators and auditors"),
    Power.ADMINISTER: N_("this is done by administrators"),
}
"""What somebody is told who lacks this power."""
