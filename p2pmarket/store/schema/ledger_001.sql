-- What must never be lost: keys' use, signed documents, what waits to be sent. Times are UTC seconds; hashes and keys
-- are 32 bytes; money and quantities live inside the signed documents only.

CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

-- X25519 keys that links are encrypted to: one a month for the seller's side, one for each request of ours.
CREATE TABLE exchange_keys (
  public BLOB PRIMARY KEY,
  seed BLOB NOT NULL,
  use TEXT NOT NULL CHECK (use IN ('service', 'request')),
  created INTEGER NOT NULL
) WITHOUT ROWID;

-- Every signed document that we made or took. Rows are only added, `ack` is filled once and `seen` may follow.
CREATE TABLE documents (
  seq INTEGER PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,
  kind INTEGER NOT NULL,
  id TEXT NOT NULL,                -- a letter and the hash in base32: looked up by the hash
  thread BLOB NOT NULL,            -- hash of the request it belongs to
  ours INTEGER NOT NULL,
  signer BLOB NOT NULL,
  recipient BLOB NOT NULL,         -- of the envelope kept here; empty for our own request, which has one per seller
  envelope BLOB NOT NULL,
  time INTEGER NOT NULL,           -- when we saved it
  ack BLOB                         -- our signed acknowledgement of theirs, or theirs of ours (orders and the like)
);
CREATE INDEX documents_by_thread ON documents (thread, seq);
CREATE INDEX documents_rating ON documents (signer, recipient, seq) WHERE kind = 17;

CREATE TABLE requests (
  hash BLOB PRIMARY KEY REFERENCES documents (hash),
  id TEXT NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('buyer', 'seller')),
  state TEXT NOT NULL CHECK (state IN ('open', 'awarded', 'enough', 'cancelled')),
  category TEXT NOT NULL,
  created INTEGER NOT NULL,
  reply_by INTEGER NOT NULL,
  -- buyer's side
  sign_seed BLOB,
  exchange_public BLOB,
  quotes_wanted INTEGER,
  search TEXT NOT NULL DEFAULT '{}',
  target TEXT,                      -- JSON list of the peers named with --to, instead of a lookup
  -- seller's side
  attention TEXT CHECK (attention IN ('new', 'seen', 'answered')),
  buyer_exchange BLOB,
  buyer_routes BLOB,
  matched_lines INTEGER,
  doubts TEXT NOT NULL DEFAULT '{}', -- JSON: line -> why a person must look at it
  address_group BLOB,
  -- ours again
  introduced TEXT CHECK (introduced IN ('all', 'contacts', 'nobody')), -- who is told our identity
  made_for BLOB                     -- hash of the request in our inbox that it serves; told to nobody
);
CREATE INDEX requests_made_for ON requests (made_for) WHERE made_for IS NOT NULL;
CREATE INDEX requests_by_role ON requests (role, created);
CREATE INDEX requests_by_exchange ON requests (exchange_public) WHERE exchange_public IS NOT NULL;
CREATE INDEX requests_by_buyer ON requests (buyer_exchange) WHERE buyer_exchange IS NOT NULL;
CREATE INDEX requests_by_end ON requests (state, reply_by);

-- A buyer's sellers: whom a request was sent to and what came back.
CREATE TABLE asked (
  request BLOB NOT NULL REFERENCES requests (hash),
  seller BLOB NOT NULL,
  name TEXT NOT NULL,
  record BLOB NOT NULL,             -- the announcement by which he was found
  answer TEXT NOT NULL CHECK (answer IN ('waiting', 'quoted', 'declined', 'silent', 'unreachable')),
  reason TEXT,
  updated INTEGER NOT NULL,
  PRIMARY KEY (request, seller)
) WITHOUT ROWID;

CREATE TABLE quotes (
  hash BLOB PRIMARY KEY REFERENCES documents (hash),
  id TEXT NOT NULL,
  request BLOB NOT NULL REFERENCES requests (hash),
  seller BLOB NOT NULL,
  ours INTEGER NOT NULL,
  version INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'superseded', 'countered', 'ordered', 'withdrawn', 'lost')),
  valid_until INTEGER NOT NULL,
  automatic INTEGER NOT NULL,
  counter BLOB,                     -- the buyer's counter to it
  seen INTEGER NOT NULL DEFAULT 0,  -- whether a person has looked at it, if we got it
  UNIQUE (request, seller, version)
);
CREATE INDEX quotes_to_choose ON quotes (valid_until) WHERE ours = 0 AND state = 'open';

CREATE TABLE orders (
  hash BLOB PRIMARY KEY REFERENCES documents (hash),
  id TEXT NOT NULL,
  deal TEXT NOT NULL,
  request BLOB NOT NULL REFERENCES requests (hash),
  quote BLOB NOT NULL REFERENCES quotes (hash),
  role TEXT NOT NULL CHECK (role IN ('buyer', 'seller')),
  other BLOB NOT NULL,              -- identity of the other side
  state TEXT NOT NULL CHECK (state IN ('ordered', 'accepted', 'rejected', 'amended', 'cancelled')),
  created INTEGER NOT NULL,
  answer_by INTEGER NOT NULL,
  seen INTEGER NOT NULL DEFAULT 0,
  response BLOB REFERENCES documents (hash),
  agreed INTEGER,
  -- copies of what the documents fold to, for lists
  stage TEXT NOT NULL DEFAULT 'ordered',   -- state of the deal
  payment TEXT NOT NULL DEFAULT 'none',    -- state of its payment
  turn TEXT NOT NULL DEFAULT 'seller' CHECK (turn IN ('buyer', 'seller', 'none')),
  due INTEGER,                             -- until when he must act
  follows TEXT,                            -- what follows if he does not
  contract BLOB,                           -- the change in force; null: as ordered
  completes INTEGER,                       -- from when on it is shown as completed; null: more is to do
  tell_price INTEGER NOT NULL DEFAULT 0,   -- whether sellers who lost learn the price
  taken TEXT                               -- what it took from the stock, as JSON; null: nothing that can come back
);
CREATE INDEX orders_by_time ON orders (created);
CREATE INDEX orders_by_request ON orders (request, created);
CREATE INDEX orders_by_other ON orders (other);

-- Documents of the other side that a person should look at, beside requests and orders.
CREATE TABLE notices (
  hash BLOB PRIMARY KEY REFERENCES documents (hash),
  thread BLOB NOT NULL,
  kind TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('new', 'seen', 'answered')),
  time INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX notices_waiting ON notices (time) WHERE state <> 'answered';
CREATE INDEX notices_by_thread ON notices (thread) WHERE state <> 'answered';

-- Threads that nothing may be signed in: after a restore, until the other side has returned what we have lost.
CREATE TABLE recalls (
  thread BLOB NOT NULL,
  seller BLOB NOT NULL,             -- the thread's seller: somebody whom we asked, or ourselves
  PRIMARY KEY (thread, seller)
) WITHOUT ROWID;

-- What waits to reach somebody. `local` and `remote` name the link: our and their X25519 key.
CREATE TABLE outbox (
  seq INTEGER PRIMARY KEY,
  hash BLOB NOT NULL,
  kind INTEGER NOT NULL,
  thread BLOB NOT NULL,
  recipient BLOB NOT NULL,          -- whose signature acknowledges it
  local BLOB NOT NULL,
  remote BLOB NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('queued', 'delivered', 'seen', 'failed')),
  reason TEXT,
  until INTEGER NOT NULL,           -- we stop trying then
  updated INTEGER NOT NULL,
  resent INTEGER NOT NULL DEFAULT 0, -- times that it was queued again after we had given it up
  envelope BLOB NOT NULL,           -- last, so that the rest is read without it
  UNIQUE (hash, recipient)
);
-- What waits is looked at several times a second: it never costs more than itself, whatever was sent before.
CREATE INDEX outbox_waiting ON outbox (local, remote, seq) WHERE state = 'queued';
CREATE INDEX outbox_queued ON outbox (until, updated, hash, local, remote) WHERE state = 'queued';
CREATE INDEX outbox_by_thread ON outbox (thread, recipient);
-- What was given up and may be sent again is looked for with everything that comes: there is little of it.
CREATE INDEX outbox_given_up_to ON outbox (remote)
  WHERE state = 'failed' AND reason = 'no acknowledgement in time' AND kind > 2;
CREATE INDEX outbox_given_up_for ON outbox (recipient)
  WHERE state = 'failed' AND reason = 'no acknowledgement in time' AND kind > 2;
CREATE INDEX outbox_given_up_since ON outbox (kind BETWEEN 8 AND 18, updated)
  WHERE state = 'failed' AND reason = 'no acknowledgement in time' AND kind > 2;

-- The other ends of links: how to dial them, and how the last tries went.
CREATE TABLE correspondents (
  local BLOB NOT NULL,
  remote BLOB NOT NULL,
  routes BLOB NOT NULL,             -- packed list of (kind, data)
  keep_until INTEGER NOT NULL,      -- we expect something from them until then
  PRIMARY KEY (local, remote)
) WITHOUT ROWID;
CREATE INDEX correspondents_by_remote ON correspondents (remote);
CREATE INDEX correspondents_by_end ON correspondents (keep_until);

-- The address book: whom we know, under our own name for him.
CREATE TABLE contacts (
  identity BLOB PRIMARY KEY,
  name TEXT NOT NULL,
  folded TEXT NOT NULL UNIQUE,      -- the name as it is looked up
  record BLOB,                      -- his newest announcement that we saw
  added INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE announcements (
  category TEXT PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  regions TEXT NOT NULL,            -- JSON list
  envelope BLOB NOT NULL,
  seq INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  holders INTEGER NOT NULL DEFAULT 0,
  state TEXT NOT NULL CHECK (state IN ('announced', 'withdrawn'))
);

CREATE TABLE prices (
  row INTEGER PRIMARY KEY,
  code TEXT NOT NULL,
  description TEXT NOT NULL,
  unit TEXT NOT NULL,
  price TEXT NOT NULL,
  per TEXT NOT NULL,
  currency TEXT NOT NULL,
  stock TEXT,
  min_qty TEXT,
  category TEXT,
  lead_days INTEGER,
  tax_rate TEXT,
  url TEXT
);
CREATE INDEX prices_by_code ON prices (code);

CREATE TABLE profile (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- The event stream: gap-proof numbers; the object is looked up when it is read.
CREATE TABLE events (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  time INTEGER NOT NULL,
  type TEXT NOT NULL,
  id TEXT NOT NULL,
  subject BLOB NOT NULL,            -- hash of the request, quote or order that it is about
  party BLOB NOT NULL DEFAULT x''   -- the seller whom it concerns, if any
);

-- Two signed documents in one slot, by rising hash, each with its recipient: a proof against their signer.
CREATE TABLE proofs (
  hash BLOB PRIMARY KEY,            -- of both hashes
  id TEXT NOT NULL UNIQUE,
  signer BLOB NOT NULL,
  kind INTEGER NOT NULL,
  first BLOB NOT NULL,
  first_to BLOB NOT NULL,
  second BLOB NOT NULL,
  second_to BLOB NOT NULL,
  time INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX proofs_by_signer ON proofs (signer, time);

CREATE TABLE idempotency (
  key TEXT PRIMARY KEY,
  route TEXT NOT NULL,
  body BLOB NOT NULL,               -- SHA-256 of what was asked
  reply BLOB NOT NULL,
  time INTEGER NOT NULL
) WITHOUT ROWID;
