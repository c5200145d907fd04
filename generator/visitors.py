"""The shop's visitors: people with habits, drawn once from a seed; replicas hold disjoint shares of them."""

from dataclasses import dataclass
from typing import Final, get_args

import numpy as np
from faker import Faker

from contracts.catalog import CATEGORIES
from contracts.events import Device
from generator.catalogue import TRADE, Catalogue
from generator.config import VISITORS, Share, cumulative, entropy, rng_for
from generator.presets import Preset


@dataclass(frozen=True, slots=True)
class Place:
    """A country: its share of the visitors, the Faker locale of its people, the warehouse (index) that serves it."""

    weight: float
    locale: str
    warehouse: int


PLACES: Final = {
    "DE": Place(0.30, "de_DE", 0),
    "FR": Place(0.16, "fr_FR", 1),
    "GB": Place(0.14, "en_GB", 0),
    "IT": Place(0.10, "it_IT", 1),
    "ES": Place(0.08, "es_ES", 1),
    "NL": Place(0.07, "nl_NL", 0),
    "PL": Place(0.05, "pl_PL", 0),
    "AT": Place(0.04, "de_AT", 1),
    "SE": Place(0.03, "sv_SE", 0),
    "PT": Place(0.03, "pt_PT", 1),
}
COUNTRIES: Final = tuple(PLACES)
DEVICES: Final[tuple[str, ...]] = get_args(Device)
RETURN_RATE: Final = (3.5, 6.5)
"""Beta distribution of a visitor's chance that a session is a return to a product seen before; mean 0.35."""
MAX_SENSITIVITY: Final = 0.6
"""Price sensitivity is this times Beta(2, 2)."""
NAMES_PER_COUNTRY: Final = 400
ANONYMOUS: Final = "anonymous"
BOT: Final = "bot"
"""What ids begin with instead of a name."""


@dataclass(frozen=True, slots=True)
class Visitors:
    """Arrays over this share's visitors."""

    ids: list[str]
    anonymous: np.ndarray
    """Who have no account: the shop knows them again when they return to a product, not otherwise."""
    country: np.ndarray
    device: np.ndarray
    favourites: np.ndarray
    """[visitor, 2] → category"""
    wish: np.ndarray
    """The product that the visitor returns to."""
    return_rate: np.ndarray
    sensitivity: np.ndarray
    activity: np.ndarray
    """Cumulative share of the sessions; not of the bots, who come last in the others."""

    @classmethod
    def draw(cls, seed: int, share: Share, catalogue: Catalogue, preset: Preset, bots: int = 0) -> "Visitors":
        """All visitors of the shop, of which the share's are kept: the same people however many replicas there are.

        So many bots of the share's own come after them.
        """
        rng = rng_for("visitors", seed, share.instance or "")
        interest = cumulative(TRADE[name].interest for name in CATEGORIES)
        country = np.searchsorted(cumulative(place.weight for place in PLACES.values()), rng.random(VISITORS), "right")
        device = np.searchsorted(cumulative(preset.devices[name] for name in DEVICES), rng.random(VISITORS), "right")
        favourites = np.searchsorted(interest, rng.random((VISITORS, 2)), "right")
        wish = catalogue.pick(rng, favourites[:, 0])
        activity = rng.lognormal(0.0, preset.activity_sigma, VISITORS)
        return_rate = rng.beta(*RETURN_RATE, VISITORS)
        sensitivity = MAX_SENSITIVITY * rng.beta(2, 2, VISITORS)
        names = rng.integers(0, NAMES_PER_COUNTRY, VISITORS)
        anonymous = np.zeros(VISITORS, dtype=bool)
        if preset.anonymous:
            anonymous = rng.random(VISITORS) < preset.anonymous

        own = slice(share.replica, None, share.replicas)
        people = _people(seed)
        prefix = f"{share.label}-" if share.instance else ""
        ids = [
            f"{ANONYMOUS if nameless else people[place][name]}-{prefix}{number:06d}"
            for number, (place, name, nameless) in enumerate(
                zip(country.tolist(), names.tolist(), anonymous.tolist(), strict=True)
            )
            if number % share.replicas == share.replica
        ]
        ids += [f"{BOT}-{share.label}{'-' if share.label else ''}{number:02d}" for number in range(bots)]
        with_bots = np.append(np.arange(VISITORS)[own], np.arange(bots))
        return cls(
            ids,
            np.append(anonymous[own], np.zeros(bots, dtype=bool)),
            country[with_bots],
            device[with_bots],
            favourites[with_bots],
            wish[with_bots],
            return_rate[with_bots],
            sensitivity[with_bots],
            cumulative(activity[own]),
        )


def _people(seed: int) -> list[list[str]]:
    """Account names by country, from Faker."""
    pools = []
    for country, place in PLACES.items():
        fake = Faker(place.locale)
        fake.seed_instance(entropy("people", seed, country))
        pools.append([fake.user_name() for _ in range(NAMES_PER_COUNTRY)])
    return pools
