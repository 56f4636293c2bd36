//! What a caller can get wrong. No error here changes any state.

use core::fmt;

/// Lengths or counts that do not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShapeError {
    /// A generation has at least one source piece.
    NoSources,
    /// A generation has at most [`MAX_PIECES`](crate::MAX_PIECES) pieces, sources and parity together.
    TooManyPieces {
        /// Source pieces asked for.
        k: usize,
        /// Parity pieces asked for.
        m: usize,
    },
    /// A piece has at least one byte.
    EmptyPieces,
    /// All pieces together are more bytes than this machine can address.
    TooLong {
        /// Pieces asked for, sources and parity together.
        pieces: usize,
        /// Bytes of one piece.
        piece_len: usize,
    },
    /// There is no piece of this index.
    Index {
        /// The index given, counted from 0: sources first, then parity.
        index: usize,
        /// How many pieces the generation has.
        pieces: usize,
    },
    /// The number of coefficients is wrong.
    Coefficients {
        /// Coefficients given.
        got: usize,
        /// Coefficients the shapes of the other arguments ask for.
        expected: usize,
    },
    /// The length of a payload, source or output is wrong.
    Length {
        /// Bytes given.
        got: usize,
        /// Bytes the others have, or the generation asks for.
        expected: usize,
    },
    /// The number of source pieces is wrong.
    Sources {
        /// Pieces given.
        got: usize,
        /// Pieces the generation has.
        expected: usize,
    },
    /// The number of output buffers is wrong.
    Outputs {
        /// Buffers given.
        got: usize,
        /// Buffers asked for.
        expected: usize,
    },
    /// A range of columns reaches past the end of the rows.
    Columns {
        /// First column, in bytes.
        start: usize,
        /// One past the last column, in bytes.
        end: usize,
        /// Bytes of a row.
        len: usize,
    },
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NoSources => write!(f, "0 source pieces, a generation has at least 1"),
            Self::TooManyPieces { k, m } => {
                write!(f, "{k} source and {m} parity pieces, a generation has at most {}", crate::MAX_PIECES)
            }
            Self::EmptyPieces => write!(f, "pieces of 0 bytes, a piece has at least 1"),
            Self::TooLong { pieces, piece_len } => {
                write!(f, "{pieces} pieces of {piece_len} bytes, which is more than {} bytes", isize::MAX)
            }
            Self::Index { index, pieces } => write!(f, "piece {index} of a generation of {pieces} pieces"),
            Self::Coefficients { got, expected } => write!(f, "{got} coefficients where {expected} belong"),
            Self::Length { got, expected } => write!(f, "{got} bytes where {expected} belong"),
            Self::Sources { got, expected } => write!(f, "{got} source pieces where {expected} belong"),
            Self::Outputs { got, expected } => write!(f, "{got} output buffers where {expected} belong"),
            Self::Columns { start, end, len } => {
                write!(f, "columns {start} to {end} of rows of {len} bytes")
            }
        }
    }
}

impl core::error::Error for ShapeError {}

/// Fewer independent shards are held than there are source pieces. The decoder is as it was: push more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incomplete {
    /// Independent shards held.
    pub rank: usize,
    /// Source pieces of the generation.
    pub k: usize,
}

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} independent shards, decoding takes {}", self.rank, self.k)
    }
}

impl core::error::Error for Incomplete {}

/// Why nothing was decoded. The decoder is as it was, and so is the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Shards are missing.
    Incomplete(Incomplete),
    /// The buffer is too short or too long.
    Shape(ShapeError),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete(error) => error.fmt(f),
            Self::Shape(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for DecodeError {}

impl From<Incomplete> for DecodeError {
    fn from(error: Incomplete) -> Self {
        Self::Incomplete(error)
    }
}

impl From<ShapeError> for DecodeError {
    fn from(error: ShapeError) -> Self {
        Self::Shape(error)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn texts_name_both_numbers() {
        let texts = [
            (
                ShapeError::TooManyPieces { k: 200, m: 100 },
                "200 source and 100 parity pieces, a generation has at most 256",
            ),
            (ShapeError::Index { index: 9, pieces: 9 }, "piece 9 of a generation of 9 pieces"),
            (ShapeError::Coefficients { got: 3, expected: 4 }, "3 coefficients where 4 belong"),
            (ShapeError::Length { got: 1024, expected: 1200 }, "1024 bytes where 1200 belong"),
            (ShapeError::Sources { got: 7, expected: 8 }, "7 source pieces where 8 belong"),
            (ShapeError::Columns { start: 2, end: 9, len: 8 }, "columns 2 to 9 of rows of 8 bytes"),
        ];
        for (error, text) in texts {
            assert_eq!(error.to_string(), text);
        }
        assert_eq!(Incomplete { rank: 3, k: 8 }.to_string(), "3 independent shards, decoding takes 8");
    }
}
