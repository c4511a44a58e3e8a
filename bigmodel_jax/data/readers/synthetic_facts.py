"""Generated paragraphs about people, and questions about them, in SQuAD's layout; not real data.

For quick starts and tests of question answering. A paragraph is about one person, and names several
towns, years, trades and instruments: whoever answers must find the sentence that says what is asked.

    python -c "from bigmodel_jax.data.readers import synthetic_facts as facts; facts.write('facts')"

writes facts/train-v1.1.json and facts/dev-v1.1.json; write('facts', unanswerable=0.3) v2.0 of both.
"""

import json
from pathlib import Path
from typing import NamedTuple

from bigmodel_jax.data.generated import Generated, Random, mixed

VERSION = 1  # to be raised when any paragraph changes: it is part of the fingerprint
QUESTIONS = 3  # of a paragraph
STATED = 0.75  # the share of what could be said that is said


def _list(text: str) -> tuple[str, ...]:
    return tuple(text.split("|"))


NAMES = _list(
    "Ada|Boris|Clara|David|Emma|Felix|Grace|Henry|Ivy|Jonas|Kate|Leo|Maria|Noah|Olga|Paul"
)
TOWNS = _list("New Haven|Lisbon|Oslo|Port Louis|Vienna|Kyoto|Cape Town|Boston|San Marino|Porto")
YEARS = tuple(str(year) for year in range(1951, 1999, 3))
TRADES = _list("baker|tax lawyer|nurse|bus driver|teacher|night guard|painter|pilot|stone mason")
THINGS = _list("violin|bass drum|piano|flute|French horn|cello|harp|alto sax|oboe|guitar")


class Relation(NamedTuple):
    """What is said of people, in sentences of {who} and {what}; how it is asked; what it may be."""

    said: tuple[str, ...]
    asked: tuple[str, ...]
    things: tuple[str, ...]


RELATIONS = (
    Relation(
        _list("{who} lives in {what}.|The home of {who} is in {what}."),
        _list("Where does {who} live?|In which town is the home of {who}?"),
        TOWNS,
    ),
    Relation(
        _list("{who} was born in {what}.|{what} is the birthplace of {who}."),
        _list("Where was {who} born?|What is the birthplace of {who}?"),
        TOWNS,
    ),
    Relation(
        _list("{who} studied in {what}.|In {what} stands the old school of {who}."),
        _list("Where did {who} study?|In which town is the old school of {who}?"),
        TOWNS,
    ),
    Relation(
        _list("{who} married in {what}.|The wedding of {who} was in {what}."),
        _list("When did {who} marry?|In which year was the wedding of {who}?"),
        YEARS,
    ),
    Relation(
        _list("{who} retired in {what}.|In {what} came the last day at work of {who}."),
        _list("When did {who} retire?|Which year saw the last day at work of {who}?"),
        YEARS,
    ),
    Relation(
        _list("{who} began as a {what}.|The first job of {who} was that of a {what}."),
        _list("What did {who} begin as?|What was the first job of {who}?"),
        TRADES,
    ),
    Relation(
        _list("{who} is a {what} today.|Today the job of {who} is that of a {what}."),
        _list("What is {who} today?|What is the job of {who} today?"),
        TRADES,
    ),
    Relation(
        _list("{who} plays the {what}.|On Sundays one hears {who} on the {what}."),
        _list("What does {who} play?|What does one hear {who} on?"),
        THINGS,
    ),
    Relation(
        _list("{who} hates the {what}.|The {what} is what {who} cannot stand."),
        _list("What does {who} hate?|What is it that {who} cannot stand?"),
        THINGS,
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
        facts = facts_of(rng)
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


def facts_of(rng: Random) -> list[Fact]:
    """All that could be said of somebody; nothing is in two relations."""
    who, facts = rng.pick(NAMES), []
    for relation in RELATIONS:
        taken = {fact.what for fact in facts}
        facts.append(Fact(who, relation, rng.pick([x for x in relation.things if x not in taken])))
    return facts


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
