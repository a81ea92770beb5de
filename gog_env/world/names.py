"""Made-up names: syllables put together by a small phonology, so that they can be said, read and told apart.

- A name is a number of its kind, spelt: the digits choose onset, vowel, middle and ending, so that two numbers never
  give one name, however many there are, and nobody has to remember which were given.
- A word falls into runs of vowels and consonants, and each run is one digit; no ending of any kind can be read as a
  syllable and another ending. Names of different kinds therefore never meet either, with or without their accents.
- A permutation decided by the world's seed says which name a number has. Small numbers have short names.
- Endings are of no real country, city or coin; a real name that the digits could spell all the same gets an x.
- About one name in ten has a letter beyond ASCII.
"""

from __future__ import annotations

import unicodedata

from gog_env.world.keyed import Permutation, chance, key_of, mix

_ONSETS = tuple("b br c d dr f g gr h j k kr l m n p pr r s sh st t th tr v w y z".split()) + ("",)
_VOWELS = ("a", "e", "i", "o", "u", "ei", "au")
_MIDDLES = tuple(
    "b d dr g gr k l ld lm lv m n nd nk nt r rd rg rk rl rm rn rt rv s sh sk st t th thr v z".split()
)  # fmt: skip
_CODAS = ("", "k", "l", "m", "n", "nd", "r", "rn", "s", "sh", "t", "th")
# endings that start with a vowel follow a middle, the others a coda; none that real countries, cities or people have
_ENDINGS = {
    "nation": "othe olun uvia eldia ithra unde alor evane orrin",
    "capital": "undel irath evar olme othra ulva brin mund gale gorn hame",
    "surname": "olt erun ask idel ulm aive orek umri eval",
    "given": "ith ulo emi av ovi itu",
    "river": "uine ethe ewe oyle aith iss umel",
    "currency": "ilk onde azu eft uvo uld imb",
    "place": "moor hollow sward glade mead weir",
}
# real words, places and people that the digits could spell, or could when endings change
_REAL = frozenset(
    "aberdeen abrin agatha almond almund ambrin amiss ammond amund aragorn ararat armani arnolt arundel asgard"
    " athabask avalor babatunde bereft bernevald bertolt boston burgunde calais caronde cashmere corliss corneval"
    " cotonde cozumel damask darmoor denmead derulo dinar disav donald dormund dumonde dunav edith edmund estonia"
    " eton fatemi fidel furniss galileo gargoyle gaurav genova genuine gironde grahame grasmere hadith hamburg"
    " hindemith hirokazu idriss india ireland judith kazemi korea kurdistan lalonde lamothe lemonde leningrad"
    " lilith martingale meredith milton moldova monolith moravia morgoth nazareth nigeria obitu olav ormonde"
    " padova pakistan pavithra pavlov perceval poland pranav prentiss preston primeval putin regale remiss revolt"
    " rial romania romulo ronald rosamund rosemead roskilde rushmoor rusholme sabrin silesia somalia stalin"
    " stalingrad swift tanith thamesmead timothe tolar tormund tripolis tunisia verdun warwick yadav zenith".split()
)  # fmt: skip
_ACCENTS = {"a": "áåã", "e": "éèê", "i": "í", "o": "öóôø", "u": "üú", "n": "ñ", "c": "ç"}
KINDS = tuple(_ENDINGS)
ACCENTED = 0.1
"""Share of names with a letter beyond ASCII."""


def _tails(kind: str) -> tuple[str, ...]:
    middles = _MIDDLES if kind != "given" else tuple(middle for middle in _MIDDLES if len(middle) == 1)
    return tuple(
        before + ending for ending in _ENDINGS[kind].split() for before in (middles if ending[0] in "aeiou" else _CODAS)
    )


TAILS = {kind: _tails(kind) for kind in KINDS}
"""How a name of each kind may end, from its last consonant before the ending on."""


def plain(name: str) -> str:
    """A name without accents.

    >>> plain("São Tøme")
    'Sao Tome'
    """
    return "".join(c for c in unicodedata.normalize("NFD", name) if not unicodedata.combining(c)).replace("ø", "o")


class Names:
    """The names of one kind in one world: number `i` is always the same name, and no other's.

    Args:
        kind: `nation`, `capital`, `surname`, `given`, `river`, `currency` (in lower case) or `place`.
        seed: decides which number has which name.

    >>> names = Names("capital", 0)
    >>> len({names(i) for i in range(1000)})
    1000
    """

    def __init__(self, kind: str, seed: int) -> None:
        self._kind = kind
        self._tails = TAILS[kind]
        #: So many names, from number 0 on, are short.
        self.short = len(_ONSETS) * len(_VOWELS) * len(self._tails)
        self._long = self.short * len(_MIDDLES) * len(_VOWELS)
        self._order_short = Permutation(self.short, "names", kind, "short", seed)
        self._order_long = Permutation(self._long, "names", kind, "long", seed)
        self._accents = key_of("accents", kind, seed)

    def __len__(self) -> int:
        """How many names there are: more than ten million, of `given` and `place` more than three."""
        return self.short + self._long

    def __call__(self, number: int) -> str:
        """The name of a number.

        Raises:
            IndexError: there are fewer names.
        """
        if number < self.short:
            word = self._spelt(self._order_short(number), middle=False)
        else:
            word = self._spelt(self._order_long(number - self.short), middle=True)
        if chance(self._accents, number) < ACCENTED:
            word = _accented(word, mix(self._accents, ~number))
        return word if self._kind == "currency" else word.capitalize()

    def _spelt(self, number: int, middle: bool) -> str:
        number, tail = divmod(number, len(self._tails))
        number, vowel = divmod(number, len(_VOWELS))
        word = _VOWELS[vowel] + self._tails[tail]
        if middle:
            number, consonant = divmod(number, len(_MIDDLES))
            number, vowel = divmod(number, len(_VOWELS))
            word = _VOWELS[vowel] + _MIDDLES[consonant] + word
        word = _ONSETS[number] + word
        if word in _REAL:
            word += "x" if word[-1] in "aeiou" else "ax"  # no digit has an x
        return word


def _accented(word: str, roll: int) -> str:
    """The word with an accent on one letter, not on one of two vowels or near the end where another one can bear it."""
    alone = [
        i
        for i, letter in enumerate(word)
        if letter in _ACCENTS
        and not (letter in "aeiou" and {*word[max(i - 1, 0) : i], *word[i + 1 : i + 2]} & {*"aeiou"})
    ]
    places = [i for i in alone if i < len(word) - 2] or alone or [word.index(next(c for c in word if c in _ACCENTS))]
    roll, choice = divmod(roll, len(places))
    place = places[choice]
    accents = _ACCENTS[word[place]]
    return word[:place] + accents[roll % len(accents)] + word[place + 1 :]
