"""``python -m generator --describe``: what a run would send, in figures and plots, beside what shops report."""

import html
import io
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from rich.console import Console
from rich.table import Table

from contracts.errors import Mistake
from contracts.events import STREAMS, Click, Purchase, decoder
from generator.config import Config
from generator.ledger import Ledger
from generator.records import EVENTS
from generator.shop import Shop
from generator.visitors import BOT, DEVICES

PAGE: Final = Path(__file__).with_name("description.html")
COLOUR: Final = "#2b6cb0"
DEPTHS: Final = ("all", "product", "cart", "checkout", "purchase")


@dataclass(slots=True)
class Session:
    """Of a person."""

    user: str
    device: str
    hour: int
    """In the preset's time zone, of the first page."""
    pages: Counter[str] = field(default_factory=Counter)
    purchases: int = 0
    units: int = 0
    cents: int = 0


@dataclass(slots=True)
class Description:
    """Figures of a run that went nowhere."""

    config: Config
    ledger: Ledger
    sessions: dict[str, Session]
    clicks: int
    bot_clicks: int

    @classmethod
    def of(cls, config: Config) -> "Description":
        """Plays the days of a run."""
        shop, ledger, zone = Shop(config, config.start_ms), Ledger(config), ZoneInfo(config.preset.zone)
        sessions: dict[str, Session] = {}
        purchases: defaultdict[str, list[Purchase]] = defaultdict(list)
        decoders = [decoder(stream) for stream in STREAMS]
        clicks = bot_clicks = 0
        while not shop.finished:
            batch = shop.step()
            ledger.add(batch, 0, len(batch.facts))
            kinds, streams = batch.facts["kind"].tolist(), batch.facts["stream"].tolist()
            for kind, stream, value in zip(kinds, streams, batch.values, strict=True):
                event = decoders[stream].decode(value) if kind in EVENTS else None
                if isinstance(event, Click):
                    clicks += 1
                    if event.user_id.startswith(f"{BOT}-"):
                        bot_clicks += 1
                        continue
                    hour = event.event_time.astimezone(zone).hour
                    session = sessions.setdefault(event.session_id, Session(event.user_id, event.device, hour))
                    session.pages[event.page] += 1
                elif isinstance(event, Purchase):
                    purchases[event.session_id].append(event)
        for name, bought in purchases.items():
            if name in sessions:
                sessions[name].purchases = len(bought)
                sessions[name].units = sum(purchase.quantity for purchase in bought)
                sessions[name].cents = sum(int(purchase.total * 100) for purchase in bought)
        return cls(config, ledger, sessions, clicks, bot_clicks)

    @property
    def title(self) -> str:
        return f"{self.config.preset.name}, {self.config.span}, {self.ledger.events:,} events"

    @property
    def orders(self) -> list[Session]:
        return [session for session in self.sessions.values() if session.units]

    def depth(self, name: str) -> int:
        """The sessions that reached a page, or bought."""
        if name == "all":
            return len(self.sessions)
        return len(self.orders) if name == "purchase" else sum(name in s.pages for s in self.sessions.values())

    def on(self, device: str) -> list[Session]:
        return [session for session in self.sessions.values() if session.device == device]

    def by_visitor(self) -> Counter[str]:
        """The events of each person that the shop tells apart."""
        found = Counter[str]()
        for session in self.sessions.values():
            found[session.user] += session.pages.total() + session.purchases
        return found

    def figures(self) -> list[tuple[str, str, str]]:
        """Name, ours, and what is reported."""
        counts = list(self.ledger.counts.values())
        produced, orders, carts = max(self.ledger.events, 1), max(len(self.orders), 1), max(self.depth("cart"), 1)
        everyone = max(len(self.sessions), 1)
        reported = {"desktop": ("32 %", "3.8 %"), "mobile": ("65 %", "2.3 %"), "tablet": ("3 %", "3.2 %")}
        rows = [("sessions", f"{len(self.sessions):,}", "")]
        for device in DEVICES:
            on, buys = reported[device]
            rows.append((f"… on {device}", f"{len(self.on(device)) / everyone:.1%}", on))
            rows.append((f"… of which buy, on {device}", f"{_share(self.on(device), lambda s: s.units > 0):.2%}", buys))
        pages = sum((session.pages for session in self.sessions.values()), Counter[str]())
        median, most = np.percentile(list(self.by_visitor().values()) or [0], [50, 99])
        rows += [
            ("events of a visitor, median", f"{median:.0f}", "2"),
            ("events of a visitor, 99th percentile", f"{most:.0f}", "119"),
            ("sessions that buy", f"{len(self.orders) / everyone:.2%}", "2.3 to 3.2 %"),
            ("sessions with a cart", f"{self.depth('cart') / everyone:.1%}", "12.5 to 13.5 %"),
            ("carts abandoned", f"{1 - len(self.orders) / carts:.1%}", "70 to 78 %"),
            ("mobile sessions of one page", f"{_share(self.on('mobile'), lambda s: s.pages.total() == 1):.1%}", "50 %"),
            ("taken out of the cart again", f"{pages['removal'] / max(pages['cart'], 1):.1%}", ""),
            ("units an order", f"{sum(s.units for s in self.orders) / orders:.2f}", "2.9 to 5.1"),
            ("EUR an order", f"{sum(s.cents for s in self.orders) / orders / 100:,.2f}", ""),
            ("pages that bots see", f"{self.bot_clicks / max(self.clicks, 1):.1%}", "40 to 60 %"),
        ]
        for name in ("delayed", "later_day", "duplicates", "stale_duplicates", "held", "misdated", "malformed"):
            share = sum(getattr(count, name) for count in counts) / produced
            rows.append((f"{name.replace('_', ' ')}, of the events", f"{share:.2%}", ""))
        return rows


def _share(sessions: list[Session], is_so: Callable[[Session], bool]) -> float:
    return sum(map(is_so, sessions)) / max(len(sessions), 1)


def describe(config: Config, page: Path, console: Console) -> None:
    """Prints the figures and writes the page with the plots, which needs no network. Raises ``Mistake``."""
    try:
        import matplotlib
    except ImportError:
        raise Mistake(
            "--describe needs matplotlib; it is in requirements/lock.txt, not in the generator's image"
        ) from None
    matplotlib.use("svg")
    found = Description.of(config)
    table = Table("figure", title=found.title, title_justify="left")
    for heading in ("ours", "reported"):
        table.add_column(heading, justify="right")
    for row in found.figures():
        table.add_row(*row)
    console.print(table)
    cells = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in found.figures())
    text = Template(PAGE.read_text(encoding="utf-8")).substitute(
        title=html.escape(found.title),
        rows="".join(f"<tr>{row}</tr>\n" for row in cells),
        plots="\n".join(_plots(found)),
    )
    try:
        page.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Mistake(f"cannot write {page}: {error.strerror}") from error
    console.print(f"With plots: {page}")


def _plots(found: Description) -> list[str]:
    hours = Counter(session.hour for session in found.sessions.values())
    units = Counter(min(session.units, 10) for session in found.orders)
    values = Counter(min(session.cents // 2_000, 15) for session in found.orders)
    return [
        _bars(f"Sessions by hour, {found.config.preset.zone}", {f"{hour:02}": hours[hour] for hour in range(24)}),
        _bars("Sessions that reach", {name: found.depth(name) for name in DEPTHS}),
        _bars("Orders by units (10: or more)", {str(number): units[number] for number in range(1, 11)}),
        _bars("Orders by value, from so many EUR", {str(20 * number): values[number] for number in range(16)}),
    ]


def _bars(title: str, figures: dict[str, int]) -> str:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 2.6))
    axes.bar(list(figures), list(figures.values()), color=COLOUR)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    _, tag, rest = out.getvalue().partition("<svg")
    return f"<h2>{html.escape(title)}</h2>\n{tag}{rest}"
