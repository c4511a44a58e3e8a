"""Generated reviews in which word order matters, with a known Bayes accuracy; not real data.

For quick starts, tests and benchmarks where no data set is at hand. A review has sentences that
decide nothing (where it was seen, what others think of it) and one, three or five in which the
author judges an aspect. Its true label is the majority of those judgements:

    negation     "the plot was never dull" is good, "I did not enjoy the pacing" is bad
    contrast     of "X, but Y" and "although X, Y" only Y counts
    attribution  "my brother hated the ending" is his opinion: only the author's counts

So the same words make both labels, and a bag of words stays well below what reading in order
reaches. The label given is the true one, flipped with probability `noise`: as the text determines
the true one, no classifier has an expected accuracy above `bayes_accuracy = 1 - noise`.
"""

from bigmodel_jax.data.generated import Generated, Random
from bigmodel_jax.errors import UserError

VERSION = 1  # to be raised when the text of any review changes: it is part of the fingerprint


def _list(text: str) -> tuple[str, ...]:
    return tuple(text.split("|"))


ASPECTS = _list(
    "plot|ending|acting|music|pacing|dialogue|story|script|camera work|opening|cast|humour|"
    "lighting|sound|direction|final act|soundtrack|villain|editing|costume design"
)
ADJECTIVES = (  # bad, good
    _list(
        "dull|awful|terrible|clumsy|boring|weak|shallow|dreadful|lifeless|predictable|messy|"
        "painful|silly|tedious|bland|annoying|forgettable|sloppy|hollow|wooden"
    ),
    _list(
        "brilliant|superb|wonderful|clever|gripping|strong|moving|delightful|lively|original|"
        "elegant|charming|witty|thrilling|rich|refreshing|memorable|polished|honest|perfect"
    ),
)
VERBS = (  # (past, infinitive): bad, good
    (("hated", "hate"), ("disliked", "dislike"), ("loathed", "loathe"), ("regretted", "regret")),
    (("loved", "love"), ("enjoyed", "enjoy"), ("adored", "adore"), ("admired", "admire")),
)
DEGREES = ("", "", "", "really ", "quite ", "simply ", "truly ", "rather ")
PEOPLE = _list(
    "my brother|my sister|my neighbour|a colleague|my best friend|the critic next to me|my father|"
    "the man behind us|my old teacher|every newspaper|my daughter|the whole row"
)
ITEMS = _list("film|movie|picture|feature|drama|comedy|thriller|sequel|remake|documentary")
PLACES = _list("on a plane|at home|in a small cinema|at a festival|on a rainy evening|with friends")
MONTHS = _list("January|March|April|June|July|September|October|December")
FACTS = (
    "I saw this {item} {place} last {month}.",
    "The {item} runs for about {number} minutes and has {number} songs.",
    "It was shot in {month} by a crew of {number} people.",
    "The {aspect} comes from the same people as the one of the first {item}.",
    "There is a long scene about {number} minutes in, and then the {aspect} changes.",
    "We watched it {place}, some {number} rows from the screen.",
    "It is the third {item} of its director, who also wrote the book.",
    "Tickets cost {number} dollars, and the next {item} began right after.",
)


class Reader(Generated):
    """Generated reviews with a train and a test split, balanced in expectation.

    Args:
        train_size: examples in train.
        test_size: examples in test.
        seed: of everything; example i of a split is a function of (seed, split, i) alone.
        noise: the probability that a label is flipped.
    """

    name = "synthetic_reviews"
    label_names = ("neg", "pos")

    def __init__(
        self,
        train_size: int = 20_000,
        test_size: int = 5_000,
        seed: int = 0,
        noise: float = 0.05,
        data_dir: str | None = None,
    ):
        del data_dir  # for prepared data sets
        if train_size < 1 or test_size < 1 or not 0 <= noise < 0.5:
            raise UserError(
                f"synthetic_reviews needs sizes of at least 1 (here {train_size} and {test_size}) "
                f"and a noise of at least 0 and less than 0.5 (here {noise})."
            )
        super().__init__(VERSION, {"train": train_size, "test": test_size}, seed, noise)
        self.noise = noise
        self.bayes_accuracy = 1 - noise

    def example(self, rng: Random) -> dict:
        """{"text": str, "label": int}."""
        truth = rng.below(2)
        text = review(rng, truth)
        return {"text": text, "label": 1 - truth if rng.chance(self.noise) else truth}


def review(rng: Random, truth: int) -> str:
    """A review of about 15 to 150 words in which most of the author's judgements are `truth`."""
    judgements = 1 + 2 * rng.below(3)
    dissent = rng.below(judgements // 2 + 1)
    sentences = [_judgement(rng, truth ^ (i < dissent)) for i in range(judgements)]
    for _ in range(2 + rng.below(6 if judgements > 1 else 3)):
        kind = _fact if rng.chance(0.6) else _hearsay
        sentences.insert(rng.below(len(sentences) + 1), kind(rng))
    return " ".join(sentences)


def _judgement(rng: Random, verdict: int) -> str:
    """A sentence by which the author judges once: `verdict`, 1 for good."""
    form = rng.below(8)
    mine = _opinion(rng, verdict)
    if form < 3:
        sentence = mine
    elif form == 3:
        sentence = f"{_opinion(rng, 1 - verdict)}, but {mine}"
    elif form == 4:
        sentence = f"although {_opinion(rng, 1 - verdict)}, {mine}"
    elif form == 5:
        sentence = f"{mine}, even though {_opinion(rng, 1 - verdict)}"
    elif form == 6:
        sentence = f"{_other(rng, _against(rng, verdict))}, {mine}"
    else:
        sentence = f"{mine}, while {_other(rng, _against(rng, verdict))}"
    return _sentence(sentence)


def _against(rng: Random, verdict: int) -> int:
    """What another says: more often than not the contrary."""
    return verdict ^ rng.chance(0.75)


def _opinion(rng: Random, verdict: int) -> str:
    """A clause of the author's, in one case of three by the negation of its contrary."""
    aspect = rng.pick(ASPECTS)
    if not rng.chance(1 / 3):
        if rng.chance(0.3):
            return f"I {rng.pick(VERBS[verdict])[0]} the {aspect}"
        return f"the {aspect} was {rng.pick(DEGREES)}{rng.pick(ADJECTIVES[verdict])}"
    contrary = rng.pick(ADJECTIVES[1 - verdict])
    form = rng.below(4)
    if form == 0:
        return f"I did not {rng.pick(VERBS[1 - verdict])[1]} the {aspect}"
    if form == 1:
        return f"nobody could call the {aspect} {contrary}"
    return f"the {aspect} was {rng.pick(('not', 'never', 'hardly', 'far from'))} {contrary}"


def _other(rng: Random, verdict: int) -> str:
    """A clause that reports somebody else's opinion."""
    who, aspect = rng.pick(PEOPLE), rng.pick(ASPECTS)
    if rng.chance(0.5):
        return f"{who} {rng.pick(VERBS[verdict])[0]} the {aspect}"
    return f"{who} called the {aspect} {rng.pick(ADJECTIVES[verdict])}"


def _hearsay(rng: Random) -> str:
    return _sentence(_other(rng, rng.below(2)))


def _fact(rng: Random) -> str:
    return rng.pick(FACTS).format(
        item=rng.pick(ITEMS),
        place=rng.pick(PLACES),
        month=rng.pick(MONTHS),
        aspect=rng.pick(ASPECTS),
        number=2 + rng.below(150),
    )


def _sentence(clause: str) -> str:
    return clause[0].upper() + clause[1:] + "."
