"""Signs that a telephone reads: QR codes, drawn into the page."""

from __future__ import annotations

import io

import segno
from markupsafe import Markup


def qr_code(text: str) -> Markup:
    """`text` as a QR code in SVG, dark on white whatever the theme, to stand in a page."""
    drawn = io.BytesIO()
    # Of `text` the drawing holds nothing but dark and light modules.
    segno.make(text, error="m", micro=False).save(
        drawn, kind="svg", scale=4, border=4, dark="#000", light="#fff", xmldecl=False, svgns=True, nl=False
    )
    return Markup(drawn.getvalue().decode("ascii"))  # noqa: S704 - drawn here, see above
