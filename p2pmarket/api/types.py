"""All objects that the local API answers, under one name: see `api.values` for the rules they keep.

Stars, because this file exists only to join the three.
"""

from __future__ import annotations

from p2pmarket.api.daemon_types import *  # noqa: F403
from p2pmarket.api.trade_types import *  # noqa: F403
from p2pmarket.api.values import *  # noqa: F403
