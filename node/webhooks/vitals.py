"""How the webhooks are, for `status` and `doctor`."""

from __future__ import annotations

from node.api_requests import show_time
from node.api_views import View
from node.store import Transaction
from node.tables import webhooks
from node.tables.webhooks import Webhook


def webhook_vitals(tx: Transaction) -> View:
    """How many webhooks there are, and each that this node gave up or whose last notice was not taken."""
    hooks = webhooks.all_of(tx)
    return {"count": len(hooks), "troubled": [_troubled(each) for each in hooks if _is_troubled(each)]}


def _is_troubled(hook: Webhook) -> bool:
    if hook.disabled_at is not None:
        return hook.disabled_why != webhooks.BY_HAND
    return hook.failing_since is not None


def _troubled(hook: Webhook) -> View:
    return {
        "name": hook.name,
        "desk": hook.desk,
        "failing_since": None if hook.failing_since is None else show_time(hook.failing_since),
        "disabled_at": None if hook.disabled_at is None else show_time(hook.disabled_at),
        "disabled_why": hook.disabled_why,
    }
