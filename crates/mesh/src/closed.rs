//! Closed topics: members hold a secret, prove it to each other, and recode before they have the whole.
//!
//! What travels are random combinations of the source pieces, each with its coefficient vector and made anew by every
//! member from all that it holds. So nobody has to know which pieces a neighbour lacks, only how many: whoever holds
//! more has something new. No shard can be verified on its own, which is why outsiders' are dropped before any algebra.

pub(crate) mod doubt;
pub(crate) mod proof;
pub(crate) mod shard;
pub(crate) mod span;
