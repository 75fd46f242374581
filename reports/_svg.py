"""Figures as SVG that lives inside a page: own ids, colours from the page, no reference to the outside."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from reports._colours import CONTROL, LIGHT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Colours a figure is drawn in, and the variables of the page that stand for them in light and in dark.
INK, MUTED, RULE, PAPER = "#1b1d20", "#5d636b", "#dcdee1", "#fdfdfc"
_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    PAPER: "var(--paper)",
    CONTROL: "var(--control)",
    **{hue: f"var(--s{slot})" for slot, hue in enumerate(LIGHT)},
}


def inline_svg(figure: Figure, name: str, label: str) -> str:
    """The figure as one ``<svg>`` element. ``name`` is unique on its page; ``label`` is read aloud."""
    import matplotlib as mpl

    buffer = io.StringIO()
    # Text stays text, in the page's own letters; the salt makes the same figure the same bytes every time.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}), any_letters():
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Inside the tags alone: a generator may be called #0072b2.
    text = re.sub(r"<[^>]*>", lambda tag: _adapted(tag[0], name), text)
    escaped = label.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return text.replace("<svg", f'<svg role="img" aria-label="{escaped}"', 1)


@contextmanager
def any_letters() -> Iterator[None]:
    """Draw names in any script: letters that matplotlib's font lacks are boxes in a PNG, and whole on a page."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        warnings.filterwarnings("ignore", "Matplotlib currently does not support .* natively")
        yield


def _adapted(tag: str, name: str) -> str:
    """A tag for the page: its colours, and ids that start with the figure's name, since each figure has an axes_1."""
    tag = re.sub(r' xmlns(:\w+)?="[^"]*"', "", tag).replace("xlink:href", "href")
    tag = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', tag)
    tag = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", tag)
    tag = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', tag)
    return re.sub(r"#[0-9a-f]{6}\b", lambda match: _VARIABLES.get(match[0], match[0]), tag)
