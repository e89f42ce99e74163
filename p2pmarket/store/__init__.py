"""SQLite: `ledger` (what must never be lost) and `cache` (what may be deleted at any time)."""
