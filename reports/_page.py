"""What every page has: its look, its words, and where it lies."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from reports._cells import (
    ARROWS,
    DIRECTIONS,
    TIERS,
    describe,
    explain,
    legend,
    letters,
    mark,
    place_and_tier,
    place_text,
    scale_of,
    show,
    tiers_at_a_glance,
)
from reports._colours import CONTROL, DARK, LIGHT
from reports._content import MOST_NAMED, listed
from reports._escaping import ENTRY, LISTING, LONG_NAME, NAME, SHORT_NAME, TIP, WHOLE, ending, visible
from reports._figures import BARS
from reports._numbers import duration
from reports._svg import inline_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HERE = Path(__file__).parent


def rendered(template: str, *, script: str = "", **given: Any) -> str:
    """A page as text: self-contained, for paper and for the dark, and with no other script than this."""
    # The palette as CSS variables, for both grounds.
    light, dark = ("".join(f"--s{slot}:{hue};" for slot, hue in enumerate(hues)) for hues in (LIGHT, DARK))
    by_night = f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"
    colours = f":root{{--control:{CONTROL};{light}}}\n{by_night}\n"
    return (
        _environment()
        .get_template(template)
        .render(
            style=Markup(colours + (_HERE / "page.css").read_text(encoding="utf-8")),
            script=Markup(script),
            script_hash=in_base64(hashlib.sha256(script.encode()).digest()),
            hues=len(LIGHT),
            **given,
        )
    )


def address(dataset: str, *names: str) -> str:
    """The file of a page about these, of names that may be anything: under ``pages/``, beside the index."""
    told = "-".join(re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")[:40] for name in (dataset, *names))
    return f"{told}-{hashlib.sha256(repr((dataset, names)).encode('utf-8', 'surrogatepass')).hexdigest()[:8]}.html"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(listed=listed, base64=in_base64, cut=cut, name_tag=name_tag, ending=ending)
    environment.filters.update(letters=letters, tiers_at_a_glance=tiers_at_a_glance)
    environment.globals.update(duration=duration, place_text=place_text, place_and_tier=place_and_tier, bars=BARS)
    environment.globals.update(show=show, mark=mark, explain=explain, describe=describe, scale_of=scale_of)
    environment.globals.update(arrows=ARROWS, directions=DIRECTIONS, tiers=TIERS, legend=legend, MOST_NAMED=MOST_NAMED)
    environment.globals.update(SHORT_NAME=SHORT_NAME, LONG_NAME=LONG_NAME, TIP=TIP, ENTRY=ENTRY, LISTING=LISTING)
    return environment


def in_base64(data: bytes) -> Markup:
    return Markup(base64.b64encode(data).decode())


def _finalize(value: Any) -> Any:
    """What every expression of the page goes through before it is escaped: nothing acts, nothing is endless."""
    return visible(value, WHOLE, keep="\n\t") if isinstance(value, str) and not isinstance(value, Markup) else value


def cut(value: str, longest: int = NAME) -> str:
    """The beginning of a text that may have any length."""
    return visible(value, longest, keep="\n\t")


def name_tag(name: str, longest: int = NAME, breaks: bool = False) -> Markup:
    """A name; of a long one the beginning, and the rest where the pointer rests. breaks: lines may end within it."""
    shown = escape(visible(name, longest, keep=""))
    if breaks:
        shown = Markup("<wbr>").join(pieces(visible(name, longest, keep="")))
    if len(name) <= longest:
        return shown
    return Markup('<span title="{}">{}</span>').format(visible(name, TIP, keep=""), shown)


def pieces(name: str) -> list[str]:
    """The parts of the name of a measure between which a line may end: ``seconds_``, ``to:``, ``fd<=``, ``20``."""
    return re.split("(?<=[_:=/-])(?!$)", name)


def drawn(figure: Figure | None, name: str, label: str) -> Markup | None:
    return Markup(inline_svg(figure, name, label)) if figure else None
