"""All objects that the local API answers, under one name: see `api.types.values` for the rules they keep.

Stars, because this file exists only to join them.
"""

from __future__ import annotations

from p2pmarket.api.types.daemon import *  # noqa: F403
from p2pmarket.api.types.fulfil import *  # noqa: F403
from p2pmarket.api.types.moving import *  # noqa: F403
from p2pmarket.api.types.priced import *  # noqa: F403
from p2pmarket.api.types.quarrel import *  # noqa: F403
from p2pmarket.api.types.shown import *  # noqa: F403
from p2pmarket.api.types.talk import *  # noqa: F403
from p2pmarket.api.types.trade import *  # noqa: F403
from p2pmarket.api.types.values import *  # noqa: F403
