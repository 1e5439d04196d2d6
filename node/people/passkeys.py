"""Passkeys (WebAuthn level 3): what the browser is asked, and what its answer proves.

User verification is required, so that a passkey alone is two factors: the device, and its owner's finger, face or PIN.
A challenge is good once, for two minutes; challenges are held in memory, because an answer to one from before a
restart is simply asked for again.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import (
    base64url_to_bytes,
    parse_authentication_credential_json,
    parse_client_data_json,
    parse_registration_credential_json,
)
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from node.people.site import Site
from node.tables.people import Passkey, Person
from protocol.errors import UnauthorizedError

CHALLENGE_SECONDS: Final = 120
MAX_ANSWER_BYTES: Final = 16 * 1024
_CHALLENGES: Final = 1_024
_CHALLENGE_BYTES: Final = 32
_NAME: Final = "Valija"


class Challenges:
    """What was asked and not yet answered; each with the person it was asked of, None where nobody is known yet."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        """None is open."""
        self._open: OrderedDict[bytes, tuple[int | None, float]] = OrderedDict()

    def draw(self, person: int | None, now: float) -> bytes:
        """A fresh challenge for `person`; the oldest is forgotten where there are too many."""
        challenge = secrets.token_bytes(_CHALLENGE_BYTES)
        self._open[challenge] = (person, now + CHALLENGE_SECONDS)
        if len(self._open) > _CHALLENGES:
            self._open.popitem(last=False)
        return challenge

    def take(self, client_data: bytes, person: int | None, now: float) -> bytes:
        """The challenge that this answer names, which is used up; `UnauthorizedError` if it is not open for `person`."""
        challenge = parse_client_data_json(client_data).challenge
        asked, until = self._open.pop(challenge, (None, 0.0))
        if until < now or asked != person:
            raise UnauthorizedError("the answer came too late: try again")
        return challenge


def registration(site: Site, person: Person, have: Sequence[Passkey], challenge: bytes) -> str:
    """What the browser is asked when a passkey is made: PublicKeyCredentialCreationOptions, in JSON."""
    options = generate_registration_options(
        rp_id=site.host,
        rp_name=_NAME,
        user_id=person.id.to_bytes(8, "big"),
        user_name=person.login,
        user_display_name=person.name,
        challenge=challenge,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=each.id) for each in have],
    )
    return options_to_json(options)


def registered(
    site: Site, person: Person, label: str, answer: dict[str, Any], challenges: Challenges, now: float
) -> Passkey:
    """The passkey that the browser made; `UnauthorizedError` for an answer that proves none."""
    try:
        credential = parse_registration_credential_json(answer)
        challenge = challenges.take(credential.response.client_data_json, person.id, now)
        made = verify_registration_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError) as error:
        raise UnauthorizedError(f"no passkey: {type(error).__name__}") from None
    return Passkey(made.credential_id, person.id, made.credential_public_key, made.sign_count, label, int(now), None)


def login(site: Site, challenge: bytes) -> str:
    """What the browser is asked when somebody logs in, whoever it is: PublicKeyCredentialRequestOptions, in JSON."""
    options = generate_authentication_options(
        rp_id=site.host, challenge=challenge, user_verification=UserVerificationRequirement.REQUIRED
    )
    return options_to_json(options)


def credential_id(answer: dict[str, Any]) -> bytes:
    """Which passkey an answer names; `UnauthorizedError` if it names none."""
    try:
        return base64url_to_bytes(str(answer["id"]))
    except (KeyError, ValueError):
        raise UnauthorizedError("no passkey") from None


def proven(site: Site, key: Passkey, answer: dict[str, Any], challenges: Challenges, now: float) -> int:
    """The passkey's count of uses, if the answer proves that it is there with its owner; else `UnauthorizedError`."""
    try:
        credential = parse_authentication_credential_json(answer)
        challenge = challenges.take(credential.response.client_data_json, None, now)
        return verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            credential_public_key=key.public_key,
            credential_current_sign_count=key.sign_count,
            require_user_verification=True,
        ).new_sign_count
    except (WebAuthnException, ValueError, KeyError, TypeError) as error:
        raise UnauthorizedError(f"no passkey: {type(error).__name__}") from None
