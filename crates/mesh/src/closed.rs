//! Closed topics: members hold a secret, and prove it to each other before anything else.

pub(crate) mod proof;
