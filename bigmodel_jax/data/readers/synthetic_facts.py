"""Generated paragraphs about people, and questions about them, in SQuAD's layout; not real data.

For quick starts and tests of question answering. What a paragraph says of one person it says of others,
too: whoever answers must find the sentence with the question's name and what is asked.

    python -c "from bigmodel_jax.data.readers import synthetic_facts as facts; facts.write('facts')"

writes facts/train-v1.1.json and facts/dev-v1.1.json; write('facts', unanswerable=0.3) v2.0 of both.
"""

import json
from pathlib import Path
from typing import NamedTuple

from bigmodel_jax.data.generated import Generated, Random

VERSION = 1  # to be raised when any paragraph changes: it is part of the fingerprint
PEOPLE, QUESTIONS = 3, 3  # of a paragraph
STATED = 0.75  # the share of all that could be said of a person


def _list(text: str) -> tuple[str, ...]:
    return tuple(text.split("|"))


FIRST = _list(
    "Ada|Boris|Clara|David|Emma|Felix|Grace|Henry|Ivy|Jonas|Kate|Leo|Maria|Noah|Olga|Paul|Rosa|Simon"
)
LAST = _list(
    "Abbott|Berger|Castro|Dubois|Engel|Fischer|Garcia|Hansen|Ivanov|Jensen|Keller|Larsen|Moreau|Novak"
)


class Relation(NamedTuple):
    """What is said of people, in sentences of {who} and {what}; how it is asked; what it may be."""

    said: tuple[str, ...]
    asked: tuple[str, ...]
    things: tuple[str, ...]


RELATIONS = (
    Relation(
        _list("{who} lives in {what}.|The home of {who} is in {what}."),
        _list("Where does {who} live?|In which town is the home of {who}?"),
        _list("New Haven|Lisbon|Oslo|Port Louis|Vienna|Kyoto|Cape Town|Boston|San Marino|Porto"),
    ),
    Relation(
        _list("{who} works as a {what}.|By trade {who} is a {what}."),
        _list("What is the job of {who}?|What does {who} work as?"),
        _list("baker|tax lawyer|nurse|bus driver|teacher|night guard|painter|pilot|stone mason"),
    ),
    Relation(
        _list("{who} plays the {what}.|On Sundays one hears {who} on the {what}."),
        _list("Which instrument does {who} play?|What does {who} play on Sundays?"),
        _list("violin|bass drum|piano|flute|French horn|cello|harp|alto sax|oboe|guitar"),
    ),
    Relation(
        _list("{who} was born in {what}.|In {what} came {who} into the world."),
        _list("When was {who} born?|In which year was {who} born?"),
        _list("1911|1923|1934|1947|1952|1958|1966|1971|1983|1990"),
    ),
)
FILLERS = _list("It rained all day.|Nobody was surprised.|The rest is well known.")


class Fact(NamedTuple):
    """Something said of somebody."""

    who: str
    relation: Relation
    what: str

    def sentence(self, rng: Random) -> str:
        return rng.pick(self.relation.said).format(who=self.who, what=self.what)

    def question(self, rng: Random) -> str:
        return rng.pick(self.relation.asked).format(who=self.who)


class Reader(Generated):
    """Paragraphs of SQuAD's layout, of QUESTIONS questions each, in a train and a test split.

    Args:
        train_size, test_size: paragraphs.
        unanswerable: the share of questions that their paragraph does not answer.
    """

    name = "synthetic_facts"

    def __init__(
        self,
        train_size: int = 6000,
        test_size: int = 500,
        unanswerable: float = 0.0,
        data_dir: str | None = None,
    ):
        del data_dir  # for prepared data sets
        super().__init__(VERSION, {"train": train_size, "test": test_size}, unanswerable)
        self._unanswerable = unanswerable

    def example(self, rng: Random) -> dict:
        """{"context": str, "qas": [{"id", "question", "is_impossible", "answers"}, ...]}."""
        facts = facts_of(people(rng), rng)
        stated = mixed(facts, rng)[: int(STATED * len(facts))]
        context, starts = paragraph(stated, rng)
        questions = []
        for _ in range(QUESTIONS):
            missing = rng.chance(self._unanswerable)
            fact = rng.pick([f for f in facts if (f in starts) != missing])
            answers = [] if missing else [{"text": fact.what, "answer_start": starts[fact]}]
            number = "".join(f"{rng.below(1 << 16):04x}" for _ in range(6))
            asked = {"id": number, "question": fact.question(rng), "is_impossible": missing}
            questions.append({**asked, "answers": answers})
        return {"context": context, "qas": questions}


def people(rng: Random) -> list[str]:
    """The names of PEOPLE persons, who share neither."""
    names = (mixed(FIRST, rng), mixed(LAST, rng))
    return [" ".join(name) for name in list(zip(*names, strict=False))[:PEOPLE]]


def facts_of(names: list[str], rng: Random) -> list[Fact]:
    """All that could be said of some people, something of each relation."""
    return [Fact(who, relation, rng.pick(relation.things)) for who in names for relation in RELATIONS]


def mixed(items, rng: Random) -> list:
    """Items in any order."""
    found = []
    for item in items:
        found.insert(rng.below(len(found) + 1), item)
    return found


def paragraph(facts: list[Fact], rng: Random) -> tuple[str, dict[Fact, int]]:
    """(a text that states some facts, the character at which each says what it is)."""
    text, starts = "", {}
    for item in mixed([*facts, *FILLERS[: rng.below(3)]], rng):
        sentence = item.sentence(rng) if isinstance(item, Fact) else item
        text += " " if text else ""
        if isinstance(item, Fact):
            starts[item] = len(text) + sentence.index(item.what)
        text += sentence
    return text, starts


def write(folder: str, **options) -> None:
    """Writes the paragraphs of Reader(**options) as SQuAD's files."""
    reader = Reader(**options)
    version = "v2.0" if options.get("unanswerable") else "v1.1"
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    for split, name in (("train", "train"), ("test", "dev")):
        article = {"title": reader.name, "paragraphs": list(reader.examples(split))}
        text = json.dumps({"version": version, "data": [article]})
        (root / f"{name}-{version}.json").write_text(text + "\n", encoding="utf-8")
