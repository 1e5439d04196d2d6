"""SPEC 11: a session as both of its ends hear it, from the first hello to Close."""

from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.spec_reader import frames
from tests.spec_reader.frames import Frame, read_frame
from tests.spec_reader.handshake import Hello, Keys, World, agree, check_finish, hear_client_hello, hear_server_hello
from tests.spec_reader.refusal import refuse, require
from tests.spec_reader.traffic import Traffic

NODE, HUB = "node", "hub"
_OF_NODE = {frames.SUBMIT, frames.ACKNOWLEDGE, frames.RECALL, frames.PUBLISH, frames.LOOKUP, frames.CLOSE}
_OF_HUB = {frames.RESULTS, frames.DELIVER, frames.RECALLED, frames.PUBLISHED, frames.CALENDARS, frames.REGISTRY}


@dataclass
class Session:
    world: World
    clocks: dict[str, int]
    secrets: dict[str, bytes]
    heard: list[bytes] = field(default_factory=list)
    hellos: list[Hello] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=lambda: {NODE: 0, HUB: 0})
    keys: Keys | None = None
    traffic: Traffic = field(default_factory=Traffic)
    closed: bool = False

    def hear(self, sender: str, message: bytes) -> Frame | None:
        """The next message, heard by the other end; nil for a hello."""
        frame = None
        if self.keys is None:
            self._hello(message)
        else:
            frame = self._frame(sender, message, self.keys)
        self.heard.append(message)
        return frame

    def _hello(self, message: bytes) -> None:
        if not self.heard:
            self.hellos.append(hear_client_hello(message, self.world, self.clocks[HUB], self.secrets[HUB]))
            return
        hello = hear_server_hello(message, self.heard[0], self.world, self.clocks[NODE], self.secrets[NODE])
        self.keys = agree(self.secrets[NODE], hello.share, self.heard[0], message)

    def _frame(self, sender: str, message: bytes, keys: Keys) -> Frame:
        require(not self.closed, "replayed", "after Close")
        require(len(message) <= frames.FRAME, "limit_exceeded", "message")
        frame = read_frame(self._decrypt(sender, message, keys))
        self._turn(sender, frame, keys)
        self.counters[sender] += 1
        return frame

    def _decrypt(self, sender: str, message: bytes, keys: Keys) -> bytes:
        key = keys.node if sender == NODE else keys.hub
        try:
            return AESGCM(key).decrypt(self.counters[sender].to_bytes(12, "big"), message, None)
        except (InvalidTag, ValueError):
            refuse("bad_frame")

    def _turn(self, sender: str, frame: Frame, keys: Keys) -> None:
        if frame.type == frames.CLOSE:
            self.closed = True
        elif self.counters[NODE] == 0:
            require(sender == NODE, "replayed", "a frame before Finish")
            key = self.world.certificates[self.hellos[0].certificate].key
            check_finish(frame, key, self.world.association, keys.transcript)
        elif self.counters[HUB] == 0:
            require(sender == HUB and frame.type == frames.WELCOME, "replayed", "a frame before Welcome")
            self.traffic.welcome(frame.fields)
        else:
            require(frame.type in (_OF_NODE if sender == NODE else _OF_HUB), "replayed", "direction")
            self.traffic.pass_on(frame)
