"""The commands of valija-hub by which a running hub is steered, and its console's operators are made."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from hub.client import Hub
from hub.config import Home
from hub.console import home_option
from hub.operators import Role
from keys import passwords
from keys.console import FILE, answer, ask_secret, json_option, read_passphrase, strong
from protocol.limits import MIB

_ISSUED_BY: Final = "hub"


def _told(folder: Path, path: str, body: dict[str, Any]) -> None:
    Hub.at_home(Home(folder)).post(path, body)


@click.command()
@home_option
@click.option("--undo", is_flag=True, help="Let members in again.")
@json_option
def drain(*, folder: Path, undo: bool) -> None:
    """Let nobody in any more, and tell every node to come later; what waits stays.

    It ends with --undo, or when the hub is started again.
    """
    _told(folder, "/steer/reopen" if undo else "/steer/drain", {})
    answer({"draining": not undo}, ["Members are let in." if undo else "The hub drains: nobody is let in."])


@click.command()
@home_option
@click.argument("member")
@json_option
def suspend(*, folder: Path, member: str) -> None:
    """Hand out nothing to MEMBER until `resume`; others may go on writing to it within its quota."""
    _told(folder, "/steer/suspend", {"member": member})
    answer({"member": member, "suspended": True}, [f"Delivery to {member} is suspended."])


@click.command()
@home_option
@click.argument("member")
@json_option
def resume(*, folder: Path, member: str) -> None:
    """Deliver to MEMBER again."""
    _told(folder, "/steer/resume", {"member": member})
    answer({"member": member, "suspended": False}, [f"Delivery to {member} goes on."])


@click.command()
@home_option
@click.argument("member")
@click.option("--messages", type=click.IntRange(1), help="How many messages the mailbox may hold.")
@click.option("--mib", type=click.IntRange(1), help="How many MiB it may hold.")
@click.option("--charter", is_flag=True, help="Both as the charter says.")
@json_option
def quota(*, folder: Path, member: str, messages: int | None, mib: int | None, charter: bool) -> None:
    """Change what the mailbox of MEMBER may hold; what is not named is as the charter says."""
    if charter == (messages is not None or mib is not None):
        raise click.UsageError("Say --messages, --mib or both; or --charter.")
    size = None if mib is None else mib * MIB
    _told(folder, "/steer/quota", {"member": member, "messages": messages, "bytes": size})
    said = [f"{messages} messages" if messages else "", f"{mib} MiB" if mib else ""]
    limits = " and ".join(each for each in said if each) or "what the charter says"
    answer({"member": member, "messages": messages, "bytes": size}, [f"The mailbox of {member} may hold {limits}."])


# -- operators -------------------------------------------------------------------------------------------
@click.group()
def operators() -> None:
    """Say who may use the console of a running hub."""


@operators.command("add")
@home_option
@click.argument("login")
@click.option(
    "--role", type=click.Choice([each.value for each in Role]), default=Role.OPERATOR.value, show_default=True,
    help="Operators act, viewers look.",
)  # fmt: skip
@click.option("--password-file", type=FILE, help="File whose first line is the password; without it you are asked.")
@json_option
def add_operator(*, folder: Path, login: str, role: str, password_file: Path | None) -> None:
    """Let LOGIN use the console, with a password and the codes of an authenticator application.

    The key of the codes is shown once: put it into the application at once.
    """
    password = _password(login, password_file)
    passwords.check_password(password, login)
    totp = passwords.draw_totp()
    body = {"login": login, "role": role, "password": passwords.hash_password(password), "totp": totp}
    _told(folder, "/operators/add", body)
    uri = passwords.totp_uri(totp, login, _ISSUED_BY)
    answer(
        {"login": login, "role": role, "totp": totp, "uri": uri},
        [
            strong(f"{login} may log in at the console as {role}."),
            f"  key of the time codes  {totp}",
            f"  for the application    {uri}",
        ],
    )


def _password(login: str, file: Path | None) -> str:
    if file is not None:
        return read_passphrase(file).text
    return ask_secret(f"Password of {login}", "--password-file FILE", twice=True)


@operators.command("list")
@home_option
@json_option
def list_operators(*, folder: Path) -> None:
    """Show who may use the console."""
    told = Hub.at_home(Home(folder)).get("/operators")
    lines = [f"{each['login']:<32} {each['role']}" for each in told["operators"]]
    answer(told, lines or ["Nobody yet: valija-hub operators add LOGIN"])


@operators.command("remove")
@home_option
@click.argument("login")
@json_option
def remove_operator(*, folder: Path, login: str) -> None:
    """Let LOGIN use the console no more; an open session of theirs ends."""
    _told(folder, "/operators/remove", {"login": login})
    answer({"login": login}, [f"{login} may log in no more."])


COMMANDS: Final = (drain, suspend, resume, quota, operators)
