"""The one exception of this reader: a refusal with an error code of SPEC 13."""

from typing import NoReturn


class Refused(Exception):  # noqa: N818 - it is what the specification calls it
    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code = code


def refuse(code: str, detail: str = "") -> NoReturn:
    raise Refused(code, detail)


def require(holds: object, code: str = "malformed", detail: str = "") -> None:
    if not holds:
        raise Refused(code, detail)
