"""HTML pages of one file: the skeleton and the look that all reports share."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hxloop.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart by colour-blind readers, too; and a grey to go with it.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
SKY, VERMILION, YELLOW, BLACK = "#56B4E9", "#D55E00", "#F0E442", "#000000"
GREY = "#999999"


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        title: its heading, plain text.
        text: what is seen, plain text; a paragraph below the heading.
        body: HTML.
        anchor: where links to it lead to; empty = nowhere.
    """

    title: str
    text: str
    body: str
    anchor: str = ""


def escape(text: object) -> str:
    """Plain text as HTML; the index of τ_syn is set low."""
    return html.escape(printable(str(text))).replace("τ_syn", "τ<sub>syn</sub>")


def page(
    title: str,
    description: str,
    *,
    rows: Iterable[tuple[str, str]] = (),
    lead: str = "",
    sections: Sequence[Section],
    details: Mapping[str, str] | None = None,
    style: str = "",
    scripts: str = "",
) -> str:
    """A complete page.

    Args:
        title: heading, plain text.
        description: a line below it, plain text.
        rows: (label, text) of a table shown first.
        lead: HTML between the table and the sections.
        sections: in order.
        details: heading and plain text of what is folded away at the end.
        style: CSS on top of the shared one.
        scripts: HTML at the end of the body.
    """
    table = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in rows)
    folded = "".join(
        f"<details><summary>{escape(name)}</summary><pre>{escape(text)}</pre></details>"
        for name, text in (details or {}).items()
    )
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{html.escape(title)}</title><style>{_CSS}{style}</style></head><body><main>"
        f"<h1>{escape(title)}</h1><p class='lead'>{escape(description)}</p>"
        + (f"<table>{table}</table>" if table else "")
        + lead
        + "".join(map(_section, sections))
        + f"{folded}</main>{scripts}</body></html>"
    )


def picture(figure: Figure, name: str) -> str:
    """A matplotlib figure within the page."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    data = base64.b64encode(buffer.getvalue()).decode()
    alt = html.escape(name)
    return f"<div class='picture'><img alt='{alt}' src='data:image/png;base64,{data}'></div>"


def script_data(name: str, content: Any) -> str:
    """JSON within the page, to be read by a script from the element of that id."""
    # "</script>" in a text would end the element.
    text = json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return f"<script type='application/json' id='{html.escape(name)}'>{text}</script>"


def _section(section: Section) -> str:
    anchor = f" id='{escape(section.anchor)}'" if section.anchor else ""
    text = f"<p>{escape(section.text)}</p>" if section.text else ""
    return f"<section{anchor}><h2>{escape(section.title)}</h2>{text}{section.body}</section>"


_CSS = """
body{font:16px/1.5 system-ui,sans-serif;color:#222;background:#fff;margin:0}
main{max-width:60rem;margin:2rem auto;padding:0 1rem}h1{font-size:1.6rem;margin-bottom:0}
h2{font-size:1.15rem;margin:2.2rem 0 .2rem;border-top:1px solid #ddd;padding-top:1rem}
p{color:#555;margin:.2rem 0 .8rem;max-width:46rem}.lead{font-size:1.05rem;margin-bottom:1.2rem}
img{max-width:100%}.picture{overflow-x:auto}td{overflow-wrap:anywhere}
table{border-collapse:collapse}th{text-align:left;padding:.15rem 1.5rem .15rem 0;
font-weight:600;vertical-align:top;white-space:nowrap}tr:first-child td{font-weight:600}
sub{font-size:.75em;line-height:0}details{margin-top:1rem}pre{background:#f6f6f6;padding:1rem;overflow:auto;font-size:13px}
@media(max-width:600px){.picture img{max-width:42rem}
th{white-space:normal;padding-right:.8rem}}
"""
