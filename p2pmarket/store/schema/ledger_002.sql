-- The link key by which we ask one seller who knows us anyway, until it has served long enough or he announces another
-- service key; its seed is in exchange_keys, and every request that it served names it.
CREATE TABLE standing_keys (
  seller BLOB PRIMARY KEY,
  service BLOB NOT NULL,
  public BLOB NOT NULL,
  made INTEGER NOT NULL
) WITHOUT ROWID;

-- Asked for with every request that comes: how many wait for an answer, and how many came from there lately.
CREATE INDEX requests_waiting ON requests (reply_by)
  WHERE role = 'seller' AND state = 'open' AND attention <> 'answered';
CREATE INDEX requests_by_group ON requests (address_group, created) WHERE address_group IS NOT NULL;
