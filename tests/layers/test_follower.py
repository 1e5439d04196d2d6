"""The layering test can fail: on a made-up house, each kind of wrong import is found, and only that."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.layers import follower, test_layers

SOUND = {
    "protocol/__init__.py": "",
    "protocol/errors.py": "",
    "protocol/codec.py": "import struct\nfrom protocol.errors import ValijaError\n",
    "protocol/signing.py": "import secrets\nfrom protocol import codec\nkey = secrets.token_bytes(32)\n",
    "protocol/sealing.py": "import os\nfrom protocol import codec\nkey = os.urandom(32)\n",
    "keys/__init__.py": "",
    "keys/vault.py": "from protocol import codec\n",
    "keys/signer.py": "from keys import vault\nfrom protocol import signing\n",
    "keys/prekeys.py": "from protocol import sealing\n",
    "hub/__init__.py": "",
    "hub/relay.py": "from keys.signer import sign\nfrom protocol import codec\n",
    "node/__init__.py": "",
    "node/courier.py": "import asyncio\nfrom keys import prekeys\nfrom protocol.sealing import seal\n",
}


def house(root: Path, **changed: str) -> dict[str, follower.Module]:
    """Build the sound house with some files changed, `hub__relay` standing for hub/relay.py, and read it."""
    for name, text in {**SOUND, **{f"{k.replace('__', '/')}.py": v for k, v in changed.items()}}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return follower.read(root, test_layers.ROOMS)


def findings(modules: dict[str, follower.Module]) -> list[str]:
    """Everything that any rule has to say."""
    reached = [
        way
        for room, places in (("hub", (*test_layers.OPENERS, "node")), ("node", ("hub",)), ("keys", ("hub", "node")))
        for way in test_layers.wrong_reach(modules, room, places)
    ]
    circles = ["circle: " + " -> ".join(circle) for circle in follower.cycles(modules)]
    pure = test_layers.impurities(modules)
    return test_layers.wrong_edges(modules) + reached + pure + test_layers.hidden_imports(modules) + circles


def test_a_sound_house_passes(tmp_path: Path) -> None:
    assert findings(house(tmp_path)) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"protocol__codec": "import keys.vault\n"}, "protocol.codec imports keys.vault"),
        ({"protocol__codec": "def f():\n    from hub import relay\n"}, "protocol.codec imports hub.relay"),
        ({"keys__vault": "from hub import relay\n"}, "keys.vault imports hub.relay"),
        ({"hub__relay": "from node import courier\n"}, "hub.relay imports node.courier"),
        ({"node__courier": "import hub.relay as r\n"}, "node.courier imports hub.relay"),
        ({"node__courier": "from hub.relay import *\n"}, "node.courier imports hub.relay"),
        ({"hub__relay": "from keys import prekeys\n"}, "hub.relay imports keys.prekeys"),
        ({"hub__relay": "from keys.prekeys import open_one\n"}, "hub.relay imports keys.prekeys"),
        ({"hub__relay": "from protocol import sealing\n"}, "hub.relay -> protocol.sealing"),
        ({"hub__relay": "if TYPE_CHECKING:\n    from protocol.sealing import X\n"}, "hub.relay -> protocol.sealing"),
        (
            {"keys__vault": "from protocol import sealing\n"},
            "hub.relay -> keys.signer -> keys.vault -> protocol.sealing",
        ),
        ({"keys__signer": "from . import prekeys\n"}, "hub.relay -> keys.signer -> keys.prekeys"),
        ({"protocol__codec": "import time\n"}, "protocol.codec imports time"),
        ({"protocol__codec": "from os import urandom\n"}, "protocol.codec imports os.urandom"),
        ({"protocol__codec": "import asyncio.events\n"}, "protocol.codec imports asyncio.events"),
        ({"protocol__sealing": "import socket\n"}, "protocol.sealing imports socket"),
        ({"protocol__codec": "from nacl.utils import random\n"}, "protocol.codec imports nacl.utils.random"),
        ({"protocol__codec": "key = Ed25519PrivateKey.generate()\n"}, "protocol.codec:1 calls .generate"),
        ({"protocol__codec": "at = datetime.now(UTC)\n"}, "protocol.codec:1 calls .now"),
        ({"protocol__signing": "text = open('x').read()\n"}, "protocol.signing:1 calls open"),
        (
            {"hub__relay": "import importlib\nimportlib.import_module('no' + 'de')\n"},
            "hub.relay:2 calls .import_module",
        ),
        ({"hub__relay": "__import__('node.courier')\n"}, "hub.relay:1 calls __import__"),
        (
            {"protocol__errors": "from protocol import codec\n"},
            "circle: protocol.codec -> protocol.errors -> protocol.codec",
        ),
    ],
)
def test_each_wrong_import_is_found(tmp_path: Path, changed: dict[str, str], said: str) -> None:
    assert said in findings(house(tmp_path, **changed))


def test_paths_are_the_shortest(tmp_path: Path) -> None:
    modules = house(tmp_path, hub__sessions="from hub import relay\nfrom keys import signer\n")
    assert follower.reach(modules, "hub.sessions")["keys.vault"] == ["hub.sessions", "keys.signer", "keys.vault"]
