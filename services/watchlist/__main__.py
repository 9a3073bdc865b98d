"""`python -m services.watchlist`."""

from __future__ import annotations

from alerthub.process import main
from services.watchlist.service import build
from services.watchlist.settings import WatchlistSettings

if __name__ == "__main__":
    main(WatchlistSettings(), build)
