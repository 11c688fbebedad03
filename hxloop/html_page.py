"""A report as one HTML file that opens anywhere: pictures inside, no scripts."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CSS = """
body{font:16px/1.5 system-ui,sans-serif;color:#222;background:#fff;margin:0}
main{max-width:60rem;margin:2rem auto;padding:0 1rem}h1{font-size:1.6rem;margin-bottom:0}
h2{font-size:1.15rem;margin:2.2rem 0 .2rem;border-top:1px solid #ddd;padding-top:1rem}
p{color:#555;margin:.2rem 0 .8rem;max-width:46rem}.lead{font-size:1.05rem;margin-bottom:1.2rem}
img{max-width:100%}table{border-collapse:collapse}th{text-align:left;padding:.15rem 1.5rem .15rem 0;
font-weight:600;vertical-align:top;white-space:nowrap}tr:first-child td{font-weight:600}
details{margin-top:1rem}pre{background:#f6f6f6;padding:1rem;overflow:auto;font-size:13px}
"""


def escape(text: object) -> str:
    """Text as it may stand in HTML."""
    return html.escape(str(text))


def rows_table(rows: Sequence[tuple[str, str]]) -> str:
    """A table of labels and texts."""
    cells = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in rows)
    return f"<table>{cells}</table>"


def picture(figure: Figure, name: str) -> str:
    """A figure as an image within the page."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    data = base64.b64encode(buffer.getvalue()).decode()
    return f"<img alt='{html.escape(name)}' src='data:image/png;base64,{data}'>"


def page(
    title: str,
    lead: str,
    summary: Sequence[tuple[str, str]],
    sections: Iterable[tuple[str, str, str]],
    details: Iterable[tuple[str, str]] = (),
) -> str:
    """The whole page.

    Args:
        title, lead: heading, and a line below it.
        summary: rows (label, text) shown first.
        sections: heading, a line of explanation, HTML of what it shows.
        details: heading and text of what is folded up at the end.
    """
    body = "".join(
        f"<section><h2>{escape(name)}</h2><p>{escape(text)}</p>{content}</section>"
        for name, text, content in sections
    )
    folded = "".join(
        f"<details><summary>{escape(name)}</summary><pre>{escape(text)}</pre></details>"
        for name, text in details
    )
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{_CSS}</style></head><body><main>"
        f"<h1>{escape(title)}</h1><p class='lead'>{escape(lead)}</p>"
        f"{rows_table(summary)}{body}{folded}</main></body></html>"
    )
