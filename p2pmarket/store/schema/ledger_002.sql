-- The link key by which we ask one seller who knows us anyway, until it has served long enough; its seed is in
-- exchange_keys, and every request that it served names it.
CREATE TABLE standing_keys (
  seller BLOB PRIMARY KEY,
  public BLOB NOT NULL,
  made INTEGER NOT NULL
) WITHOUT ROWID;
