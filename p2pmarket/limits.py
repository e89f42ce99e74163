"""Every limit of the protocol and of the daemon, in one place, with its unit and its reason.

docs/threats.md lists them for people; tests hold each at the limit and one over.
"""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 86400

# Encoding
CBOR_DEPTH: Final = 8  # nested arrays in anything from outside
DATAGRAM_ITEMS: Final = 512  # CBOR items in a datagram
DOCUMENT_ITEMS: Final = 16_384  # CBOR items in a trade document: 1,000 lines of 16

# Datagrams
DATAGRAM_BYTES: Final = 1200  # fits every path's MTU with IPv6 and tunnels (RFC 9000 section 14)
SESSIONS: Final = 4096  # confirmed sessions kept, least recently used goes first
UNCONFIRMED_SESSIONS: Final = 1024  # message-1 sessions without proof of address
UNCONFIRMED_SECONDS: Final = 10
SESSION_IDLE_SECONDS: Final = 600
SESSION_PACKETS: Final = 2**20  # then a new handshake
SESSION_SECONDS: Final = HOUR
REPLAY_WINDOW: Final = 1024  # datagrams that may arrive out of order
COOKIE_SECONDS: Final = 120  # life of the cookie secret; the one before stays valid
HANDSHAKES_PER_SECOND: Final = 500  # above it first contacts must show a cookie
HANDSHAKES_BURST: Final = 100  # at once: for so long nothing else is done, and the socket's buffer must hold out
COOKIES_PER_SECOND: Final = 1000  # given away; above it strangers who call are not heard
COOKIE_HANDSHAKES_PER_SECOND: Final = 1000  # of those that do; above it they are dropped: a third of a core at most
SESSION_SILENCE_SECONDS: Final = 1  # a question unanswered for so long: the next one asks for a new session

# Links
FRAME_BYTES: Final = 65_535  # u16 length, Noise limit
LINK_MESSAGE_BYTES: Final = 320 * KIB  # a document with its envelope and frame words
HANDSHAKE_SECONDS: Final = 5  # from accept to a finished handshake
DIAL_SECONDS: Final = 10  # TCP connect and handshake
PLACES: Final = 4096  # hosts named in requests whose failures are remembered
PLACE_FAILURES: Final = 3  # in a row; then such a host is called less often
PLACE_SECONDS: Final = 60  # between calls of such a host
LINK_IDLE_SECONDS: Final = 90  # a keepalive goes at a third of it
LINK_SPARE_SECONDS: Final = 1  # an idle one that has been quiet so long gives way to a caller when no more are let in
LINKS: Final = 256  # open links of a daemon
LINKS_PER_ADDRESS: Final = 8  # inbound from one IPv4 address or /48
UNACKED_DOCUMENTS: Final = 32  # per link; the reader stops above
UNACKED_BYTES: Final = KIB * KIB
PORTION_MESSAGES: Final = 8  # of one link taken before others have their turn
PORTION_BYTES: Final = 64 * KIB  # likewise; a longer message is a portion of its own
PORTIONS_AT_ONCE: Final = 8  # waiting for the ledger, so that its owner's calls need not wait for more
UNSENT_BYTES: Final = 2 * UNACKED_BYTES  # per link, left unread by the other side; the reader stops above

# Trade documents
DOCUMENT_BYTES: Final = 256 * KIB
ENVELOPE_BYTES: Final = DOCUMENT_BYTES + 256  # a document with its signature and header
DOCUMENT_LINES: Final = 1000
AMOUNT: Final = 10**15  # minor units of one amount; 1,000 of them still fit 64 bits
EVIDENCE_BYTES: Final = 16 * KIB * KIB  # an exported deal: all documents of its thread in base64 with a summary
EVIDENCE_DOCUMENTS: Final = 1000  # likewise: those of both sides, the orders, and an acknowledgement of each
EVIDENCE_EARLY: Final = 8  # bills of a file that are tried before what stands before them
LAST_INSTANT: Final = 253_402_300_799  # the last second of the year 9999
CHARGES: Final = 50  # of one quote
TAX_RATES: Final = 20  # of one quote
TEXT_CHARS: Final = 4000  # free text of a document
LINE_TEXT_CHARS: Final = 500
NAME_CHARS: Final = 60
CODE_CHARS: Final = 60
URL_CHARS: Final = 500
ADDRESS_LINES: Final = 8
REQUEST_SECONDS: Final = 30 * DAY  # longest reply-by
QUOTE_SECONDS: Final = 90 * DAY  # longest validity
QUOTES_WANTED: Final = 50
SELLERS_ASKED: Final = 50  # fan-out of one request
QUOTE_VERSIONS: Final = 20  # per thread
QUOTES_PER_REQUEST: Final = 200
THREAD_DOCUMENTS: Final = 100  # of one signer about one request: 20 versions, as many withdrawals, and the rest
THREAD_NOTES: Final = 50  # of them, notes
THREAD_BYTES: Final = 4 * DOCUMENT_BYTES  # likewise; all of a thread is read when one document of it comes
PROOFS_PER_SIGNER: Final = 8  # that he contradicts himself; more prove nothing new
INBOX_REQUESTS: Final = 1000  # open requests kept for a seller
INBOX_PAPERS: Final = 5000  # looked at for one inbox, beside requests, orders and deals; the rest is counted
CONTACTS: Final = 1000  # in the address book
REQUESTS_PER_HOUR: Final = 120  # from one address group
CLOCK_SKEW_SECONDS: Final = 600
FUTURE_SECONDS: Final = 2 * DAY  # a document signed by a clock further ahead than this is refused
ORDER_SECONDS: Final = 30 * DAY  # longest time a seller has to answer an order
SENDING_SECONDS: Final = 7 * DAY  # how long the outbox tries
RESENDINGS: Final = 12  # times that a paper given up after that is tried anew, once its recipient is heard
KNOCK_SECONDS: Final = 30 * DAY  # how long we go on calling somebody for whom a paper was given up
KNOCKED_LINKS: Final = 64  # of those, the ones that are called
COMPLETE_SECONDS: Final = 14 * DAY  # without objection after delivery a deal is shown as completed

# Categories and regions
CATEGORY_LEVELS: Final = 4
CATEGORY_CHARS: Final = 120
REGIONS_SERVED: Final = 20
ANNOUNCED_CATEGORIES: Final = 16  # announcements of one identity

# DHT
BUCKET_CONTACTS: Final = 20  # k
RECORD_BYTES: Final = 700  # a signed announcement
RECORD_SECONDS: Final = DAY  # signed life at most
HELD_SECONDS: Final = 2 * HOUR  # kept without refresh
REFRESH_SECONDS: Final = 50 * MINUTE
REFRESH_JITTER_SECONDS: Final = 10 * MINUTE
TOPIC_RECORDS: Final = 512
PUBLISHER_RECORDS: Final = 256  # of one publisher in one node; in a small network every node keeps all his topics
GROUP_TOPIC_RECORDS: Final = 8  # per /24 and topic
GROUP_RECORDS: Final = 512  # per /24; a full node drops from the largest group first
NODE_RECORDS: Final = 20_000
KNOWN_NODES: Final = 500  # proven contacts on disk
KNOWN_BUCKET_NODES: Final = 32  # of them, whose ids begin with the same four bits
KNOWN_GROUP_NODES: Final = 2  # of them, of one /24 or /48
GROUP_BUCKET_CONTACTS: Final = 1  # of one /24 or /48 in a bucket
GROUP_TABLE_CONTACTS: Final = 2  # and in the whole table: who stands near us could take a place in each near bucket
CALLER_CONTACTS: Final = 10  # in a bucket, of those known only by their calls
SPARE_CONTACTS: Final = 8  # proven ones that wait for a place in a full bucket
CONTACT_FAILURES: Final = 2  # unanswered in a row before a contact may lose its place
FOUND_CONTACTS: Final = 28  # in the answer to a find: as many as fit a first reply, so a fifth may be dead
ANSWER_CONTACTS: Final = 8  # at least so many in the answer to a get
REGION_NODES: Final = 20  # honest nodes that a region is sized for
REGION_ASKED: Final = 64  # nodes of a region asked at most, one per group
SMALL_NETWORK: Final = 40  # up to here every node is in every region
PATHS: Final = 4  # disjoint paths of a lookup
PATH_QUERIES: Final = 3  # in flight on one of them
LOOKUP_QUERIES: Final = 160  # nodes that one lookup asks
LOOKUP_CONTACTS: Final = 512  # nodes that one lookup remembers
LOOKUP_UNPROVEN: Final = 12  # contacts named by one group, asked and silent so far, besides one for each that answered
LOOKUP_UNPROVEN_CROWDED: Final = 3  # the same once a region is found crowded
LOOKUP_GROUP_CONTACTS: Final = 8  # of one group that one of its paths remembers
LOOKUP_SECONDS: Final = 10
LOOKUP_CLOSING_SECONDS: Final = 4  # the last of them, in which nobody new is asked
LOOKUPS: Final = 256  # lookups, gets and puts under way
PENDING_CALLS: Final = 2048  # requests without an answer yet
CALL_SECONDS: Final = 3  # after that an answer counts no more
DIAL_BACK_SECONDS: Final = 15  # the peer dials first
SOFT_SECONDS_MIN: Final = 0.08  # silence that lets the next query go: srtt + 4 rttvar within these bounds
SOFT_SECONDS_MAX: Final = 1.0
FETCH_NEIGHBOURS: Final = 4  # that a newcomer takes over records from
FETCH_BYTES: Final = 2 * KIB * KIB  # of records taken over, from all of them together
FETCH_TOPICS: Final = 512  # looked at on one neighbour
FETCHES_PER_SECOND: Final = 20  # questions for topics that a node answers: each looks through all it holds
FETCHES_BURST: Final = 100
ANSWER_TOPICS: Final = 32  # in the answer to one of them
PROBES: Final = 16  # pings under way to newcomers
DIAL_BACKS: Final = 3  # peers asked to dial us
PAGES_AT_ONCE: Final = 16  # pages of one shard asked of one holder; of a topic itself twice as many
PAGES: Final = 512  # pages of one topic read in one get
PACKETS_PER_SECOND: Final = 100  # requests from one group, in the long run
PACKETS_BURST: Final = 400
PACKET_GROUPS: Final = 16_384  # groups whose rate is known
PUTS_PER_SECOND: Final = 200  # of the whole node: each costs a signature check
PUTS_BURST: Final = 1000
OUTGOING: Final = 4096  # datagrams waiting to be sent
EVENTS: Final = 4096  # events waiting to be read
ROUTES: Final = 4  # ways to a seller in one announcement
ROUTE_BYTES: Final = 64  # data of one route: an address is 6 or 18
TOPIC_SECONDS: Final = 7 * DAY  # then a topic's key changes
TOPIC_OVERLAP_SECONDS: Final = HOUR  # before and after the change both keys are written and read
TOPIC_FULL_PERCENT: Final = 80  # of TOPIC_RECORDS; from there a holder says that the topic is full
WITHDRAWN_PER_PUBLISHER: Final = 4  # withdrawn announcements that a holder remembers per topic and publisher
SHARD_RECORDS: Final = 320  # sellers that a shard is sized for: by chance some get a quarter more
SHARD_DEPTH: Final = 10  # a topic has 1,024 shards at most
SHARDS_AT_ONCE: Final = 8  # read by one get that wants all
CROWD_SECONDS: Final = REFRESH_SECONDS + REFRESH_JITTER_SECONDS  # in which every publisher comes once
CROWD_GROUPS: Final = 64  # groups by which a holder estimates how many publishers came
CROWD_EARLY: Final = 128  # publishers from which a shard is written to, long before the topic is full
CROWD_SLACK_PERCENT: Final = 19  # a quarter of a doubling: who hears that much more or less still meets the others

# Local API
API_BODY_BYTES: Final = 24 * KIB * KIB  # holds a deal's file in base64
API_CONNECTIONS: Final = 128  # open at once, on the socket and over TCP each; one more is told so and closed
API_BODY_SECONDS: Final = 30  # for a client to send a body
API_HEAD_BYTES: Final = 16 * KIB  # of a call: its first line and headers
API_IDLE_SECONDS: Final = 30  # from one call's end to the end of the next one's head
API_SEND_SECONDS: Final = 120  # for a client to read 256 KiB of an answer
API_STOP_SECONDS: Final = 0.8  # calls under way may finish when the daemon stops
IDEMPOTENCY_KEY_CHARS: Final = 200
STREAM_SILENCE_SECONDS: Final = 15  # then a comment goes down an event stream; a client gives up after three
EVENTS_PAGE: Final = 50  # read and rendered in one work of the ledger; each may hold a quote of 1,000 lines
EVENT_QUEUE: Final = 1024  # events waiting for one slow reader, then it must resume with since=
STREAMS: Final = 32
HOOK_SECONDS: Final = 10
HOOK_QUEUE: Final = 256
PRICE_ROWS: Final = 100_000
IMPORT_BYTES: Final = 64 * KIB * KIB

# Inside the daemon
STORE_QUEUE: Final = 4096  # works waiting for a store's thread
READ_KEPT: Final = 256  # documents kept decoded
READ_BYTES: Final = 2 * KIB * KIB  # of their envelopes: decoded they take several times as much
LOCAL_CONTACTS: Final = 8  # nodes named in a greeting on the local network
RECORDS_QUEUE: Final = 256  # records of one lookup that its reader has not taken yet
SEARCHES: Final = 16  # searches for sellers at once
DIALS: Final = 32  # connections being made at once
ROUTES_TRIED: Final = 32  # addresses of one correspondent
ROUTES_OF_EACH: Final = 2  # of those who name one key
LOST_KEPT: Final = 256  # links whose other end cannot be reached and is looked for
WHEREABOUTS_READ: Final = 512  # announcements read in one such look
SELLERS_KEPT: Final = 5000  # announcements remembered for suggestions and for --to
RATINGS_READ: Final = 256  # of one peer, looked at in one search
RATINGS_OF_ONE: Final = 64  # of one peer, remembered
RATINGS_KEPT: Final = 5000  # of all peers, remembered; and peers of whom it is known when they were looked up
RATINGS_WANTED: Final = 256  # peers waiting to be looked up
RATINGS_PUBLISHED: Final = 64  # of ours, kept in the DHT

# Backup and restore
BACKUP_CHUNK_BYTES: Final = KIB * KIB  # sealed at once
BACKUP_SETTINGS_BYTES: Final = 256 * KIB  # of the settings file that a backup carries
BACKUP_MEMORY_KIB: Final = KIB * KIB  # that a backup's header may ask for to derive its key
BACKUP_PASSES: Final = 16  # of that derivation
RECALL_HASHES: Final = 512  # documents that a restored peer says it has, of one link
STANDING_REQUESTS: Final = 16  # by one link key; with thirty papers each a recall names them all
RECALL_SECONDS: Final = 60  # then a restored peer asks again on an open link
RECALL_ANSWERS: Final = 4  # to one link in that time
RECALL_CALLS: Final = 32  # made at once to show a recall to whoever answers under its key
RECALLS_KEPT: Final = 1024  # links whose last recall is passed on to others of the same name

# Values
DECIMAL_DIGITS: Final = 18  # of a price or quantity: fits a signed 64-bit mantissa
DECIMAL_PLACES: Final = 9  # after the point
SHEET_ROWS: Final = 1_048_576  # of an imported file, empty ones counted: what a spreadsheet can hold
CSV_FIELD_CHARS: Final = 131_072  # one cell of an imported file; longer means a quote that never closes
CSV_LINE_CHARS: Final = 8 * CSV_FIELD_CHARS  # one line of an imported file
AMOUNT_CHARS: Final = 100  # of an amount with its currency, as people type it
NEAR_WORD_CHARS: Final = 60  # longer words are not compared with known ones
NEAR_HINTS: Final = 50  # bad cells of a file that get a "did you mean"; it takes milliseconds each
SEARCH_CHARS: Final = 200  # words given to a category search
SEARCH_WORDS: Final = 20  # of them, each once
