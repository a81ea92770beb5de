"""Plain designs that countries fly, kept out of the world's banners.

- No picture of a real flag is ever read. A random banner can still happen to be one: hardly a rich flag, but easily one
  of a few bands, a cross or a single simple figure. Those are written here by layout and plain colours, whatever their
  shades and proportions, and `banners.random_banner` draws again when it meets one.
- That holds for what is drawn. The training of an encoder recolours and mirrors pictures at random (`index.augment`),
  and so may by chance come upon a plain design of this list: mirroring alone would do so with 8 of 4,000 banners.
"""

from __future__ import annotations

from gog_env.world.designs import Banner, Color

_FOLD = {
    "dark blue": "blue",
    "light blue": "blue",
    "teal": "blue",
    "maroon": "red",
    "dark green": "green",
    "gold": "yellow",
}

# layout: colours, in the order of `Pattern.colors`, without those that the design does not show
_PLAIN = {
    "rows": """white red/red white/blue yellow/red blue/blue red/red green/white blue/red white blue/white blue red
        blue white red/black red yellow/red white red/yellow green red/white green red/red white green/blue black white
        red blue orange/red yellow green/green yellow red/green yellow blue/green white blue/yellow blue red/blue red
        red white black/red yellow red/blue white blue/blue red blue/red blue red/green white red/orange white green
        black red green/blue yellow green/blue white green/red blue yellow green
        red white blue white red/white red white
        blue white red white blue/red white blue white green/blue white black white blue/red blue white""",
    "columns": """blue white red/green white red/green white orange/orange white green/black yellow red/blue yellow red
        green yellow red/red yellow green/green white green/red white red/green red yellow/white red/blue yellow blue
        blue white blue/black red green/blue yellow green/green white/red green/red blue red/red yellow""",
    "cross": """red white/white red/blue yellow/white blue/red white blue/blue white red/white blue red/blue yellow red
        white yellow red/red yellow""",
    "saltire": "blue white/white red/black green yellow/green black yellow/red green white/blue red white",
    "union": "blue white red",
    "bend": """green red yellow/red white black/blue yellow red/blue green yellow/green blue yellow black
        blue green white red/green red yellow black""",
    "diagonal": "yellow orange/orange yellow",
    "serrated": "white red/red white",
    "rows triangle": """white red blue/blue yellow black/red white blue/blue white red
        blue red white/black white green red/red white black green/blue green white/green white black red
        red white black blue/blue yellow blue black
        blue white blue white blue red/red white red white red blue/yellow green red/black yellow red green""",
}
# field and the one figure on it
_WITH_FIGURE = """plain red, yellow star/plain white, red disc/plain green, red disc/plain blue, yellow disc
    plain red, white crescent/plain blue, white star/plain red, green star/rows red green, yellow star
    rows red yellow green, black star/plain red, white cross/columns green red yellow, yellow star/plain red, black bird
    columns green yellow red, green star/plain white, yellow map/plain red, yellow sun
    rows black red green, red sun/rows blue red, yellow crown/columns blue yellow blue, black trident
    columns red white red, red leaf/rows red white red, green tree/rows orange white green, blue wheel
    rows orange white green, orange disc/rows red blue red, white disc/rows blue red green, white crescent
    plain green, white script/plain red, white disc/plain green, white crescent/plain white, red cross
    columns green white, red crescent
    rows red white green, red star/rows red white black, green star/rows red white black, yellow bird"""


def _lines(text: str) -> list[str]:
    return [" ".join(line.split()) for part in text.splitlines() for line in part.split("/") if line.strip()]


_FLOWN = frozenset(f"{kind} {colors}" for kind, text in _PLAIN.items() for colors in _lines(text)) | frozenset(
    _lines(_WITH_FIGURE)
)


def _names(colors: tuple[Color, ...], each: bool = False) -> list[str]:
    names = [_FOLD.get(color.name, color.name) for color in colors]
    if each:  # bands: only what meets in one colour is one
        return [name for i, name in enumerate(names) if i == 0 or name != names[i - 1]]
    return list(dict.fromkeys(names))


def is_flown(banner: Banner) -> bool:
    """Whether a banner, or the banner in its canton, has the layout and the colours of a plain flag of a country."""
    field = banner.field
    if any(over.inner is not None and is_flown(over.inner) for over in banner.overlays):
        return True
    words = [field.kind, *_names(field.colors, each=field.kind in ("rows", "columns"))]
    if [over.kind for over in banner.overlays] == ["triangle"]:  # with or without a figure
        return " ".join([field.kind, "triangle", *words[1:], *_names(banner.overlays[0].colors[-1:])]) in _FLOWN
    if banner.overlays:
        return False
    if not banner.charges:
        return " ".join(words) in _FLOWN
    kinds = {charge.kind for charge in banner.charges}
    if len(kinds) > 1:
        return False
    return f"{' '.join(words)}, {_names(banner.charges[0].colors)[0]} {kinds.pop()}" in _FLOWN
