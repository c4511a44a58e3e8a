"""Explanations of images as an HTML page: pictures and heat maps side by side, all within one file."""

from html import escape

from bigmodel_jax.explanations.answers import Answer, Meaning, completeness, headline
from bigmodel_jax.explanations.page import ExplanationPage, bars
from bigmodel_jax.explanations.pictures import PictureExplanation, data_uri, drawn, in_colour

COARSE = 128  # pixels of a picture's side, below which they are shown as squares


class PicturePage(ExplanationPage):
    """Of explanations/pictures.py's; see ExplanationPage."""

    policy = "img-src data:; "
    legend = """<p class="weak"><b>What each pixel adds</b>: integrated gradients (Sundararajan et al. 2017),
on the way from a picture that has the mean colour of the training images everywhere to this one. The numbers of all
pixels add up to the difference that they make together: within 1% of it or, where large numbers cancel, within 0.1%
of the sum of their sizes, unless the last line of a picture says otherwise. <b>Grad-CAM</b> (Selvaraju et al. 2017),
of a model with maps: which places of the last one speak for the label, next to the strongest. <b>Attention rollout</b>
(Abnar and Zuidema 2020), of a vision transformer, in purple: which patches the attention of all layers leads to,
whatever for, from the least to the most. <b>What it loses without a patch</b> (Zeiler and Fergus 2014): the patch
in the mean colour, moved over the picture; blue where the answer falls.</p>
"""

    def section(self, answer: Answer, number: int) -> str:
        return section(answer, self._meaning, number)


def section(answer: Answer, meaning: Meaning, number: int) -> str:
    """The answer, the picture and its maps, the probabilities, how exact they are."""
    found = answer.explanation
    assert isinstance(found, PictureExplanation)
    coarse = ' class="coarse"' if min(found.image.shape[:2]) < COARSE else ""
    figures = "".join(
        f'<figure><img{coarse} src="{data_uri(pixels)}" alt="{escape(what)}">'
        f"<figcaption>{escape(what)}</figcaption></figure>\n"
        for what, pixels in drawn(found).items()
    )
    return (
        f"<section>\n<h2>{number}. {escape(headline(answer, meaning))}</h2>\n"
        f'<p class="weak">{escape(str(answer.text))}</p>\n'
        f'<p class="weak">What speaks for and against <b>{escape(found.name)}</b>:</p>\n'
        f'<div class="pictures">\n{figures}{bars(answer, meaning)}</div>\n'
        f'<p class="weak">{escape(completeness(found))}</p>\n{_near(answer, coarse)}</section>\n'
    )


def _near(answer, coarse):
    """The training examples that are most like it, side by side."""
    if not answer.neighbours:
        return ""
    figures = "".join(
        f'<figure class="small"><img{coarse} src="{data_uri(in_colour(near.example))}" alt="{escape(near.label)}">'
        f"<figcaption>{escape(near.label)} {near.similarity:.3f}</figcaption></figure>\n"
        for near in answer.neighbours
    )
    return (
        '<p class="weak">The nearest training examples, their labels and cosines:</p>\n'
        f'<div class="pictures">\n{figures}</div>\n'
    )
