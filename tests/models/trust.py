"""An executable model of the registry, its witnesses, charters and gossip.

The hub is the adversary: it runs the log, may extend any fork, show any prefix to anybody, or withhold.
A log is a tuple of leaves, so a fork is two tuples neither of which is a prefix of the other.
Breadth-first search over small bounds; each rule is a flag, switched off in turn to see what it carries.

    python -m tests.models.trust            everything (under three minutes)
    python -m tests.models.trust --quiet    verdict tables without stories
"""

from __future__ import annotations

import sys
import time
from collections import deque
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from itertools import permutations, product

Log = tuple[str, ...]


@dataclass(frozen=True)
class Rules:
    """Every rule of the protocol that the model can switch off."""

    quorum: bool = True  # positive statements only from a checkpoint with q cosignatures
    extends_own: bool = True  # a node accepts only what extends the checkpoint it holds
    store_before_answer: bool = True  # a witness stores the new size, then cosigns
    old_and_new_threshold: bool = True  # charter n+1 needs the old threshold and the new one
    old_quorum_cosigns_charter: bool = True  # and its leaf stands in a checkpoint of the old quorum
    version_plus_one: bool = True  # only charter n+1 follows charter n
    negative_on_sight: bool = True  # revocations apply by their own signatures, before any quorum
    gossip_forces_fetch: bool = True  # a message sealed at a larger size waits until that size is held
    distinct_signers: bool = True  # keys are counted, never signatures
    # found by this model
    revocation_sticks: bool = True  # a revocation logged before its admission still stands
    gossip_carries_unlogged: bool = True  # manifests carry negative statements the log does not hold
    gossip_carries_checkpoint: bool = True  # manifests carry the log-signed checkpoint, not only its root
    negative_from_any_charter: bool = True  # a revocation signed under an earlier charter of the chain still counts


@dataclass(frozen=True)
class Charter:
    version: int
    stewards: frozenset[str]
    k: int
    witnesses: str  # name of the witness group


@dataclass(frozen=True)
class Leaf:
    kind: str  # charter, admit, revoke
    subject: str
    signers: tuple[str, ...]


OLD, NEW, EVIL = frozenset({"s1", "s2", "s3"}), frozenset({"t1", "t2", "t3"}), frozenset({"e1", "e2", "e3"})
CHARTERS = {
    "C1": Charter(1, OLD, 2, "W1"),
    "V2": Charter(2, NEW, 2, "W2"),
    "V2rival": Charter(2, NEW, 2, "W2rival"),
    "V2evil": Charter(2, EVIL, 2, "Wevil"),
}
LEAVES = {
    "C1": Leaf("charter", "C1", ("s1", "s2")),
    "admit P": Leaf("admit", "P", ("s1", "s2")),
    "revoke P": Leaf("revoke", "P", ("s1", "s2")),
    "admit E": Leaf("admit", "E", ("s3", "s3")),  # the corrupt steward signs twice
    "charter V2": Leaf("charter", "V2", ("s1", "s2", "t1", "t2")),
    # s2 is honest but hears only the corrupt s3: 2k - n = 1 is no larger than one corrupt steward
    "charter V2rival": Leaf("charter", "V2rival", ("s2", "s3", "t1", "t3")),
    "charter V2evil": Leaf("charter", "V2evil", ("s3", "e1", "e2")),
    "admit O": Leaf("admit", "O", ("s1", "s2", "s3")),  # keys of retired stewards, stolen after V2
}
LEGITIMATE = {"P"}
# A witness cosigns no checkpoint without the charter that names it.
START = {"W1": "C1", "W2": "charter V2", "W2rival": "charter V2rival", "Wevil": "charter V2evil"}


@dataclass(frozen=True)
class View:
    """What a replay of one log says."""

    charter: str
    admitted: frozenset[str]
    revoked: frozenset[str]


def signed(leaf: Leaf, charter: Charter, rules: Rules) -> bool:
    """Tell whether enough stewards of this charter signed."""
    mine = [s for s in leaf.signers if s in charter.stewards]
    return (len(set(mine)) if rules.distinct_signers else len(mine)) >= charter.k


def negative_counts(leaf: Leaf, chain: tuple[str, ...], rules: Rules) -> bool:
    judges = chain if rules.negative_from_any_charter else chain[-1:]
    return any(signed(leaf, CHARTERS[name], rules) for name in judges)


@lru_cache(maxsize=None)
def replay(log: Log, rules: Rules) -> View:
    """Judge each leaf under the charter in force before it; an invalid leaf is ignored by all alike."""
    charter, chain, admitted, revoked = "C1", ["C1"], set(), set()
    for name in log[1:]:
        leaf, current = LEAVES[name], CHARTERS[charter]
        if leaf.kind == "charter":
            new = CHARTERS[leaf.subject]
            in_turn = new.version == current.version + 1 or not rules.version_plus_one
            old_agrees = signed(leaf, current, rules) or not rules.old_and_new_threshold
            if leaf.subject == "C1" and not rules.version_plus_one:
                old_agrees = True
            if in_turn and old_agrees and signed(leaf, new, rules):
                charter = leaf.subject
                chain.append(charter)
        elif leaf.kind == "admit":
            if signed(leaf, current, rules):
                admitted.add(leaf.subject)
        elif negative_counts(leaf, tuple(chain), rules) and (rules.revocation_sticks or leaf.subject in admitted):
            revoked.add(leaf.subject)
    return View(charter, frozenset(admitted), frozenset(revoked))


def extends(longer: Log, shorter: Log) -> bool:
    return longer[: len(shorter)] == shorter


def conflict(a: Log, b: Log) -> bool:
    return not extends(a, b) and not extends(b, a)


@dataclass(frozen=True)
class Node:
    log: Log
    shown: frozenset[str] = frozenset()  # revocations seen outside the log
    known: frozenset[str] = frozenset()  # ground truth: every revocation ever received in any form


def usable(node: Node, rules: Rules) -> frozenset[str]:
    view = replay(node.log, rules)
    return view.admitted - view.revoked - (node.shown if rules.negative_on_sight else frozenset())


def heeds(node: Node, key: str, rules: Rules) -> bool:
    """Tell whether the node counts a revocation by the first stewards that it sees outside the log."""
    charter = replay(node.log, rules).charter
    return negative_counts(LEAVES[f"revoke {key}"], ("C1", charter) if charter != "C1" else ("C1",), rules)


@dataclass(frozen=True)
class World:
    """One configuration of the search."""

    name: str
    groups: tuple[tuple[str, int, int, int], ...]  # (group, n, q, corrupt)
    leaves: tuple[str, ...]
    depth: int
    negatives: tuple[str, ...] = ()
    interleave: bool = False  # witnesses may still move after nodes did

    def logs(self) -> list[Log]:
        return [("C1", *p) for d in range(self.depth + 1) for p in permutations(self.leaves, d)]


# A witness: (group, stored log or (), cosignatures given and forgotten). An honest witness may be asked for
# every size on its way, so it counts as having cosigned each prefix of what it stored.
Witness = tuple[str, Log, frozenset[Log]]
State = tuple[tuple[Witness, ...], Node, Node]


class Search:
    """Breadth-first search of one world under one set of rules."""

    def __init__(self, world: World, rules: Rules) -> None:
        self.world, self.rules, self.logs = world, rules, world.logs()
        self.groups = {g: (n, q, c) for g, n, q, c in world.groups}
        self.parent: dict[State, tuple[State | None, str]] = {}
        self.broken: dict[str, tuple[State, str]] = {}
        self.judged: dict[tuple[tuple[Witness, ...], Log, Log], bool] = {}

    def has_quorum(self, witnesses: tuple[Witness, ...], charter: str, log: Log) -> bool:
        if not self.rules.quorum:
            return True
        group = CHARTERS[charter].witnesses
        if group not in self.groups:
            return False
        _, q, corrupt = self.groups[group]
        return corrupt + sum(g == group and (extends(s, log) or log in x) for g, s, x in witnesses) >= q

    def acceptable(self, state: State, own: Log, log: Log) -> bool:
        key = (state[0], own, log)
        if key not in self.judged:
            self.judged[key] = self.judge(*key)
        return self.judged[key]

    def judge(self, state: tuple[Witness, ...], own: Log, log: Log) -> bool:
        """The node's rule: quorum of the charter in force, and of the old one where the charter changes."""
        if log == own or (self.rules.extends_own and not extends(log, own)):
            return False
        charter = replay(log[:1], self.rules).charter
        for size in range(1, len(log)):
            after = replay(log[: size + 1], self.rules).charter
            if after == charter:
                continue
            new_to_node = size >= len(own) or not extends(own, log[: size + 1])
            if new_to_node and self.rules.old_quorum_cosigns_charter and not self.has_quorum(state, charter, log[: size + 1]):
                return False
            charter = after
        return self.has_quorum(state, charter, log)

    def theft_happened(self, state: State) -> bool:
        """Retired stewards' keys may be stolen once V2 is in force for somebody."""
        return any("charter V2" in log and self.acceptable(state, ("C1",), log) for log in self.logs)

    def witness_moves(self, state: State):
        seen = set()
        for i, (group, stored, extra) in enumerate(state[0]):
            if state[0][i] in seen:
                continue
            seen.add(state[0][i])
            for log in self.logs if self.rules.quorum else ():
                if log == stored or not extends(log, stored) or START[group] not in log:
                    continue
                if "admit O" in log and not self.theft_happened(state):
                    continue
                yield self.with_witness(state, i, (group, log, extra)), f"a witness of {group} stores and cosigns {show(log)}"
                if not self.rules.store_before_answer and len(extra) < 1:
                    after = (group, stored, extra | {log})
                    yield self.with_witness(state, i, after), f"a witness of {group} cosigns {show(log)}, crashes before storing it"

    @staticmethod
    def with_witness(state: State, i: int, witness: Witness) -> State:
        others = state[0][:i] + state[0][i + 1 :]
        return (tuple(sorted((*others, witness), key=repr)), state[1], state[2])

    def node_moves(self, state: State):
        for which, name in ((1, "A"), (2, "B")):
            node = state[which]
            for log in self.logs:
                if self.acceptable(state, node.log, log):
                    yield self.with_node(state, which, self.adopt(node, log)), f"{name} accepts checkpoint {show(log)}"
                    self.check_step(state, which, log)
            for key in self.world.negatives:
                if key not in node.shown:
                    shown = node.shown | ({key} if heeds(node, key, self.rules) else set())
                    after = replace(node, shown=shown, known=node.known | {key})
                    yield self.with_node(state, which, after), f"{name} is shown the signed revocation of {key} outside the log"
            yield from self.message(state, which, name)

    def adopt(self, node: Node, log: Log) -> Node:
        told = frozenset(LEAVES[x].subject for x in log if LEAVES[x].kind == "revoke")
        return replace(node, log=log, known=node.known | told)

    @staticmethod
    def with_node(state: State, which: int, node: Node) -> State:
        return (state[0], node, state[2]) if which == 1 else (state[0], state[1], node)

    def check_step(self, state: State, which: int, log: Log) -> None:
        old, new = replay(state[which].log, self.rules).charter, replay(log, self.rules).charter
        if CHARTERS[new].version < CHARTERS[old].version:
            self.fail("T5", state, f"then {'AB'[which - 1]} accepts {show(log)} and falls back to charter {CHARTERS[new].version}")
        elif len(log) < len(state[which].log) and extends(state[which].log, log):
            self.fail("T5", state, f"then {'AB'[which - 1]} accepts the older {show(log)} (rollback)")

    def message(self, state: State, which: int, name: str):
        """One message, carrying the sender's view; the hub may always withhold it (a visible gap)."""
        sender, reader, other = state[which], state[3 - which], "BA"[which - 1]
        if conflict(sender.log, reader.log):
            if not self.rules.gossip_carries_checkpoint:
                self.fail("T2-proof", state, f"a message {name} to {other} shows a root that differs, but nothing the hub signed")
            return
        after = reader
        if len(sender.log) > len(reader.log) and self.rules.gossip_forces_fetch:
            if not self.acceptable(state, reader.log, sender.log):
                return
            after = self.adopt(reader, sender.log)
        if self.rules.gossip_carries_unlogged:
            heeded = {key for key in sender.shown if heeds(after, key, self.rules)}
            after = replace(after, shown=after.shown | heeded, known=after.known | heeded)
        if not sender.known <= after.known:
            self.fail("T3", state, f"a message {name} to {other} is accepted; {other} still does not know of the revocation")
        if after != reader:
            yield self.with_node(state, 3 - which, after), f"a message {name} to {other}: {other} fetches up to {show(after.log)}"

    def check(self, state: State) -> None:
        for which, name in ((1, "A"), (2, "B")):
            node = state[which]
            for key in usable(node, self.rules):
                if key == "O":
                    self.fail("T5", state, f"{name} uses key O, signed with stolen keys of retired stewards")
                elif key not in LEGITIMATE:
                    self.fail("T1", state, f"{name} uses key {key}, which k stewards never admitted")
                elif key in node.known:
                    self.fail("T1", state, f"{name} uses key {key} though it received its revocation")
            if replay(node.log, self.rules).charter == "V2evil":
                self.fail("T1", state, f"{name} follows a charter that the old stewards did not sign")
        if conflict(state[1].log, state[2].log):
            self.fail("T2", state, f"A acts on {show(state[1].log)}, B on {show(state[2].log)}")

    def fail(self, name: str, state: State, text: str) -> None:
        self.broken.setdefault(name, (state, text))

    def run(self, cap: int = 10**9) -> "Search":
        witnesses = tuple(
            sorted(((g, ("C1",) if g == "W1" else (), frozenset()) for g, n, _, c in self.world.groups for _ in range(n - c)), key=repr)
        )
        first: State = (witnesses, Node(("C1",)), Node(("C1",)))
        self.parent[first] = (None, "")
        queue = deque([first])
        while queue and len(self.parent) < cap:
            state = queue.popleft()
            self.check(state)
            # Nodes never influence witnesses and cosignatures only accumulate, so witnesses may move first.
            witnesses_move = self.world.interleave or state[1:] == first[1:]
            moves = [*self.witness_moves(state)] if witnesses_move else []
            for after, text in (*moves, *self.node_moves(state)):
                if after not in self.parent:
                    self.parent[after] = (state, text)
                    queue.append(after)
        return self

    def story(self, name: str) -> list[str]:
        state, end = self.broken[name]
        lines = [end]
        while True:
            before, text = self.parent[state]
            if before is None:
                return lines[::-1]
            lines.append(text)
            state = before


def show(log: Log) -> str:
    return "[" + ", ".join(log) + "]"


CORE3 = World("core, 3 witnesses, q=2, none corrupt", (("W1", 3, 2, 0),), ("admit P", "revoke P", "admit E"), 2, ("P",))
CORE5 = World("core, 5 witnesses, q=4, one corrupt", (("W1", 5, 4, 1),), ("admit P", "revoke P", "admit E"), 2, ("P",))
TWO5 = World("core, 5 witnesses, q=4, two corrupt (over f, under 2q - n)", (("W1", 5, 4, 2),), ("admit P", "revoke P"), 2, ("P",))
OVER5 = World("core, 5 witnesses, q=4, three corrupt (2q - n reached)", (("W1", 5, 4, 3),), ("admit P", "revoke P"), 2, ("P",))
WEAK5 = World("core, 5 witnesses, q=3, one corrupt (2q - n = f)", (("W1", 5, 3, 1),), ("admit P", "revoke P"), 2, ("P",))
MIXED = replace(CORE3, name="core, 3 witnesses, all orders of events", leaves=("admit P", "revoke P"), interleave=True)
# A group that satisfies 2q - n > f behaves as one witness that never forks (CORE3, CORE5); new groups are that one.
CHANGE = World(
    "charter change: V2 and a rival V2, old witnesses q=2 of 3",
    (("W1", 3, 2, 0), ("W2", 1, 1, 0), ("W2rival", 1, 1, 0)),
    ("admit P", "charter V2", "charter V2rival"),
    2,
)
RETIRED = World(
    "charter change: stolen retired keys, forged V2, replayed C1",
    (("W1", 3, 2, 0), ("W2", 1, 1, 0), ("Wevil", 1, 1, 1)),
    ("charter V2", "charter V2evil", "admit O", "C1"),
    2,
)
ACROSS = World(
    "charter change with a revocation signed before it",
    (("W1", 3, 2, 0), ("W2", 1, 1, 0)),
    ("admit P", "charter V2", "revoke P"),
    3,
    ("P",),
)
WORLDS = (CORE3, CORE5, MIXED, CHANGE, RETIRED, ACROSS)
EXPECTED_TO_BREAK = (TWO5, OVER5, WEAK5)
FULL = {"negative_from_any_charter", "old_quorum_cosigns_charter"}  # rules searched without a cap
CAP = 25_000  # states when a rule is off; the search is breadth-first, so short stories come first


def searched(quiet: bool) -> int:
    """Search every world with all rules, then with each rule off; print one story per rule and property."""
    total = number = 0
    print("SEARCHES, ALL RULES ON")
    for world in (*WORLDS, *EXPECTED_TO_BREAK):
        search = Search(world, Rules()).run()
        total += len(search.parent)
        print(f"  {verdict(search)}")
        if search.broken and not quiet:
            for name in sorted(search.broken):
                number += 1
                tell(number, name, search.story(name))
    for field in fields(Rules):
        print(f"WITHOUT {field.name}")
        told: set[str] = set()
        for world in (*WORLDS, *((OVER5,) if field.name == "gossip_carries_checkpoint" else ())):
            search = Search(world, replace(Rules(), **{field.name: False})).run(10**9 if field.name in FULL else CAP)
            total += len(search.parent)
            if search.broken:
                print(f"  {verdict(search)}")
            for name in sorted(set(search.broken) - told):
                told.add(name)
                number += 1
                if not quiet:
                    tell(number, name, search.story(name))
        if not told:
            print("  nothing breaks within these bounds")
    return total


def verdict(search: Search) -> str:
    result = "breaks " + ", ".join(sorted(search.broken)) if search.broken else "T1 T2 T3 T5 hold"
    return f"{search.world.name}: {len(search.parent)} states: {result}"


def tell(number: int, name: str, lines: list[str]) -> None:
    print(f"    story {number}, {name}:")
    for i, line in enumerate(lines, 1):
        print(f"      {i}. {line}")


# ---------------------------------------------------------------------------------------------------------
# T8: two associations whose officers are the same people with the same keys; both hubs are adversaries.


def associations(label_binds_association: bool, peer_judged_by_own_quorum: bool) -> tuple[int, dict[str, list[str]]]:
    """Search the logs of X and Y as seen by a member of X (own log, mirror of Y) and a member of Y (own log)."""
    leaves = {"admit Q, signed for Y": ("Y", "Q"), "admit P, signed for X": ("X", "P")}
    logs = [(), *((x,) for x in leaves), *permutations(leaves, 2)]

    def members(log: Log, association: str) -> set[str]:
        return {leaves[x][1] for x in log if leaves[x][0] == association or not label_binds_association}

    # (X witnesses on X, Y witnesses on Y, X witnesses on X's copy of Y, a's X view, a's mirror of Y, b's Y view)
    first = ((), (), (), (), (), ())
    names = ("X's witnesses cosign X's log", "Y's witnesses cosign Y's log", "X's witnesses cosign a copy of Y's log",
             "a (of X) accepts X's log", "a accepts its mirror of Y's log", "b (of Y) accepts Y's log")
    backed_by = {3: 0, 4: 1 if peer_judged_by_own_quorum else 2, 5: 1}
    parent: dict = {first: (None, "")}
    queue, broken = deque([first]), {}
    while queue:
        state = queue.popleft()
        if "Q" in members(state[3], "X"):
            broken.setdefault("T8", (state, "a takes Q for a member of X, which X's stewards never said"))
        if "P" in members(state[5], "Y"):
            broken.setdefault("T8", (state, "b takes P for a member of Y, which Y's stewards never said"))
        if conflict(state[4], state[5]):
            broken.setdefault("T8-mirror", (state, "a's mirror of Y and b's own Y log conflict"))
        for i, log in product(range(6), logs):
            allowed = log != state[i] and extends(log, state[i]) and (i < 3 or extends(state[backed_by[i]], log))
            after = (*state[:i], log, *state[i + 1 :])
            if allowed and after not in parent:
                parent[after] = (state, f"{names[i]} {show(log)}")
                queue.append(after)
    return len(parent), {name: path(parent, *end) for name, end in broken.items()}


def path(parent: dict, state, end: str) -> list[str]:
    lines = [end]
    while parent[state][0] is not None:
        lines.append(parent[state][1])
        state = parent[state][0]
    return lines[::-1]


# ---------------------------------------------------------------------------------------------------------
# T4: levers. Each scenario says who holds what back; the rules that limit it are arguments.


def witness_bounds() -> list[str]:
    """Compare sizes of the witness set: safety, liveness, and whether closings reveal every old quorum."""
    lines = []
    for n, f, q in ((2, 0, 2), (3, 0, 2), (4, 1, 3), (5, 1, 4), (7, 2, 5), (9, 2, 6)):
        safe, live, closing = 2 * q - n > f, n - q >= max(f, 1), n - q + 1 + f <= n - f
        lines.append(f"n={n} f={f} q={q}: no two quorums {mark(safe)}; one silent witness stops nothing {mark(live)}; "
                     f"n-q+1+f={n - q + 1 + f} closings obtainable {mark(closing)}")
    return lines


def steward_bounds() -> list[str]:
    lines = []
    for n, k in ((2, 2), (3, 2), (4, 3), (5, 3), (5, 4), (7, 5)):
        lines.append(f"n={n} k={k}: one cannot act {mark(k > 1)}; one cannot veto {mark(n - k >= 1)}; "
                     f"one corrupt cannot obtain two charters n+1 {mark(2 * k - n > 1)}")
    return lines


def mark(yes: bool) -> str:
    return "yes" if yes else "NO"


def splits(n: int, q: int, f: int) -> tuple[int, int, int, int, int]:
    """Count ways a stolen log key can divide the honest witnesses over three forks and their common stem.

    The f corrupt ones cosign anything now and answer nothing, or lie, later.
    Returns: divisions, those where no fork can reach an old quorum any more, those where the closings of every honest
    witness still leave two forks possible, those where closings hide a quorum that existed, and those where two forks had one.
    """
    honest, total, stuck, unclear, hidden, double = n - f, 0, 0, 0, 0, 0
    for forks in product(range(honest + 1), repeat=3):
        stem = honest - sum(forks)
        if stem < 0:
            continue
        total += 1
        had = [x + f >= q for x in forks]
        double += sum(had) > 1
        stuck += all(x + stem < q for x in forks)
        worst = False
        for closed in product(*(range(x + 1) for x in forks), range(stem + 1)):
            for lies in product(range(f + 1), repeat=3):
                closers = sum(closed) + sum(lies)
                if sum(lies) > f or closers < n - q + 1 + f:
                    continue
                possible = [c + lie + (n - closers) + f >= q for c, lie in zip(closed, lies)]
                hidden += any(h and not p for h, p in zip(had, possible))
                worst |= sum(closed) == honest and sum(possible) > 1
        unclear += worst
    return total, stuck, unclear, hidden, double


def handover_reachable(forked: bool, witness_holds_leaves: bool, n: int = 3, q: int = 2) -> bool:
    """Tell whether, whatever the old hub did to n honest witnesses, some log can still gather an old quorum.

    A new hub extends only what it holds: every leaf if witnesses hold what they cosigned, else only leaf 0.
    """
    logs: list[Log] = [("C1",), ("C1", "x"), ("C1", "x", "y")] if not forked else [("C1",), ("C1", "x"), ("C1", "y"), ("C1", "z")]
    held = logs if witness_holds_leaves else logs[:1]
    return all(any(sum(extends(log, s) for s in stored) >= q for log in held) for stored in product(logs, repeat=n))


@dataclass(frozen=True)
class Levers:
    """Rules that keep one party from stopping exchange."""

    halt_only_on_two_quorums: bool = True
    existing_peers_continue: bool = True
    handover_without_old_hub: bool = True  # the new hub, not the old one, logs charter n+1 and collects old cosignatures
    witness_holds_leaves: bool = True  # a witness cosigns only what it holds whole, so no tail can be withheld later
    recovery_by_closings: bool = True  # if the old quorum cannot cosign: closings, largest member view, local confirmation
    continues_means_at_least: bool = True  # charter n+1 may stand anywhere after `continues`, not only right at it
    claim_binds_only_with_quorum: bool = True  # a gossiped size without q cosignatures holds that one message, nothing else


def levers(rules: Levers) -> dict[str, bool]:
    """Tell for each party whether exchange goes on, or resumes by acts of the others (n=3, q=2, k=2 of 3).

    Arguments written down, not a search, except where handover_reachable decides.
    """
    replaced = rules.handover_without_old_hub
    whole = handover_reachable(False, rules.witness_holds_leaves)
    return {
        "hub goes silent": replaced,
        "hub hides a cosigned tail, then goes silent": replaced and whole,
        "hub keeps growing the old log past `continues`": replaced and rules.continues_means_at_least,
        "one witness silent": 3 - 1 >= 2,
        "two witnesses silent (more than n-q; peers go on 72 h, then recovery)": rules.existing_peers_continue and rules.recovery_by_closings,
        "one steward refuses": 3 - 1 >= 2,
        "stolen log key, conflicting checkpoint without a quorum": rules.halt_only_on_two_quorums,
        "stolen log key, witnesses divided over three forks": rules.recovery_by_closings or handover_reachable(True, True),
        "a member gossips a size that does not exist": rules.claim_binds_only_with_quorum,
    }


def recovery(freeze: bool, extends_own: bool, largest_view: bool) -> list[str]:
    """Charter n+1 without an old quorum; A reports its view, B may be away and ahead. Says what goes wrong."""
    wrong = []
    for a, b, b_reports in product((0, 1, 2), (0, 1, 2), (True, False)):  # sizes on one chain: T2 held before
        views = [a, *([b] if b_reports else [])]
        base = max(views) if largest_view else min(views)
        for who, own in (("A", a), ("B", b)):
            if own > base and not extends_own:
                wrong.append(f"{who} at size {own} forgets leaves when recovery continues size {base}")
            elif own > base and (who == "A" or b_reports):
                wrong.append(f"{who} reported size {own}, recovery continues {base}: {who} halts for no need")
            elif own > base and not freeze:
                wrong.append(f"B, away at size {own}, acts on the old quorum without end while A follows n+1 from {base}")
    return sorted(set(wrong))


# ---------------------------------------------------------------------------------------------------------
# T6: evidence time. One corrupt witness of five (q=4) backdates as it likes; the hub too.

STOLEN_AT, NOT_TRUSTED_AFTER = 10, 10
JUDGES = {
    "sender's own created_at": lambda item: item["claimed"],
    "hub acceptance alone": lambda item: item["accepted"],
    "earliest cosignature": lambda item: min(item["cosigned"], default=None),
    "(f+1)-th earliest cosignature on the transit log": lambda item: sorted(item["cosigned"])[1] if len(item["cosigned"]) > 3 else None,
}


def evidence_items() -> list[dict]:
    items = []
    for genuine, made, merge in product((True, False), range(4, 17, 2), (0, 1, 3)):
        if not genuine and made <= STOLEN_AT:
            continue
        honest_times = [made + merge] * 4
        for transit, hub_lies, witness_lies in product((True, False), repeat=3):
            items.append({
                "genuine": genuine, "made": made,
                "claimed": made if genuine else 5,
                "accepted": 5 if hub_lies and not genuine else made,
                "cosigned": [*honest_times, 5 if witness_lies else made + merge] if transit else [],
            })
    return items


def evidence(judge: str) -> tuple[int, int, int]:
    """Return forged items taken for earlier, genuine early ones proven, genuine early ones left unproven."""
    forged = proven = unproven = 0
    for item in evidence_items():
        when = JUDGES[judge](item)
        early = when is not None and when <= NOT_TRUSTED_AFTER
        forged += early and not item["genuine"]
        if item["genuine"] and item["made"] <= NOT_TRUSTED_AFTER:
            proven, unproven = proven + early, unproven + (not early)
    return forged, proven, unproven


def several_revocations(rule: str) -> list[str]:
    """A stolen root key publishes its own revocation with a late date before or after the stewards' (date 10)."""
    wrong = []
    for order in permutations((("stewards", 10), ("thief", 99))):
        dates = [d for _, d in order]
        effective = {"first": dates[0], "last": dates[-1], "earliest": min(dates)}[rule]
        if effective > 10:
            wrong.append(f"{' then '.join(w for w, _ in order)}: key trusted until {effective}")
    return wrong


# ---------------------------------------------------------------------------------------------------------
# T7: first meeting. What the fingerprint covers, against what the attacker hands over and holds.


def first_meeting(fingerprint: str) -> list[str]:
    """Say how a new node is led astray. The true charter is 2; charter 1's stewards and witnesses have retired."""
    wrong = []
    offers = {
        "charters 1, 2 (true)": (1, 2, "true"),
        "charter 1 alone, 2 withheld": (1, 1, "true"),
        "parallel charter 1 of other stewards": (9, 9, "parallel"),
        "charter 1 and a false 2": (1, 8, "parallel"),
    }
    for (offer, (root, newest, truth)), retired_stolen in product(offers.items(), (False, True)):
        match = {"none": True, "association id (charter 1)": root == 1, "newest charter": root == 1 and newest == 2}[fingerprint]
        chain_valid = truth == "true" or root == 9 or retired_stolen  # false 2 needs k retired stewards and the old quorum
        quorum_alive = newest != 1 or retired_stolen  # honest old witnesses froze at the handover, so charter 1 goes stale
        if match and chain_valid and quorum_alive and (truth == "parallel" or newest == 1):
            wrong.append(f"{offer}{' with retired keys stolen' if retired_stolen else ''}")
    return wrong


def lifted_suspension(lift_names_suspension: bool) -> list[str]:
    """The hub shows an old suspension again after it was lifted; also before the lift arrives."""
    wrong = []
    for events in (("suspend 1", "lift 1", "suspend 1"), ("lift 1", "suspend 1"), ("suspend 1", "lift 1", "suspend 2")):
        lifted, suspended = set(), set()
        for kind, serial in (e.split() for e in events):
            if kind == "lift":
                lifted.add(serial)
                suspended.clear() if not lift_names_suspension else suspended.discard(serial)
            elif not lift_names_suspension or serial not in lifted:
                suspended.add(serial)
        expected = "suspend 2" in events
        if bool(suspended) != expected:
            wrong.append(" > ".join(events) + ": the member stays suspended by a replay")
    return wrong


def scenarios() -> int:
    """Print the argued checks; return how many cases were enumerated."""
    cases = 0
    print("T4 WITNESS SETS", *witness_bounds(), sep="\n  ")
    print("T4 STEWARD SETS", *steward_bounds(), sep="\n  ")
    print("T4 A STOLEN LOG KEY DIVIDES THE WITNESSES")
    for n, q, f in ((3, 2, 0), (5, 4, 1), (7, 5, 2), (9, 6, 2)):
        total, stuck, unclear, hidden, double = splits(n, q, f)
        cases += total
        assert not hidden and not double
        print(f"  n={n} q={q} f={f}: {total} divisions; ordinary handover stuck in {stuck}; all closings leave two forks possible in "
              f"{unclear}; closings never hid a quorum")
    print("T4 LEVERS OF ONE PARTY")
    assert all(levers(Levers()).values())
    print(f"  all rules on: exchange goes on or resumes in {len(levers(Levers()))} of {len(levers(Levers()))}")
    for field in fields(Levers):
        stopped = [name for name, goes_on in levers(replace(Levers(), **{field.name: False})).items() if not goes_on]
        cases += 9
        print(f"  without {field.name}: stopped for ever by {'; '.join(stopped)}")
    print("T2 RECOVERY WITHOUT AN OLD QUORUM")
    for flags in product((True, False), repeat=3):
        wrong = recovery(*flags)
        cases += 18
        if sum(flags) >= 2:
            off = [n for n, on in zip(("freeze", "extends_own", "largest_view"), flags) if not on]
            print(f"  {'without ' + off[0] if off else 'all rules'}: {'; '.join(wrong[:2]) or 'nothing wrong (an absent node ahead halts, bounded by freshness)'}")
    assert not recovery(True, True, True)
    print("T6 EVIDENCE TIME (stolen and not trusted after 10)")
    for judge in JUDGES:
        forged, proven, unproven = evidence(judge)
        cases += len(evidence_items())
        print(f"  judged by {judge}: {forged} forged accepted, {proven} genuine proven, {unproven} genuine unproven")
    assert evidence("(f+1)-th earliest cosignature on the transit log")[0] == 0
    for rule in ("earliest", "first", "last"):
        print(f"  several revocations, {rule} counts: {'; '.join(several_revocations(rule)) or 'holds'}")
    print("T7 FIRST MEETING, fingerprint covers")
    for fingerprint in ("newest charter", "association id (charter 1)", "none"):
        cases += 8
        print(f"  {fingerprint}: {'; '.join(first_meeting(fingerprint)) or 'holds'}")
    assert not first_meeting("newest charter")
    print("T5 SUSPENSIONS")
    for flag in (True, False):
        cases += 3
        print(f"  lift names its suspension {flag}: {'; '.join(lifted_suspension(flag)) or 'holds'}")
    print("T8 TWO ASSOCIATIONS, SAME OFFICERS")
    for flags in ((True, True), (False, True), (True, False)):
        states, broken = associations(*flags)
        cases += states
        print(f"  association in every signature {flags[0]}, peer's log by the peer's quorum {flags[1]}: {states} states, "
              f"{'breaks ' + ', '.join(sorted(broken)) if broken else 'holds'}")
        for name in sorted(broken):
            tell(0, name, broken[name])
    return cases


def main() -> None:
    quiet, began = "--quiet" in sys.argv, time.time()
    total = searched(quiet) if "--scenarios" not in sys.argv else 0
    cases = scenarios()
    print(f"{total} states searched, {cases} scenario cases, {time.time() - began:.0f} s")


if __name__ == "__main__":
    main()
