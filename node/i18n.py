"""What people read, in their language: sentences from catalogues, dates, countries and lists as they are written there.

English is the language of the source; `locale/<language>.po` holds every sentence in another.  Catalogues are read as
they are written, so there is nothing to compile and nothing to forget.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache, lru_cache
from gettext import NullTranslations
from importlib.resources import files
from io import BytesIO
from typing import Final, Literal
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.core import negotiate_locale
from babel.dates import format_date, format_datetime, format_timedelta
from babel.lists import format_list
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations

LANGUAGES: Final = {"es": "Español", "pt-BR": "Português (Brasil)", "pt-PT": "Português (Portugal)", "en": "English"}
SOURCE: Final = "en"
_ALIASES: Final = {"pt": "pt-BR"}
_MAX_HEADER_CHARS: Final = 256
_MINUTE: Final = 60
_UNITS: Final[tuple[tuple[Literal["day", "hour", "minute"], int], ...]] = (
    ("day", 86_400),
    ("hour", 3_600),
    ("minute", _MINUTE),
)
_NEVER: Final = float("inf")
_MAX_DETAIL_CHARS: Final = 400
_SENTENCES: Final = frozenset({"step", "outcome", "why"})
"""Places in which a sentence of ours may stand in turn."""
_FIRST: Final = int(datetime(1, 1, 3, tzinfo=UTC).timestamp())
_LAST: Final = int(datetime(9999, 12, 29, tzinfo=UTC).timestamp())
_PLACE: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Speech:
    """One language, and the time zone in which its times are told."""

    language: str
    zone: tzinfo
    locale: Locale
    catalogue: NullTranslations = field(repr=False)

    def say(self, sentence: str, /, **values: object) -> str:
        """The sentence in this language, with `%(name)s` filled in."""
        said = self.catalogue.gettext(sentence)
        return said % values if values else said

    def count(self, one: str, many: str, number: int, **values: object) -> str:
        """The sentence for this number of things, with `%(num)d` and more filled in."""
        return self.catalogue.ngettext(one, many, number) % ({"num": number} | values)

    def detail(self, text: str) -> str:
        """What an error tells beside its sentence, in this language; as it is where no catalogue holds it.

        Refusals are worded where nobody knows the reader.  A catalogue has them with `{name}` for what is filled in.
        """
        said = self.catalogue.gettext(text)
        if said == text and len(text) <= _MAX_DETAIL_CHARS:
            for pattern, translated in _filled(self.language):
                if found := pattern.fullmatch(text):
                    return _PLACE.sub(lambda place: self._filled_in(place[1], found[place[1]]), translated)
        return said

    def _filled_in(self, name: str, value: str) -> str:
        return self.detail(value) if name in _SENTENCES else value

    # -- times -----------------------------------------------------------------------------------------
    def local(self, at: int) -> datetime:
        """The time `at` (Unix seconds) where the reader is; of the years 1 and 9999 the outermost days stand in no zone."""
        return datetime.fromtimestamp(min(max(at, _FIRST), _LAST), self.zone)

    def date(self, at: int) -> str:
        """The day of `at`."""
        return format_date(self.local(at), format="medium", locale=self.locale)

    def moment(self, at: int) -> str:
        """The day and time of `at`, with its zone."""
        here = self.local(at)
        zone = f"{here:%Z}"
        # Most of America has no letters for its zones.
        named = f"UTC{zone}" if zone.startswith(("+", "-")) else zone
        return f"{format_datetime(here, format='medium', locale=self.locale)} {named}"

    def ago(self, at: int, now: int) -> str:
        """How long ago `at` is, or in how long it will be: `hace 3 horas`, `em 2 dias`; a moment counts as past."""
        if at <= now < at + _MINUTE:
            return self.say("just now")
        return format_timedelta(timedelta(seconds=at - now), add_direction=True, locale=self.locale)

    def left(self, at: int, now: int) -> str:
        """How much is left until `at`, or how long it is over: whole days or hours, so that no deadline seems later than it is."""
        unit, size = next((each for each in _UNITS if abs(at - now) >= 2 * each[1]), _UNITS[-1])
        whole = timedelta(seconds=max(abs(at - now) // size, 1) * size)
        # No unit above the one that was chosen: eleven days would be told as two weeks.
        return format_timedelta(
            whole if at >= now else -whole, unit, threshold=_NEVER, add_direction=True, locale=self.locale
        )

    def lasting(self, seconds: int) -> str:
        """A length of time, in the largest unit of which there are two: `13 minutes`, `36 hours`."""
        return format_timedelta(timedelta(seconds=seconds), threshold=2, locale=self.locale)

    # -- names -----------------------------------------------------------------------------------------
    def country(self, code: str) -> str:
        """The country with this code of ISO 3166, or the code itself."""
        return str(self.locale.territories.get(code.upper(), code))

    def title(self, titles: dict[str, str], otherwise: str) -> str:
        """Of titles by language the one that suits the reader best."""
        for wanted in (self.language, self.language.partition("-")[0], "es", "pt", "en"):
            for given, title in titles.items():
                if given.lower() == wanted.lower() or given.partition("-")[0].lower() == wanted.lower():
                    return title
        return next(iter(titles.values()), otherwise)

    def listed(self, items: Sequence[str]) -> str:
        """`a, b y c`."""
        return format_list(list(items), locale=self.locale) if items else ""


@lru_cache(maxsize=64)
def speech(language: str, zone: str = "UTC") -> Speech:
    """The language of this name, in this time zone of the tz database (`ZoneInfoNotFoundError`)."""
    chosen = language if language in LANGUAGES else SOURCE
    place: tzinfo = UTC if zone == "UTC" else ZoneInfo(zone)
    return Speech(chosen, place, Locale.parse(chosen, sep="-"), catalogue(chosen))


@cache
def catalogue(language: str) -> NullTranslations:
    """The sentences of this language; the source's own for English."""
    if language == SOURCE:
        return NullTranslations()
    compiled = BytesIO()
    write_mo(compiled, _written(language))
    compiled.seek(0)
    return Translations(compiled)


def _written(language: str) -> Catalog:
    with files("node").joinpath("locale", f"{language}.po").open("rb") as source:
        return read_po(source, locale=language.replace("-", "_"))


@cache
def _filled(language: str) -> list[tuple[re.Pattern[str], str]]:
    """What refusals look like with something filled in, the most particular first, and how they are said."""
    if language == SOURCE:
        return []
    said = [
        (each.id, each.string) for each in _written(language) if isinstance(each.id, str) and _PLACE.search(each.id)
    ]
    said.sort(key=lambda pair: len(_PLACE.sub("", pair[0])), reverse=True)
    return [(re.compile(_pattern(sentence), re.DOTALL), str(translated)) for sentence, translated in said]


def _pattern(sentence: str) -> str:
    parts = _PLACE.split(sentence)
    return "".join(f"(?P<{part}>.*)" if place % 2 else re.escape(part) for place, part in enumerate(parts))


def negotiate(chosen: str, accept: str) -> str:
    """The language to speak: the one `chosen`, else the best of an `Accept-Language` header, else English."""
    if chosen in LANGUAGES:
        return chosen
    wanted = [each for each in map(_tag, _by_quality(accept[:_MAX_HEADER_CHARS])) if each]
    try:
        found = negotiate_locale([_ALIASES.get(each, each) for each in wanted], list(LANGUAGES), sep="-")
    except (UnknownLocaleError, ValueError):
        return SOURCE
    return {name.lower(): name for name in LANGUAGES}.get((found or SOURCE).lower(), SOURCE)


def _by_quality(accept: str) -> list[str]:
    parts = [part.strip().partition(";") for part in accept.split(",")]
    return [tag for tag, _, quality in sorted(parts, key=lambda each: -_quality(each[2]))]


def _quality(written: str) -> float:
    try:
        return float(written.strip().removeprefix("q=") or 1)
    except ValueError:
        return 0.0


def _tag(tag: str) -> str:
    cleaned = tag.strip()
    return cleaned if cleaned.replace("-", "").isalnum() and cleaned.isascii() else ""
