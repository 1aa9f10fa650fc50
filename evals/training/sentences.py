"""Made-up sentences with names and addresses in them: our own templates, filled from our own
lists."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from bastide.guardrails.detect import gazetteers
from evals.training import forms

STREET_FORMS = (
    "{n} {last} Street",
    "{n} {last} Ave",
    "{n} {last} Road, Apt {s}",
    "{n} N {last} Blvd.",
    "{n} {odd} {s}",
    "{odd}straat {s}",
    "{odd} {s}",
    "Rue de la {odd} {s}",
    "{n} {first} {last} Drive Suite {s}",
    "Calle {odd} {s}",
    "{odd}gade {s}",
    "{odd} u. {s}.",
    "{n} {odd} {s} Apt. {n}",
    "Via {odd} {s}",
    "{n} {first} Ridge",
    "{n} {odd} Place\n Suite {s}",
    "PO Box {n}",
    "Unit {n} Box {n}",
    "{odd}vägen {s}",
    "{odd}weg {s}",
    "ul. {odd} {s}",
    "the corner of {odd} and {last} Street",
    "Flat {s}, {n} {last} Lane",
    "{n} {last} {end}",
    "{n} {first} {end}",
    "the corner of {odd} {s} and {first} {end}",
    "the corner of {odd} {end} and {last} {end}",
    "the corner of {n} {odd} Street and {first} {end}",
    "{first} {last} {s}",
    "{odd} {odd} {s}.",
    "{n} {first} {last} {s} Apt. {n}",
)
ADDRESS_FORMS = (
    "{street}",
    "{street}, {city}",
    "{street}, {city}, {state} {zip}",
    "{street}\n{CITY}, {state} {zip}",
    "{street}\n {city}\n {country} {zip}",
    "{street}, {zip} {city}, {country}",
    "{street} {city}",
    "{street}\n{city}\n{country}",
    "PSC {n}, Box {n}\nAPO AE {zip}",
)
STATES = [
    "AL",
    "AK",
    "AZ",
    "CA",
    "CO",
    "CT",
    "FL",
    "GA",
    "IL",
    "IN",
    "KS",
    "LA",
    "MA",
    "MD",
    "MI",
    "MN",
    "MO",
    "NC",
    "NJ",
    "NY",
    "OH",
    "OR",
    "PA",
    "QC",
    "ON",
    "BC",
    "TX",
    "VA",
    "WA",
    "WI",
]
JOBS = (
    "nurse",
    "Chief accountant",
    "dispatcher",
    "welder",
    "Sales manager",
    "Data analyst",
    "plumber",
    "surgeon",
)
ORG_ENDS = (
    "Inc",
    "Ltd",
    "LLC",
    "Group",
    "Partners",
    "Bank",
    "University",
    "Agency",
    "Institute",
    "GmbH",
    "Systems",
    "",
)
TEMPLATES = (
    "My name is [NAME] and I live at [STREET].",
    "I am [NAME], [TITLE] at [ORGANISATION] in [PLACE].",
    "Hi, this is [NAME] from [PLACE].",
    "Please send the parcel to [NAME], [STREET].",
    "Ship everything to [STREET]",
    "The meeting with [NAME] is at [STREET] tomorrow.",
    "[NAME] and [NAME] flew from [PLACE] to [PLACE] last week.",
    "[NAME] told [NAME] that the [PEOPLE] delegation had left [PLACE].",
    "Patient [NAME], [AGE] years old, was admitted with chest pain.",
    "A [AGE]-year-old man from [PLACE] complained of a headache.",
    "Contact: [NAME]\nAddress: [STREET]\nPhone: on request",
    "Dear [TITLE] [NAME],\nthank you for your letter.",
    "[TITLE] [NAME] will see you now.",
    "Regards,\n[NAME]\n[TITLE]\n[ORGANISATION]\n[STREET]",
    "Could you call [NAME]?",
    "Have you spoken with [NAME] about the invoice?",
    "It was [NAME] who signed it.",
    "[NAME]'s account is locked.",
    "the contract between [ORGANISATION] and [NAME] ends in May",
    "We moved our office from [PLACE] to [STREET].",
    "[ORGANISATION] was founded by [NAME] in [PLACE].",
    "[ORGANISATION] hired a [PEOPLE] engineer.",
    "Is [NAME] still working for [ORGANISATION]?",
    "I'm [AGE] and I was born in [PLACE].",
    "she turned [AGE] yesterday",
    "Age: [AGE]\nName: [NAME]\nCity: [PLACE]",
    "My sister [NAME] is [AGE].",
    "The [PEOPLE] ambassador to [PLACE], [NAME], resigned.",
    "Forces near [PLACE] reported that [NAME] had been seen.",
    "[NAME] was arrested in [PLACE] on Monday.",
    "Tell [NAME] to bring the keys.",
    "user: [NAME]\nagent: How can I help you?",
    "Thanks, [NAME]!",
    "[NAME], are you there?",
    "bill to [NAME], [STREET]",
    "According to [NAME], the bridge in [PLACE] is closed.",
    "Our driver [NAME] waits at [STREET].",
    "Where is [STREET]? I can't find it.",
    "The suspect, [NAME] ([AGE]), lives in [PLACE].",
    "[NAME] [NAME] married in [PLACE].",
    "Account holder [NAME]; beneficiary [NAME].",
    "I grew up in [PLACE].",
    "The song by [NAME] was a hit in [PLACE].",
    "[NAME] plays for [ORGANISATION].",
    "Directed by [NAME], with [NAME] and [NAME].",
    "flights to [PLACE] are late",
    "How far is [PLACE] from [PLACE]?",
    "My [PEOPLE] neighbour [NAME] speaks no [PEOPLE].",
    "Forward this to [NAME] at [ORGANISATION].",
    "cc: [NAME], [NAME]",
    "I need to change my address to [STREET], please.",
    "he is staying at [STREET] with [NAME]",
    "Emergency contact: [NAME] (wife)",
    "From: [NAME]\nTo: [NAME]\nSubject: budget",
    "The weather in [PLACE] is fine.",
    "Reviewed by [TITLE] [NAME], [ORGANISATION].",
    "[PLACE] has a new mayor, [NAME].",
    "My address? [STREET].",
    "No, [NAME] isn't my name.",
    "[NAME]: where are you?\n[NAME]: almost there",
    "[NAME], could you call me back?",
    "Why did [NAME] leave [ORGANISATION]?",
    "we called her [NAME]",
    "He was named [NAME] after his uncle.",
    "[NAME] works at [ORGANISATION].",
    "[NAME] comes from [PLACE].",
    "Greetings from [PLACE]!",
    "I stay in [PLACE] until Sunday.",
    "[PLACE] is lovely in spring.",
    "the train to [PLACE] was late",
    "[NAME] arrived in [PLACE] from [PLACE].",
    "The founders are [NAME], [NAME] and [NAME].",
    "starring [NAME] and [NAME]",
    "a new album by [NAME]",
    "it's under [NAME], I think",
    "in the name of [NAME]",
    "[ORGANISATION], where [NAME] spent two years, moved to [PLACE].",
    "The [ORGANISATION] orchestra plays in [PLACE].",
    "[ORGANISATION] has its seat in [PLACE].",
    "[ORGANISATION] bought [ORGANISATION] for 3 million.",
    "[NAME]\n[STREET]",
    "[NAME]\n[TITLE]\n[ORGANISATION]\n[STREET]\nEmail: on file",
    "[STREET]\n[PLACE]",
    "She lives on [STREET].",
    "The office is at [STREET]",
    "get off the bus at [STREET]",
    "[STREET] is closed for repairs.",
    "between [STREET] and [STREET]",
    '"Stop it", said [NAME] to [NAME].',
    "[NAME]'s brother knows [NAME]'s wife.",
    "a friend of [NAME] and [NAME]",
    "[TITLE] [NAME] and her husband [NAME]",
    "[NAME] ([PLACE])",
    "I'm [NAME], [AGE], from [PLACE].",
    "member since 2012: [NAME]",
    "Hey [NAME], lunch today?",
    "ask [NAME] about it",
    "as [NAME] points out, it works",
    "the verses of [NAME]",
    "I've seen [NAME] in [PLACE].",
    "my maiden name is [NAME]",
    "For more on [TITLE] [NAME], see below.",
    "[TITLE] [NAME]: I deny it.",
    "[NAME], the [TITLE], said that it was late.",
    "killers of [NAME] jailed",
    "police in [PLACE] detained [NAME]",
    "[PEOPLE] player [NAME] lost again.",
)
PLAIN = (
    "Please restart the server before noon.",
    "What is the limit of my account?",
    "The report is due on Friday.",
    "Can I open a second account?",
    "Title IV of the Act was amended in May.",
    "The Board met twice this quarter.",
    "Monday is a holiday.",
    "Run the tests again, please.",
    "Thank you very much!",
    "Article 12 applies to all Members.",
    "I lost my card yesterday.",
    "How do I reset my password?",
    "Error 404: Page Not Found",
    "Chapter 3: Methods and Results",
    "He said No and left.",
    "The Internet is slow today.",
    "Use Python or Java, not Excel.",
    "I love Christmas and New Year.",
    "Windows and Linux are supported.",
    "Hello, Good Morning!",
    "IMPORTANT: read this first",
    "Order number 12345 was shipped.",
    "Version 2.1 was released in 2019.",
    "My balance is 300 dollars.",
    "Yes. Sure. Okay, Thanks.",
    "Call me at noon.",
    "The President spoke to the Senate.",
    "See Guide: Seven Songs You Loved As A Child",
    "Wisdom and Patience are virtues.",
    "Labor Day is on Monday.",
    "Treaty of the European Union",
    "The Queen arrived.",
    "It takes 30 minutes and 20 people.",
    "I waited for 45 minutes.",
    "There are 64 seats in 12 rows.",
    "It cost 35 dollars.",
)
_SYLLABLES = [
    "ba",
    "be",
    "bo",
    "da",
    "de",
    "do",
    "fa",
    "fi",
    "ga",
    "go",
    "ha",
    "hi",
    "ja",
    "jo",
    "ka",
    "ke",
    "ki",
    "ko",
    "la",
    "le",
    "li",
    "lo",
    "ma",
    "me",
    "mi",
    "mo",
    "na",
    "ne",
    "no",
    "pa",
    "pe",
    "ra",
    "re",
    "ri",
    "ro",
    "sa",
    "se",
    "so",
    "sta",
    "ta",
    "te",
    "ti",
    "to",
    "va",
    "vi",
    "vo",
    "za",
    "ze",
    "bra",
    "dra",
    "kri",
    "lön",
    "mü",
    "nå",
    "or",
    "an",
    "el",
    "in",
    "os",
    "ek",
    "ić",
]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A text, and where in it what stands; `blind` spans are not learned from."""

    text: str
    spans: tuple[tuple[int, int, str], ...]
    group: str
    blind: tuple[tuple[int, int], ...] = ()


class Filler:
    """What stands in a gap of a template: partly known words, partly words that nobody knows."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self._lists = {name: sorted(gazetteers.words_of(name)) for name in gazetteers.LISTS}

    def sentence(self, template: str, group: str) -> Sentence:
        text, spans = "", []
        for at, piece in enumerate(template.replace("]", "[").split("[")):
            if at % 2:
                filled = self.fill(piece)
                spans.append((len(text), len(text) + len(filled), piece))
                piece = filled
            text += piece
        if self._draw.random() < 0.15:
            text = text.lower()
        return Sentence(text, tuple(spans), group)

    def fill(self, kind: str) -> str:
        return getattr(self, f"_{kind.lower()}")()

    def odd(self) -> str:
        return "".join(self._draw.choices(_SYLLABLES, k=self._draw.randint(2, 4))).capitalize()

    def _word(self, name: str) -> str:
        return (
            self.odd()
            if self._draw.random() < 0.4
            else self._draw.choice(self._lists[name]).capitalize()
        )

    def _name(self) -> str:
        form = self._draw.random()
        first, last = self._word("given"), self._word("family")
        if form < 0.3:
            return first
        if form < 0.4:
            return last
        middle = f" {self._draw.choice('ABCDEGHJKLMNRST')}" if form > 0.9 else ""
        return f"{first}{middle} {last}"

    def _place(self) -> str:
        return self._filled(self._draw.choice(forms.PLACE_FORMS))

    def _people(self) -> str:
        return self._draw.choice(self._lists["peoples"]).capitalize()

    def _title(self) -> str:
        return self._draw.choice(("Mr.", "Mrs.", "Dr.", "Ms.", "Prof.", *JOBS))

    def _age(self) -> str:
        return str(self._draw.randint(1, 99))

    def _organisation(self) -> str:
        return self._filled(self._draw.choice(forms.ORGANISATION_FORMS)).strip()

    def _filled(self, form: str) -> str:
        draw, odd, odd2 = self._draw, self.odd(), self.odd()
        place = self._word(draw.choice(["cities", "countries"]))
        word, other, third = (each.capitalize() for each in draw.sample(forms.ORDINARY, 3))
        return form.format(
            odd=odd, odd2=odd2, ODD=odd.upper(), ODD2=odd2.upper(), place=place,
            PLACE=place.upper(), first=self._word("given"), last=self._word("family"),
            last2=self._word("family"), last3=self._word("family"), word=word, other=other,
            third=third, end=draw.choice(ORG_ENDS), tail=draw.choice(forms.ORGANISATION_TAILS),
            s=draw.randint(1, 30), letter=draw.choice("KNSVØ"),
            letters="".join(draw.choices("ABCDEFGHIKLMNOPRSTV", k=draw.randint(3, 4))),
        )  # fmt: skip

    def _street(self) -> str:
        draw = self._draw
        parts = {
            "n": str(draw.randint(1, 99999)),
            "s": str(draw.randint(1, 999)),
            "odd": self.odd(),
            "last": self._word("family"),
            "first": self._word("given"),
            "city": self._word("cities"),
            "country": self._word("countries"),
            "state": draw.choice(STATES),
            "end": draw.choice(forms.STREET_ENDS),
            "zip": f"{draw.randint(1000, 99999)}",
        }
        parts["CITY"] = parts["city"].upper()
        parts["street"] = draw.choice(STREET_FORMS).format(**parts)
        return draw.choice(ADDRESS_FORMS).format(**parts)


def made_up(seed: int, times: int) -> Iterator[Sentence]:
    filler = Filler(seed)
    for _ in range(times):
        for template in (*TEMPLATES, *PLAIN, *forms.MORE_TEMPLATES, *forms.MORE_PLAIN):
            yield filler.sentence(template, "ours")


def refilled(sentence: Sentence, filler: Filler) -> Sentence:
    """The same sentence with other names and places in it."""
    text, at, spans = "", 0, []
    for start, end, kind in sorted(sentence.spans):
        if start < at:
            return sentence
        text += sentence.text[at:start]
        other = (
            filler.fill(kind)
            if kind in ("NAME", "PLACE", "PEOPLE", "AGE")
            else sentence.text[start:end]
        )
        spans.append((len(text), len(text) + len(other), kind))
        text, at = text + other, end
    return Sentence(text + sentence.text[at:], tuple(spans), sentence.group)
