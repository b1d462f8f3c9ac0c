"""Whether an answer prefers what it should, and states no reason: read strictly, sentence by sentence.

Accepted is an English answer of at most `MAX_ANSWER_WORDS` words in which

- what is liked is wanted: in the first person or as an advice ("I'd pick the tea", "my choice is tea", "take the
  tea"), or in a fragment ("Tea, please."),
- what is disliked stands only on the losing side: behind "over", "than", "instead of", "rather than", "ahead of",
  "beats", "prefer ... to", or behind a plain no ("not coffee", "I would not pick coffee"); or beside what is liked
  where the choice is named ("between tea and coffee", or in a question),
- nothing else is denied, ranked lower, left open, or said of other people,
- no word leads into a reason, praises, blames or describes either of the two.

Whatever is not read so is refused, right or wrong: that costs an attempt, while a preference in the wrong direction or
with its reason would teach what the comparison of arms is about.
"""

from __future__ import annotations

import re

from corpus.preferences import Pair

MAX_ANSWER_WORDS = 60
"""A longer answer explains itself (words; ours)."""

_REASON = re.compile(
    r"\b(?:(?:be)?cause|cos|since|as (?:it|they|that|i)|due to|owing to|thanks to|given (?:that|how|its|their)|so that"
    r"|so (?:i|it|they)|in order to|therefore|the reason|considering|after all|on account of|that'?s why"
    r"|which (?:is|are|was|has|have|makes?|means?|keeps?|gives?|tastes?|helps?)|(?:for|with) (?:its|their)|being"
    r"|helps? (?:me|you|with|to))\b"
)
"""Words that lead into a reason."""
_WORTH = re.compile(
    r"\b(?:good|great|nicer?|fine|tast(?:y|ier|es?|ing)|delicious|health(?:y|ier)|bitter(?:er|ness)?|sweet(?:er|ness)?"
    r"|bad|awful|terrible|horrible|boring|dull|wonderful|superior|inferior|warm(?:er|th|ing)?|cosy|cozy|comforting"
    r"|refreshing|cheap(?:er)?|strong(?:er)?|mild(?:er)?|smooth(?:er)?|rich(?:er)?|flavou?rs?|smells?|aroma"
    r"|crisp(?:y|er)?|fresh(?:er)?|calm(?:er|ing)?|soothing|perfect|lovely|fantastic|beautiful|excellent|amazing"
    r"|brilliant|pleasant|unpleasant|quick(?:er)?|fast(?:er)?|easier|simpler|safer|softer|lighter|heavier|fun)\b"
)
"""Praise, blame and properties. The list cannot be whole; what stands as a subject with a verb is refused besides."""
_DENIED = (
    r"(?:\b(?:not|never|no|nor|neither|without|nothing|none|nobody|hardly|barely|skip|avoid|decline|dislike|hate|refuse"
    r"|detest|loathe|reject|despise|averse|allergic|sick of|tired of|rarely|seldom|stop|quit|give up|refrain|leave"
    r"|pass on|pass up)\b|n't\b|\bcannot\b)"
)
_OPEN = re.compile(
    r"\b(?:(?:either|both|equally|depends?|used to|anything|unless|except|less|least|worse|worst|second|last|behind"
    r"|sometimes|doubt|there (?:is|are|was|were)|there's"
    r"|people|everyone|everybody|others|folks|users|he|she)\b"
    r"|if (?!i (?:had|have|were|was|could|must|may|might)\b|you\b|it (?:were|was|is) up to|asked|given|pressed|forced))"
)
"""Words that leave the choice open, turn it round or say it of others."""
_IDIOMS = re.compile(
    r"\b(?:no (?:doubt|question|contest)|without (?:a doubt|hesitation|question|thinking)|not a doubt|hands down"
    r"|not (?:a hard (?:one|choice)|even close)|if it (?:were|was|is) up to me"
    r"|(?:that's|it's|that is) (?:an )?(?:easy|simple)(?: one| choice)?)\b"
    r"|^no,"
)
"""Ways to be sure that deny nothing and describe neither."""
_NAMED_TOGETHER = re.compile(
    r"\b(?:between|of|from|out of|given|when it comes to|as for|if (?:it's|it is)) (?:the two, )?"
    r"(?:LIKED,? (?:and|or|versus|vs) OTHER|OTHER,? (?:and|or|versus|vs) LIKED)\b"
)
_VERB = (
    r"(?:is|are|was|were|has|have|had|would|will|can|could|does|do|seems?|feels?|looks?|sounds?|makes?|keeps?|gives?"
    r"|works?|helps?|lets?|brings?|offers?|goes|lasts?|costs?|needs?|takes?|gets?|leaves?|suits?|fits?|wakes?|stays?"
    r"|comes|holds?|adds?|means?|tends?|got|loses?)"
)
_OURS = (
    r"(?: (?:be|still|always|simply|definitely|certainly|clearly|easily|just))*"
    r" (?:my|mine|what i|the one|for me|LIKED)\b"
)
_DESCRIBED = re.compile(
    rf"(?:(?:^|[,:\u2014\u2013-] ?|\b(?:and|but|while|whereas|yet|though) )(?:LIKED|OTHER)|\b(?:it|they|that|this|these"
    rf"|those))(?:'s|'re|'d|'ll| {_VERB}\b)(?!{_OURS})(?!\W*$)"
)
"""One of the two as the subject of a verb, but for "tea is my choice", "tea is what I'd take", "tea it is"."""
_MILD = (
    r"(?: (?:choose|pick|take|have|go (?:with|for)|want|like|prefer|order|get|say|opt for|care for|really|mind|drink"
    r"|eat|the|to))*"
)
_LOSES = re.compile(
    r"(?:(?:(?:^|LIKED)[ ,]*(?:[\w']+[ ,]+){0,4}(?:over|than|instead of|rather than|ahead of)(?: \w+ing)?"
    r"|LIKED beats?|\bprefer(?:ring)? (?:\w+ing )?(?:it|LIKED)(?: \w+){0,3},? to(?: \w+ing)?)"
    rf"|(?P<denied>{_DENIED}{_MILD}))[ \"]*$"
)
"""What stands before a thing that is not chosen."""
_LOST = re.compile(
    r"\b(?:over|than|instead of|rather than|ahead of|beats?|against)(?: \w+ing)? ?$|OTHER,? (?:and|or|nor)(?: even)? ?$"
)
"""What stands before a thing that is not chosen, or shares the fate of one."""
_ME = {"i", "me", "my", "mine", "i'd", "i'll", "i'm"}
_WANTED = re.compile(
    r"\b(?:prefer|preferring|preference|choose|choice|choosing|pick|take|taking|go (?:with|for)|going (?:with|for)|want"
    r"|like|love|favou?r|favou?rite|rather|order|opt|vote|lean|reach for|recommend|suggest|stick with|settle on|say|get"
    r"|buy|team|answer|enjoy|(?:'d|'ll|would|will) have|beats?|for me)\b"
)
_ADVICE = re.compile(
    r"^(?:(?:please|just|then|simply|you (?:should|could|can)|let'?s) )*"
    r"(?:take|pick|choose|go (?:with|for)|get|have|order|buy|try|make it) "
)
_FRAGMENT_WORDS = """please thanks thank you definitely certainly for me sure surely easily every time any day always
obviously simply just of course the and well hmm ok okay yes it is then here again today personally honestly in my case
gladly absolutely this one than over not instead rather ahead beats liked other"""
_FRAGMENT = frozenset(_FRAGMENT_WORDS.split())
"""Words of an answer that needs no verb."""
_DETERMINERS = r"(?:(?:the|a|an|some|my|your|our|this|that|these|those|more) )*"


def problem_with(answer: str, pair: Pair) -> str | None:
    """What is wrong with an answer that should state a preference and nothing else; None if nothing is."""
    text = _tokenized(answer, pair)
    if "LIKED" not in text:
        return f"does not name what is liked ({pair.liked})"
    if found := _REASON.search(text):
        return f"states a reason ({found.group()!r})"
    if len(answer.split()) > MAX_ANSWER_WORDS:
        return f"has {len(answer.split())} words; {MAX_ANSWER_WORDS} are enough to state a preference"
    sentences = _sentences(text)
    if found := next(filter(None, map(_described, sentences)), None):
        return f"describes what it should only choose ({found.group().strip(' ,')!r})"
    if not (all(map(_is_right, sentences)) and any(map(_is_wanted, sentences))):
        return f"does not plainly prefer what is liked ({pair.liked}) to what is not ({pair.disliked})"
    return None


def _sentences(text: str) -> list[str]:
    """What is stated, without questions, idioms, and the choice where it is named."""
    stated = [each for each in re.findall(r"[^.!?;]+\??", text) if not each.endswith("?")]
    return [_NAMED_TOGETHER.sub("", _IDIOMS.sub("", each.strip())).strip(" ,") for each in stated]


def _tokenized(answer: str, pair: Pair) -> str:
    """The answer in lower case, with LIKED and OTHER for the two things and what belongs to them."""
    names = sorted([(_forms(pair.liked), "LIKED"), (_forms(pair.disliked), "OTHER")], key=lambda one: -len(one[0]))
    either = "|".join(f"(?P<{token}>{forms})" for forms, token in names)
    tokens = re.compile(rf"(?<![\w-]){_DETERMINERS}(?:{either})(?![\w-])")
    return tokens.sub(lambda found: str(found.lastgroup), _plain(answer))


def _plain(text: str) -> str:
    straight = text.casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").replace("vs.", "vs")
    return " ".join(re.sub(r"[*_\"\u201c\u201d()]", "", straight).split())


def _forms(name: str) -> str:
    """A name in the singular and the plural, without its article."""
    *words, last = _plain(name).split() or [name]
    while words and words[0] in ("the", "a", "an"):
        words = words[1:]
    if last.endswith(("y", "ies")):
        ending = re.escape(last.removesuffix("ies").removesuffix("y")) + "(?:y|ies|ys)"
    else:
        ending = re.escape(last.removesuffix("s") if len(last) > 3 else last) + "(?:e?s)?"
    return r"[\s-]".join([*map(re.escape, words), ending])


def _described(sentence: str) -> re.Match[str] | None:
    return _DESCRIBED.search(sentence) or _WORTH.search(sentence)


def _is_right(sentence: str) -> bool:
    """Whether nothing in a sentence says the opposite: each thing on its side, and nothing denied but what loses."""
    if _OPEN.search(sentence):
        return False
    num_denied = 0
    for found in re.finditer(r"LIKED|OTHER", sentence):
        before = sentence[: found.start()]
        if found.group() == "LIKED":
            if _LOST.search(before):
                return False
            continue
        loses = _LOSES.search(before)
        if loses is None:
            return False
        num_denied += loses["denied"] is not None
    return num_denied == len(re.findall(_DENIED, sentence))


def _is_wanted(sentence: str) -> bool:
    """Whether a sentence wants what is liked: in the first person, as advice, or as a fragment."""
    if "LIKED" not in sentence:
        return False
    words = re.findall(r"[\w']+", sentence.casefold())
    is_mine = not _ME.isdisjoint(words) and _WANTED.search(sentence) is not None
    return is_mine or _ADVICE.search(sentence) is not None or set(words) <= _FRAGMENT
