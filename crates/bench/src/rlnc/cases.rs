//! What is measured, and with what.

use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};

/// See the help of the command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Case {
    Gemm,
    /// So many shards.
    Encode(usize),
    Recode,
    Decode,
    DecodeLoss10,
}

impl Case {
    pub(super) const ALL: [Self; 6] =
        [Self::Gemm, Self::Encode(1), Self::Encode(4), Self::Recode, Self::Decode, Self::DecodeLoss10];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gemm => "gemm",
            Self::Encode(1) => "encode",
            Self::Encode(_) => "encode-4",
            Self::Recode => "recode",
            Self::Decode => "decode",
            Self::DecodeLoss10 => "decode-loss10",
        }
    }

    /// K and the bytes of the message.
    pub(super) fn sizes(self) -> Vec<(usize, usize)> {
        let mut sizes: Vec<(usize, usize)> = [128 << 10, 1 << 20, 16 << 20]
            .into_iter()
            .flat_map(|bytes| [8, 16, 32, 64, 128].map(|k| (k, bytes)))
            .collect();
        if self == Self::DecodeLoss10 {
            sizes.push((100, 100 * 1280));
        }
        sizes
    }

    /// Bytes multiplied by a coefficient, if the code is a product of matrices.
    pub(super) fn coef_bytes(self, message: &Message) -> f64 {
        let rows = match self {
            Self::Gemm | Self::Decode => message.k,
            Self::Encode(rows) => rows,
            // Half as many sources.
            Self::Recode => return (message.held() * message.piece_len()) as f64,
            Self::DecodeLoss10 => message.lost().len(),
        };
        (rows * message.k * message.piece_len()) as f64
    }
}

/// What to measure: case, K, bytes of the message. Each of the arguments, if given, leaves only what is so.
pub(super) fn plan(
    case: Option<&str>,
    k: Option<usize>,
    bytes: Option<usize>,
) -> Result<Vec<(Case, usize, usize)>, String> {
    let cases: Vec<Case> =
        Case::ALL.into_iter().filter(|known| case.is_none_or(|name| name == known.name())).collect();
    if cases.is_empty() {
        return Err(format!("no case of this name; the cases are {}", Case::ALL.map(Case::name).join(", ")));
    }
    Ok(cases
        .into_iter()
        .flat_map(|case| case.sizes().into_iter().map(move |(k, bytes)| (case, k, bytes)))
        .filter(|(_, its_k, its_bytes)| {
            k.is_none_or(|k| k == *its_k) && bytes.is_none_or(|b| b == *its_bytes)
        })
        .collect())
}

/// K pieces of noise.
pub(super) struct Message {
    pub(super) k: usize,
    pub(super) bytes: Vec<u8>,
}

impl Message {
    pub(super) fn new(k: usize, bytes: usize) -> Self {
        Self { k, bytes: noise(bytes) }
    }

    pub(super) fn piece_len(&self) -> usize {
        self.bytes.len() / self.k
    }

    pub(super) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks_exact(self.piece_len())
    }

    /// A tenth of the source pieces, rounded, and at least one; spread evenly.
    pub(super) fn lost(&self) -> Vec<usize> {
        let count = ((self.k + 5) / 10).max(1);
        (0..count).map(|n| n * self.k / count).collect()
    }

    /// Shards that a recoder mixes.
    pub(super) fn held(&self) -> usize {
        self.k / 2
    }
}

/// The same noise every time.
pub(super) fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    rng().fill_bytes(&mut bytes);
    bytes
}

/// The fastest generator at hand, so that drawing coefficients weighs nothing.
pub(super) fn rng() -> SmallRng {
    SmallRng::seed_from_u64(1)
}
