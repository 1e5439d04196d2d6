"""How the vectors of sessions are read."""

from tests.spec_reader.cases_base import Case, key, unhex, value_of
from tests.spec_reader.frames import read_frame
from tests.spec_reader.handshake import Certified, World, agree
from tests.spec_reader.session import HUB, NODE, Session
from tests.spec_reader.wire import encode


def frames(_: Case, case: Case) -> None:
    raw = unhex(case["encoded"])
    frame = read_frame(raw)
    assert [frame.type, *frame.fields] == value_of(case["value"])
    assert encode(value_of(case["value"])) == raw


def session(file: Case, case: Case) -> None:
    valid = file["valid"][0]
    said = [(NODE, valid["client_hello"]), (HUB, valid["server_hello"])]
    said += [(message["from"], message["message"]) for message in valid["messages"]]
    held = _session(file)
    after = case.get("after", len(said))
    heard = [held.hear(sender, unhex(message)) for sender, message in said[:after]]
    if "after" in case:
        held.hear(said[after][0], unhex(case["message"]))
        return
    for frame, expected in zip(heard[2:], valid["messages"], strict=True):
        assert frame is not None
        assert encode([frame.type, *frame.fields]).hex() == expected["plaintext"]
    _check_keys(file, case, held)


def _session(file: Case) -> Session:
    certificates = {
        unhex(known["id"]): Certified(known["role"], known["member"], key(known["public"]))
        for known in file["certificates"]
    }
    world = World(unhex(file["association"]), file["members"], certificates)
    secrets = {NODE: unhex(file["node"]["x25519_secret"]), HUB: unhex(file["hub"]["x25519_secret"])}
    return Session(world, {NODE: file["now"], HUB: file["now"] + 5}, secrets)


def _check_keys(file: Case, case: Case, held: Session) -> None:
    assert held.keys is not None
    assert [part.hex() for part in held.keys] == [case[part] for part in ("shared", "transcript", "k_node", "k_hub")]
    hellos = unhex(case["client_hello"]), unhex(case["server_hello"])
    assert agree(unhex(file["hub"]["x25519_secret"]), unhex(file["node"]["x25519_share"]), *hellos) == held.keys
