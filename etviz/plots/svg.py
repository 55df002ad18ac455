"""A figure as SVG that suits light and dark pages."""

import io

import matplotlib
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from etviz.plots.style import INK

INK_DARK = "#e8e6e1"  # ink on a dark page
STYLE = f"<style>svg{{color:{INK}}}@media(prefers-color-scheme:dark){{svg{{color:{INK_DARK}}}}}</style>"
BLACK = "#000000"  # matplotlib's own ink


def svg_bytes(figure: Figure) -> bytes:
    """The figure as an SVG file without a background, whose ink follows the reader's colour scheme.

    The same figure gives the same bytes: there is no date in it, and its ids are not drawn at random. Images keep their
    own pixels, with sharp edges at any size.
    """
    for image in figure.findobj(AxesImage):
        if image.get_interpolation() == "nearest":
            image.set_interpolation("none")  # the same to look at; a vector file then holds 32x32 and not 190x190
    file = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "etviz", "svg.fonttype": "path"}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    drawing = file.getvalue().replace(INK, "currentColor").replace(BLACK, "currentColor")
    return drawing.replace("<defs>", f"{STYLE}<defs>", 1).encode()
