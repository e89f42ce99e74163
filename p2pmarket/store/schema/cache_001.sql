-- What may be deleted at any time: proven nodes of the DHT, and what others told us about themselves.

CREATE TABLE nodes (
  contact TEXT PRIMARY KEY,
  address_group BLOB NOT NULL,
  bucket INTEGER NOT NULL,
  answered INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE sellers (
  identity BLOB NOT NULL,
  category TEXT NOT NULL,
  name TEXT NOT NULL,
  record BLOB NOT NULL,
  expires INTEGER NOT NULL,
  PRIMARY KEY (identity, category)
);
CREATE INDEX sellers_by_category ON sellers (category);

-- The newest rating of one peer by another that was found.
CREATE TABLE ratings (
  rated BLOB NOT NULL,
  rater BLOB NOT NULL,
  envelope BLOB NOT NULL,
  issued INTEGER NOT NULL,
  version INTEGER NOT NULL,
  seen INTEGER NOT NULL,
  PRIMARY KEY (rated, rater)
);
