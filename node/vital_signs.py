"""What a running node tells of itself, judged: its line, its standing, its keys, what waits, whom it calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

from keys.levels import Level
from node.diagnosis import Row, ok
from node.problems import error_of
from node.speaking import N_, Told, told, told_error
from protocol.limits import CLOCK_TELL_SECONDS

_CERTIFICATE_DAYS: Final = 30
_CHARTER_DAYS: Final = 90
_PREKEY_DAYS: Final = 3
_ALARM_LIFE: Final = timedelta(days=7)
_NAMED: Final = "%(name)s: %(what)s"
Vitals: TypeAlias = Mapping[str, Any]


_HUB_REMEDIES: Final = {
    "hub_gone": N_("check this machine's network and [hub] url; ask the hub's operator"),
    "proxy_refused": N_("check [hub] proxy: its address, its user and that it allows CONNECT to the hub"),
    "tls_inspected": N_("ask for access without inspection, or name the inspector's authority in [hub] ca_file"),
    "wrong_hub": N_("check [hub] url; if it is right, tell the stewards at once"),
    "clock_skew": N_("correct the clock of this machine"),
    "not_in_standing": N_("have this node's public key certified, and the certificate published"),
    "unknown_member": N_("ask the stewards whether this member is admitted, under this very name"),
    "fenced": N_("look for a second node of this member; if there is none, tell the stewards"),
    "bad_log": N_("tell the stewards at once"),
    "stale": N_("the hub shows an older state than before: ask its operator what was restored"),
}


def _hub(vitals: Vitals) -> Iterator[Row]:
    hub = vitals["hub"]
    if hub["phase"] == "connected":
        yield ok("hub", told("connected to %(url)s since %(when)s", url=hub["url"], when=hub["since"]))
    elif hub["error"] is None:
        found = told("connecting to %(url)s", url=hub["url"])
        yield Row("hub", Level.WARNING, found, "", told("messages wait"), told("wait a minute"))
    else:
        code = hub["error"]["code"]
        remedy = told(_HUB_REMEDIES.get(code, N_("look at the daemon's log")))
        found = told(_NAMED, name=hub["url"], what=_of_code(code, hub["error"]["message"]))
        effect = told("messages are kept here and go when the hub is reached")
        yield Row("hub", Level.PROBLEM, found, code, effect, remedy)
    ahead = hub["clock_ahead_seconds"]
    if ahead is not None and abs(ahead) > CLOCK_TELL_SECONDS:
        seconds = abs(ahead)
        before = told("the hub's clock is %(seconds)d s ahead of this machine's", seconds=seconds)
        behind = told("the hub's clock is %(seconds)d s behind this machine's", seconds=seconds)
        effect, remedy = told("over an hour nothing is sent"), told("correct the clock")
        yield Row("clock", Level.WARNING, before if ahead > 0 else behind, "clock_skew", effect, remedy)


def _standing(vitals: Vitals) -> Iterator[Row]:
    certificate = vitals["certificate"]
    if vitals["association"] is None:
        # Who never read the registry cannot know whether its key was certified.
        return
    if certificate is None:
        found, effect = told("this node has none"), told("it cannot send")
        remedy = told("valija-keys certify node with the file node-key.txt, then publish the certificate")
        yield Row("certificate", Level.PROBLEM, found, "not_in_standing", effect, remedy)
    elif not certificate["in_standing"]:
        found, effect = told("it is not in standing"), told("nothing is sent")
        remedy = told("have the key certified anew, and ask the stewards if it was revoked")
        yield Row("certificate", Level.PROBLEM, found, "not_in_standing", effect, remedy)
    elif certificate["days_left"] < _CERTIFICATE_DAYS:
        found = told("it ends in %(days)d days", days=certificate["days_left"])
        effect, remedy = told("then nothing is sent"), told("have the key certified anew")
        yield Row("certificate", Level.WARNING, found, "", effect, remedy)
    else:
        yield ok("certificate", told("valid until %(when)s", when=certificate["valid_until"]))


def _incarnation(vitals: Vitals) -> Iterator[Row]:
    until = vitals.get("incarnation_put_off_until")
    if until is not None:
        found = told("the hub says again and again that this node was put back")
        effect = told("nothing is sent until %(when)s; what comes in is read and kept", when=until)
        remedy = told(
            "look for a second node of this member, and whether this machine's disk is put back; if neither, tell the stewards"
        )
        yield Row("incarnation", Level.PROBLEM, found, "incarnation_limit", effect, remedy)


def _registry(vitals: Vitals) -> Iterator[Row]:
    association, registry = vitals["association"], vitals["registry"]
    if association is None:
        effect, remedy = told("nobody can be written to"), told("wait until the hub is reached")
        yield Row("registry", Level.PROBLEM, told("empty"), "", effect, remedy)
        return
    if association["charter_days_left"] < _CHARTER_DAYS:
        level = Level.PROBLEM if association["charter_days_left"] < 0 else Level.WARNING
        found = told("the charter ends or ended at %(when)s", when=association["charter_expires_at"])
        effect = told("then nothing can be changed, and 90 days later nothing is sent")
        remedy = told("ask the stewards for the next charter")
        yield Row("charter", level, found, "charter_expired", effect, remedy)
    if not association["is_witnessed"]:
        effect = told("the hub's word alone says how new the registry is")
        remedy = told("the stewards may name witnesses in the next charter")
        found = told("unwitnessed: the charter names none")
        yield Row("witnesses", Level.WARNING, found, "unwitnessed", effect, remedy)
    age, alarm, stop = (registry[f"{name}_seconds"] for name in ("age", "alarm_after", "stop_after"))
    if age is None or age > alarm:
        level = Level.PROBLEM if age is None or age > stop else Level.WARNING
        effect = told("at %(hours)d hours nothing is sent any more", hours=stop // 3600)
        found, remedy = told("%(hours)d hours old", hours=(age or 0) // 3600), told("check the hub's line")
        yield Row("registry", level, found, "stale_view", effect, remedy)
    else:
        yield ok("registry", told("%(size)d entries, %(age)d s old", size=registry["size"], age=age))


def _prekeys(vitals: Vitals) -> Iterator[Row]:
    prekeys = vitals["prekeys"]
    found = told("%(held)d held, for %(days)d days ahead", held=prekeys["held"], days=prekeys["days_ahead"])
    if prekeys["days_ahead"] < _PREKEY_DAYS:
        remedy = told("they are made by themselves once the hub is reached; check the disk")
        effect = told("then nobody can seal to this node")
        yield Row("prekeys", Level.WARNING, found, "no_prekey", effect, remedy)
    elif prekeys["overdue"]:
        effect = told("messages of those days stay readable to a thief of this machine")
        remedy = told("correct the clock; they are destroyed when hub and machine agree on the time")
        yield Row("prekeys", Level.WARNING, told("%(num)d should be gone", num=prekeys["overdue"]), "", effect, remedy)
    else:
        yield ok("prekeys", found)


def _messages(vitals: Vitals) -> Iterator[Row]:
    counts = vitals["messages"]
    facts = {name: counts[name] for name in ("sent", "received", "under_way")}
    yield ok("messages", told("%(sent)d sent, %(received)d received, %(under_way)d under way", **facts))
    waiting = counts["waiting"] + counts["held"]
    if waiting:
        effect, remedy = told("they go by themselves as soon as they can"), told("valija-node outbox says why")
        found = told("deliveries that wait: %(num)d", num=waiting)
        yield Row("held", Level.WARNING, found, "held", effect, remedy)
    for code, count in counts["held_for"].items():
        level = Level.PROBLEM if code == "forked_view" else Level.WARNING
        effect, remedy = told("they are shown as soon as they can be judged"), told("if it stays so, ask the stewards")
        yield Row("set aside", level, told("%(num)d received envelopes wait", num=count), code, effect, remedy)
    if counts["quarantined"]:
        effect, remedy = told("their senders were told; nothing of them is shown"), told("ask the senders' operators")
        found = told("%(num)d received envelopes were refused", num=counts["quarantined"])
        yield Row("quarantine", Level.WARNING, found, "unverifiable", effect, remedy)
    if counts["forks"]:
        effect, remedy = told("somebody is shown another registry than others"), told("tell the stewards at once")
        found = told("%(num)d checkpoints contradict this mirror", num=counts["forks"])
        yield Row("fork", Level.PROBLEM, found, "forked_view", effect, remedy)


def _nudges(vitals: Vitals) -> Iterator[Row]:
    nudges = vitals["nudges"]
    for desk in nudges["unknown_desks"]:
        found = told("[nudges.desks.%(desk)s] is about no desk", desk=desk)
        effect, remedy = told("nobody is called by these settings"), told("correct the name, or valija-node desk add")
        yield Row("nudges", Level.WARNING, found, "unknown_desk", effect, remedy)
    for desk in nudges["desks"]:
        yield _unopened(desk)
    if not nudges["desks"]:
        quiet, idle = told("nothing urgent is unopened"), told("nothing urgent is unopened; nobody would be called")
        yield ok("nudges", quiet if nudges["calls"] else idle)


def _unopened(desk: Vitals) -> Row:
    facts = {"count": desk["count"], "desk": desk["desk"], "since": desk["since"]}
    found = told("urgent and unopened at %(desk)s since %(since)s: %(count)d", **facts)
    if not desk["calls"]:
        remedy = told("set [nudges] duty in node.toml")
        return Row("nudges", Level.WARNING, found, "", told("nobody is called"), remedy)
    if desk["failing_since"] is not None:
        why = {"when": desk["failing_since"], "why": desk["outcome"]}
        found = told("%(found)s; calls fail since %(when)s: %(why)s", found=found, **why)
        remedy = told("check [mail] and [nudges] in node.toml, and whoever takes the call; tell the desk by telephone")
        return Row("nudges", Level.PROBLEM, found, "", told("whoever is on duty does not hear of it"), remedy)
    called = {"found": found, "called": desk["called"]}
    if desk["escalated"]:
        found = told("%(found)s; calls to duty: %(called)d, then escalation", **called)
        remedy = told("tell the desk by telephone")
        return Row("nudges", Level.PROBLEM, found, "", told("another service waits"), remedy)
    if not desk["called"]:
        return Row("nudges", Level.OK, told("%(found)s; duty is called in time", found=found))
    return Row("nudges", Level.OK, told("%(found)s; calls to duty: %(called)d", **called))


def _webhooks(vitals: Vitals) -> Iterator[Row]:
    # A daemon that was not started again since this program came tells nothing of them.
    told_of = vitals.get("webhooks") or {"count": 0, "troubled": []}
    effect = told("its case system hears of nothing until it asks by itself")
    for hook in told_of["troubled"]:
        facts = {"name": hook["name"], "desk": hook["desk"]}
        if hook["disabled_at"] is not None:
            why = {"when": hook["disabled_at"], "why": told(hook["disabled_why"])}
            found = told("%(name)s of the desk %(desk)s was given up at %(when)s: %(why)s", **facts, **why)
            remedy = told("repair where it leads, then valija-node webhook enable: nothing is lost; or remove it")
            yield Row("webhooks", Level.PROBLEM, found, "", effect, remedy)
        else:
            found = told("%(name)s of the desk %(desk)s fails since %(when)s", **facts, when=hook["failing_since"])
            yield Row("webhooks", Level.WARNING, found, "", effect, told("valija-node webhook log says why"))
    if told_of["count"] and not told_of["troubled"]:
        yield ok("webhooks", told("%(num)d, and none fails", num=told_of["count"]))


def _alarms(vitals: Vitals) -> Iterator[Row]:
    """The newest alarm of each code, and how many there were, in the last week."""
    since = datetime.fromisoformat(vitals["now"]) - _ALARM_LIFE
    fresh = [each for each in vitals["alarms"] if datetime.fromisoformat(each["at"]) > since]
    count = Counter(each["code"] for each in fresh)
    for code, newest in {each["code"]: each for each in fresh}.items():
        facts = {"count": count[code], "when": newest["at"], "detail": newest["detail"]}
        found = told("%(code)s: %(count)d in a week, the newest at %(when)s: %(detail)s", code=code, **facts)
        effect = told("something happened that a person should know of")
        remedy = told("valija-node status shows the newest alarms; if one comes again, ask whom it names")
        yield Row("alarms", Level.WARNING, found, code, effect, remedy)


_LOOKS: Final[tuple[Callable[[Vitals], Iterator[Row]], ...]] = (
    _hub,
    _standing,
    _incarnation,
    _registry,
    _prekeys,
    _messages,
    _nudges,
    _webhooks,
    _alarms,
)


def judge(vitals: Vitals) -> list[Row]:
    """What the state of a running node means."""
    return [row for look in _LOOKS for row in look(vitals)]


def _of_code(code: str, message: str) -> Told:
    """What a running node said of an error: its own sentence, and whatever stands behind it."""
    error = error_of(code, "")
    sentence = str(error)
    if error.code != code or not message.startswith(sentence):
        return told(message)
    return told_error(type(error)(message.removeprefix(sentence).strip().removeprefix("(").removesuffix(")")))
