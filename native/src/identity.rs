//! The identity: whoever reads its key file can speak as this node.

use std::path::{Path, PathBuf};

use braidcast_net::Identity;

use crate::key_file::{self, KeyFileError, What};

/// Name of the key file inside the data directory.
pub(crate) const FILE_NAME: &str = "identity.key";

/// The platform's place for application data, `~/.local/share/braidcast` on Linux.
pub(crate) fn default_data_dir(flag: &'static str) -> Result<PathBuf, KeyFileError> {
    directories::ProjectDirs::from("", "", "braidcast")
        .map(|dirs| dirs.data_dir().to_owned())
        .ok_or(KeyFileError::NoHome(flag))
}

/// An identity that lives as long as this process.
pub(crate) fn ephemeral() -> Result<Identity, KeyFileError> {
    Ok(Identity::from_seed(&key_file::random()?))
}

/// The identity in the file at `path`.
pub(crate) fn load(path: &Path) -> Result<Identity, KeyFileError> {
    Ok(Identity::from_seed(&key_file::load(What::Identity, path, "--identity or --data-dir")?))
}

/// The identity in `dir`, made at the first call. Two processes that start at once agree on one.
pub(crate) fn load_or_create(dir: &Path) -> Result<Identity, KeyFileError> {
    let path = dir.join(FILE_NAME);
    match load(&path) {
        Err(KeyFileError::Missing { .. }) => {}
        outcome => return outcome,
    }
    match key_file::create(What::Identity, &path, &key_file::random()?, "--data-dir") {
        Err(KeyFileError::Exists { .. }) => {}
        outcome => outcome?,
    }
    load(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_identity_reads_back_and_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let first = load_or_create(dir.path()).unwrap();
        assert_eq!(load_or_create(dir.path()).unwrap().peer_id(), first.peer_id());
        let path = dir.path().join(FILE_NAME);
        let refused = key_file::create(What::Identity, &path, &[1; 32], "--out");
        assert!(matches!(refused, Err(KeyFileError::Exists { .. })), "{refused:?}");
        assert_eq!(load(&path).unwrap().peer_id(), first.peer_id());
    }
}
