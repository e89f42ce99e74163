"""The nine sellers of the demo: what each has, where, at which margin and on which terms of delivery."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from demo_orders import Article, csv_text, price_list


@dataclass(frozen=True)
class Seller:
    """`part` of all articles he has; `factor` his price over the real one (and the rate of his currency)."""

    key: str
    name: str
    region: str
    serves: tuple[str, ...]
    part: float
    factor: str
    delivery: str
    days: int
    valid: int
    currency: str = "GBP"
    by_hand: bool = False
    no_inbound: bool = False

    def config(self) -> str:
        """His config.toml: the terms of his automatic quotes."""
        return (
            "[quoting]\n"
            f"valid_days = {self.valid}\n"
            f"delivery_days = {self.days}\n"
            f'ships_from = "{self.region}"\n'
            f'delivery_charge = "{self.delivery} {self.currency}"\n'
        )

    def prices(self, articles: list[Article]) -> list[tuple[str, str, str]]:
        """(code, description, price) of what he has."""
        return price_list(articles, self.key, self.part, Decimal(self.factor))

    def price_file(self, articles: list[Article]) -> str:
        """His price list as the CSV that `market prices import` reads."""
        rows = [(*row, "pcs", self.currency) for row in self.prices(articles)]
        return csv_text(("code", "description", "price", "unit", "currency"), rows)


SELLERS = (
    Seller("northgate", "Northgate Wholesale", "GB", ("world",), 1.0, "1.12", "24.00", 5, 14),
    Seller("trent", "Trent Gift Supply", "GB", ("GB", "IE"), 0.98, "1.04", "6.50", 2, 7),
    Seller("hanse", "Hanse Kontor", "DE", ("DE", "NO", "NL", "GB"), 1.0, "1.19", "9.90", 4, 10, currency="EUR"),
    Seller("bergen", "Bergen Import", "NO", ("NO", "SE", "DK"), 0.85, "1.06", "12.00", 3, 30),
    Seller("liffey", "Liffey Traders", "IE", ("IE", "GB"), 0.70, "0.97", "8.00", 4, 7),
    Seller("seine", "Seine Décor", "FR", ("world",), 0.60, "0.95", "18.50", 6, 14),
    Seller("maas", "Maas Giftware", "NL", ("NL", "DE", "NO", "GB"), 1.0, "1.05", "15.00", 4, 21),
    Seller("severn", "Severn Crafts", "GB", ("GB", "NO", "DE"), 1.0, "0.90", "5.00", 2, 7, no_inbound=True),
    Seller("aldgate", "Aldgate Makers", "GB", ("GB",), 1.0, "0.99", "11.00", 9, 30, by_hand=True),
)
