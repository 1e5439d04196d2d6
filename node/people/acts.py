"""What people do that the journal of this node tells, each act by one word."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

NODE: Final = "node"
"""Who acts, in the journal, when the operator does by command."""


class Act(StrEnum):
    """The acts that are recorded."""

    LOGGED_IN = "logged-in"
    LOGIN_FAILED = "login-failed"
    LOGGED_OUT = "logged-out"
    SESSION_CLOSED = "session-closed"
    PASSKEY_ADDED = "passkey-added"
    PASSKEY_REMOVED = "passkey-removed"
    PASSWORD_SET = "password-set"  # noqa: S105 - a word for the journal
    CODES_RENEWED = "recovery-codes-renewed"
    PERSON_ADDED = "person-added"
    PERSON_CHANGED = "person-changed"
    PERSON_DISABLED = "person-disabled"
    PERSON_ENABLED = "person-enabled"
    INVITED = "invited"
    OPENED = "opened"
    SEARCHED = "searched"
    SENT = "sent"
    WITHDREW = "withdrew"
    ANSWERED = "answered"
    RECEIPT_OPENED = "receipt-opened"
    JOURNAL_READ = "journal-read"
    WEBHOOK_HANDLED = "webhook-handled"
