//! Every ceiling of the protocol in one place. A value beyond its limit is refused with an error that names both.
//!
//! Where no source is given, the number is a guess, not a measurement.

/// Longest control frame, in bytes without its length prefix.
pub const CONTROL_FRAME_BYTES: usize = 64 * 1024;

/// Longest bulk frame, in bytes without its length prefix: one chunk of a piece, or a manifest with the hashes of one
/// generation (at most 256 x 32 B = 8 KiB).
pub const BULK_FRAME_BYTES: usize = 16 * 1024 + 512;

/// Most payload bytes of a piece in one bulk frame. A control frame waits for at most two such frames in a
/// connection's queue.
pub const CHUNK_BYTES: usize = 16 * 1024;

/// Longest topic name, in bytes of UTF-8.
pub const TOPIC_BYTES: usize = 256;

/// Longest media type in a manifest, in bytes (RFC 6838 section 4.2 allows 127 for each half; 127 for both here).
pub const CONTENT_TYPE_BYTES: usize = 127;

/// Longest file name in a manifest, in bytes of UTF-8 (the limit of common file systems).
pub const NAME_BYTES: usize = 255;

/// Longest payload that travels whole, inside one bulk frame, in bytes.
pub const INLINE_BYTES: usize = 4 * 1024;

/// Longest payload by default, in bytes. Configurable per node, see `MeshConfig`.
pub const MESSAGE_BYTES: usize = 64 * 1024 * 1024;

/// Longest payload that any configuration may allow, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// Longest generation, in payload bytes. Larger messages are cut into several.
pub const GENERATION_BYTES: usize = 16 * 1024 * 1024;

/// Most pieces (source and parity) in a generation: GF(2^8) has no more distinct evaluation points.
pub const PIECES: usize = 256;

/// Shortest piece, in bytes.
pub const PIECE_BYTES_MIN: usize = 1024;

/// Most topics one peer may subscribe to, and so most rooms that a relay can follow. Their names are at most 256 KiB.
pub const TOPICS_PER_PEER: usize = 1024;

/// Most peers in one mesh machine.
pub const PEERS: usize = 4096;

/// Most peers whose conduct is remembered, but for those that are connected.
pub const SCORES: usize = 4096;

/// Most message ids in one `IHave`, `IWant` or `Done` list.
pub const IDS_PER_FRAME: usize = 512;

/// Most unfinished messages from one peer or of one publisher.
pub const TRANSFERS_PER_PEER: usize = 256;

/// Most payload bytes of messages in memory, unfinished and kept for others; held to at each heartbeat.
pub const TRANSFER_BYTES: usize = 256 * 1024 * 1024;

/// Longest sealed signalling message, in bytes: a description with its candidates has one to four thousand.
pub const SEALED_BYTES: usize = 8 * 1024;

/// Signalling that a peer may have carried at once, in bytes; a connection takes about 8 KiB each way.
pub const CARRY_BURST_BYTES: u64 = 128 * 1024;

/// And then each second: a connection every four, and a few signatures to check.
pub const CARRY_BYTES_PER_SECOND: u64 = 2 * 1024;

/// Longest signed peer record, in bytes.
pub const RECORD_BYTES: usize = 1024;

/// Most peer records in one `Introduce`.
pub const RECORDS_PER_FRAME: usize = 16;
