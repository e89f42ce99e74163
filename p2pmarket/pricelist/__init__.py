"""Price lists, request lines and quote lines as CSV files; see `sheet` for what counts as CSV."""

from p2pmarket.pricelist.columns import RowProblem
from p2pmarket.pricelist.prices import PriceList, PriceRow, read_price_list, write_price_list
from p2pmarket.pricelist.wanted import (
    QuoteLineRow,
    QuoteLines,
    RequestLineRow,
    RequestLines,
    read_quote_lines,
    read_request_lines,
    unread_columns,
)

__all__ = [
    "PriceList",
    "PriceRow",
    "QuoteLineRow",
    "QuoteLines",
    "RequestLineRow",
    "RequestLines",
    "RowProblem",
    "read_price_list",
    "read_quote_lines",
    "read_request_lines",
    "unread_columns",
    "write_price_list",
]
