#!/usr/bin/env python3
"""Make the tables of p2pmarket/data from their sources (p2pmarket/data/README.md names them and their licences).

    python scripts/make_data.py --cpv cpv_en.json --units unece_rec20_units.json

needs Babel (Unicode CLDR) for the names of countries and currencies. Hand-made tables (`aliases.tsv`,
`unit_aliases.tsv`) are sources themselves and are not written here. Same sources, same bytes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

from babel import Locale
from babel.core import UnknownLocaleError, get_global

DATA = Path(__file__).resolve().parent.parent / "p2pmarket" / "data"

# Units of UN/ECE Recommendation 20 that the recommended list leaves out but trade uses, and the packages of
# Recommendation 21, which are written with an X in front where a unit is asked for (as UBL and Peppol do).
MORE_UNITS = """
EA each|LBR pound|ONZ ounce|DZN dozen|GRO gross|CLT centilitre|DLT decilitre|HLT hectolitre|FOT foot|YRD yard
SMI mile|FTK square foot|YDK square yard|INK square inch|ACR acre|GLL gallon (US)|GLI gallon (UK)|PT pint (US)
PTI pint (UK)|OZA fluid ounce (US)|OZI fluid ounce (UK)|QT quart (US)|QTI quart (UK)|WEE week|LEF leaf|PF pallet (lift)
DTN decitonne|DZP dozen pack|HD half dozen|HC hundred count|STN ton (US)|LTN ton (UK)|MIL thousand|AS assortment
XBX box|XBG bag|XBO bottle|XCT carton|XCS case|XCR crate|XPK package|XPA packet|XPX pallet|XRO roll|XRL reel|XSA sack
XBE bundle|XDR drum|XBA barrel|XBJ bucket|XTU tube|XJR jar|XCX can|XTR trunk|XBK basket|XBL bale|XBB bobbin|XCY cylinder
XCH chest|XPC parcel|XPU tray|XSX set|XTB tub|XAM ampoule|XVI vial|XPO pouch|XSH sachet|XTN tin|XCN container
XTK tank|XKG keg|XJC jerrican|XCU cup|XBH bunch
"""

# ISO 4217 list one, alphabetic code with its minor-unit exponent where that is not 2; funds and metals are left out.
CURRENCIES = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD:3 BIF:0 BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP:0
CNY COP CRC CUP CVE CZK DJF:0 DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF:0 GTQ GYD HKD HNL HTG
HUF IDR ILS INR IQD:3 IRR ISK:0 JMD JOD:3 JPY:0 KES KGS KHR KMF:0 KPW KRW:0 KWD:3 KYD KZT LAK LBP LKR LRD LSL LYD:3
MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR:3 PAB PEN PGK PHP PKR PLN
PYG:0 QAR RON RSD RUB RWF:0 SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND:3 TOP TRY
TTD TWD TZS UAH UGX:0 USD UYU UZS VED VES VND:0 VUV:0 WST XAF:0 XCD XCG XOF:0 XPF:0 YER ZAR ZMW ZWG
"""
CURRENCY_NAMES = {"XCG": "Caribbean Guilder", "ZWG": "Zimbabwe Gold", "VED": "Bolívar Digital", "SLE": "Leone"}

# A sign with several currencies asks; the default currency may settle it.
SIGNS = {
    "EUR": "€ 유로 euro euros",
    "GBP": "£ ￡ 파운드 pound pounds quid sterling",
    "KRW": "₩ 원 won",
    "JPY": "¥ 円 엔 yen",
    "CNY": "¥ 元 위안 yuan rmb",
    "USD": "$ us$ 달러 dollar dollars",
    "CAD": "$ c$ ca$ 달러 dollar dollars",
    "AUD": "$ a$ au$ 달러 dollar dollars",
    "NZD": "$ nz$ dollar dollars",
    "HKD": "$ hk$ dollar dollars",
    "SGD": "$ s$ dollar dollars",
    "TWD": "$ nt$",
    "MXN": "$ mx$ peso pesos",
    "CLP": "$ peso pesos",
    "ARS": "$ peso pesos",
    "COP": "$ peso pesos",
    "INR": "₹ rs rupee rupees",
    "PKR": "₨ rs rupee rupees",
    "NPR": "₨ rs",
    "LKR": "₨ rs",
    "RUB": "₽ руб рублей",
    "UAH": "₴ грн",
    "TRY": "₺ tl",
    "ILS": "₪",
    "VND": "₫ đ 동",
    "THB": "฿ 바트 baht",
    "PHP": "₱ 페소",
    "PLN": "zł zl",
    "CZK": "kč kc",
    "HUF": "ft",
    "DKK": "kr",
    "SEK": "kr",
    "NOK": "kr",
    "ISK": "kr",
    "CHF": "fr sfr franken francs",
    "BRL": "r$ real reais",
    "ZAR": "r rand",
    "MYR": "rm ringgit",
    "IDR": "rp rupiah",
    "NGN": "₦ naira",
    "GHS": "₵",
    "KES": "ksh",
    "KZT": "₸",
    "GEL": "₾",
    "MNT": "₮",
    "PYG": "₲",
    "CRC": "₡",
    "LAK": "₭",
    "BDT": "৳",
    "RON": "lei leu",
    "MDL": "lei leu",
    "AED": "dh dhs dirham",
}

# Names people type that CLDR does not carry as a name.
MORE_REGION_NAMES = {
    "KR": "korea|south korea|republic of korea|rok|한국|남한|大韓民國|韓國|韩国|韓国",
    "KP": "dprk|북한|조선",
    "GB": "uk|u.k.|britain|great britain|england|scotland|wales|northern ireland|영국",
    "US": "usa|u.s.|u.s.a.|america|united states of america|미국",
    "IE": "eire|republic of ireland",
    "NL": "holland|the netherlands",
    "CZ": "czech republic|체코",
    "CI": "ivory coast",
    "VA": "holy see",
    "TR": "turkey",
    "MK": "macedonia",
    "MM": "burma",
    "SZ": "swaziland",
    "CV": "cape verde",
    "RU": "russian federation",
    "AE": "uae|emirates",
    "CD": "dr congo|drc",
    "TW": "taiwan|대만",
    "CN": "prc|중국",
    "HK": "hong kong|홍콩",
    "VN": "viet nam|베트남|월남",
    "LA": "laos|lao",
    "SY": "syria",
    "IR": "iran",
    "MO": "macau|macao",
    "PS": "palestine",
    "DE": "독일",
    "FR": "프랑스",
    "JP": "일본",
    "TL": "east timor",
    "BN": "brunei",
}


def write(name: str, rows: Iterable[Iterable[str]]) -> None:
    """Write one tab separated table; a tab inside a field would be a fault of the source."""
    lines = ["\t".join(row) + "\n" for row in rows]
    (DATA / name).write_text("".join(lines), encoding="utf-8", newline="\n")


def cpv_rows(source: Path) -> Iterable[tuple[str, str]]:
    """Code with check digit, label; in order of the codes."""
    for code, label in sorted(json.loads(source.read_text(encoding="utf-8")).items()):
        yield code, " ".join(label.split())


def unit_rows(source: Path) -> Iterable[tuple[str, str, str]]:
    """Code, English name, symbol."""
    units = {
        code: (unit["name"], unit["symbol"]) for code, unit in json.loads(source.read_text(encoding="utf-8")).items()
    }
    for entry in MORE_UNITS.replace("\n", "|").split("|"):
        code, _, name = entry.strip().partition(" ")
        if code:
            units.setdefault(code, (name, ""))
    for code, (name, symbol) in sorted(units.items()):
        yield code, " ".join(name.split()), symbol


def currency_rows() -> Iterable[tuple[str, str, str, str, str]]:
    """Code, exponent, English name, Korean name, signs and words (separated by spaces)."""
    english, korean = Locale("en").currencies, Locale("ko").currencies
    for entry in CURRENCIES.split():
        code, _, exponent = entry.partition(":")
        name = english.get(code, CURRENCY_NAMES.get(code, code))
        yield code, exponent or "2", name, korean.get(code, ""), SIGNS.get(code, "")


def native_names(code: str) -> list[str]:
    """The country's name in its official languages, as far as CLDR has them."""
    names = []
    for language, facts in get_global("territory_languages").get(code, {}).items():
        if not str(facts["official_status"] or "").endswith("official"):
            continue
        try:
            name = Locale.parse(language).territories.get(code)
        except (ValueError, UnknownLocaleError):  # a language or script CLDR lists but does not carry
            continue
        if name:
            names.append(name)
    return names


def region_rows(assigned: Path) -> Iterable[tuple[str, str, str, str]]:
    """Alpha-2 code, English name, Korean name, other names separated by `|` (alpha-3 first)."""
    alpha3 = {new[0]: old for old, new in get_global("territory_aliases").items() if len(old) == 3 and old.isalpha()}
    english, korean = Locale("en").territories, Locale("ko").territories
    listed = [line.split("\t")[0] for line in assigned.read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    for code in sorted(listed):
        others = [alpha3.get(code, ""), *native_names(code), *MORE_REGION_NAMES.get(code, "").split("|")]
        known = {english[code].casefold(), korean[code].casefold(), ""}
        unique = [name for name in dict.fromkeys(others) if name.casefold() not in known]
        yield code, english[code], korean[code], "|".join(unique)


def main() -> None:
    """Write all generated tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cpv", type=Path, required=True)
    parser.add_argument("--units", type=Path, required=True)
    parser.add_argument("--countries", type=Path, default=Path("/usr/share/zoneinfo/iso3166.tab"))
    paths = parser.parse_args()
    write("cpv.tsv", cpv_rows(paths.cpv))
    write("units.tsv", unit_rows(paths.units))
    write("currencies.tsv", currency_rows())
    write("regions.tsv", region_rows(paths.countries))


if __name__ == "__main__":
    main()
