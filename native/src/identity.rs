//! The identity file: one line of 64 hexadecimal digits, the Ed25519 seed. Whoever reads it can speak as this node,
//! so it is written for its owner alone and refused when others can read it.

use std::{
    fs, io,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use braidcast_net::Identity;

use crate::platform;

/// Name of the key file inside the data directory.
pub(crate) const FILE_NAME: &str = "identity.key";

/// A valid file is 64 digits and a line ending; anything longer is something else.
const FILE_BYTES_MAX: u64 = 128;

/// Why there is no identity. The file is left as it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    #[error("identity file {} does not exist: make one with `braidcast keygen --out FILE`", .0.display())]
    Missing(PathBuf),
    #[error(
        "identity file {} can be read by others (mode {mode:03o}): if the key may have leaked, move the file away to \
         get a new identity, else run `chmod 600 {}`",
        path.display(), path.display()
    )]
    Exposed { path: PathBuf, mode: u32 },
    #[error(
        "identity file {} holds no key ({found}, expected 64 hexadecimal digits): restore it from a backup, or move \
         it away to start with a new identity",
        path.display()
    )]
    Garbage { path: PathBuf, found: &'static str },
    #[error("identity file {} exists already: move it away, or choose another with --out", .0.display())]
    Exists(PathBuf),
    #[error("cannot {action} identity file {}: {error}; check the directory's owner and free space, or choose another with {flag}", path.display())]
    Io { action: &'static str, path: PathBuf, flag: &'static str, error: io::Error },
    #[error("the operating system gives no random numbers: {0}")]
    Entropy(getrandom::Error),
    #[error("no home directory is known: say where to keep the identity with {0}")]
    NoHome(&'static str),
}

/// The platform's place for application data, `~/.local/share/braidcast` on Linux.
pub(crate) fn default_data_dir(flag: &'static str) -> Result<PathBuf, IdentityError> {
    directories::ProjectDirs::from("", "", "braidcast")
        .map(|dirs| dirs.data_dir().to_owned())
        .ok_or(IdentityError::NoHome(flag))
}

/// An identity that lives as long as this process.
pub(crate) fn ephemeral() -> Result<Identity, IdentityError> {
    let seed = platform::random_seed().map_err(IdentityError::Entropy)?;
    Ok(Identity::from_seed(&seed))
}

/// The identity in the file at `path`.
pub(crate) fn load(path: &Path) -> Result<Identity, IdentityError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => IdentityError::Missing(path.to_owned()),
        _ => IdentityError::Io {
            action: "read",
            path: path.to_owned(),
            flag: "--identity or --data-dir",
            error,
        },
    };
    let file = fs::File::open(path).map_err(failed)?;
    refuse_exposed(path, &file.metadata().map_err(failed)?)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    let seed = parse(&bytes).map_err(|found| IdentityError::Garbage { path: path.to_owned(), found })?;
    Ok(Identity::from_seed(&seed))
}

/// The identity in `dir`, made at the first call. Two processes that start at once agree on one.
pub(crate) fn load_or_create(dir: &Path) -> Result<Identity, IdentityError> {
    let path = dir.join(FILE_NAME);
    match load(&path) {
        Err(IdentityError::Missing(_)) => {}
        outcome => return outcome,
    }
    match create(&path, &ephemeral()?, "--data-dir") {
        Err(IdentityError::Exists(_)) => {}
        outcome => outcome?,
    }
    load(&path)
}

/// Writes a new identity file, readable by its owner only, whole or not at all; never replaces one.
pub(crate) fn create(path: &Path, identity: &Identity, flag: &'static str) -> Result<(), IdentityError> {
    let failed = |error| IdentityError::Io { action: "create", path: path.to_owned(), flag, error };
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    create_private_dir(dir).map_err(failed)?;
    // Mode 0600 from the first moment: that is how tempfile creates.
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(failed)?;
    writeln!(file, "{}", to_hex(identity)).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist_noclobber(path).map(drop).map_err(|refused| match refused.error.kind() {
        io::ErrorKind::AlreadyExists => IdentityError::Exists(path.to_owned()),
        _ => failed(refused.error),
    })
}

/// The secret as text. For `keygen --stdout` and the file; never for a log.
pub(crate) fn to_hex(identity: &Identity) -> String {
    identity.to_seed().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn parse(bytes: &[u8]) -> Result<[u8; 32], &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not text")?.trim_ascii_end();
    match text.len() {
        0 => return Err("empty"),
        64 => {}
        len if len < 64 => return Err("too short"),
        _ => return Err("too long"),
    }
    let mut seed = [0; 32];
    for (byte, digits) in seed.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |at: usize| char::from(digits[at]).to_digit(16).ok_or("not hexadecimal");
        *byte = (digit(0)? * 16 + digit(1)?) as u8;
    }
    Ok(seed)
}

#[cfg(unix)]
fn refuse_exposed(path: &Path, metadata: &fs::Metadata) -> Result<(), IdentityError> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(IdentityError::Exposed { path: path.to_owned(), mode }) }
}

/// Elsewhere the access list is inherited from the user's profile directory.
#[cfg(not(unix))]
fn refuse_exposed(_path: &Path, _metadata: &fs::Metadata) -> Result<(), IdentityError> {
    Ok(())
}

#[cfg(unix)]
fn create_private_dir(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

#[cfg(not(unix))]
fn create_private_dir(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_identity_reads_back_and_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let first = load_or_create(dir.path()).unwrap();
        assert_eq!(load_or_create(dir.path()).unwrap().peer_id(), first.peer_id());
        let refused = create(&dir.path().join(FILE_NAME), &ephemeral().unwrap(), "--out");
        assert!(matches!(refused, Err(IdentityError::Exists(_))), "{refused:?}");
        assert_eq!(load(&dir.path().join(FILE_NAME)).unwrap().peer_id(), first.peer_id());
    }

    #[test]
    fn other_texts_are_no_key() {
        let digits = "0a".repeat(32);
        assert_eq!(parse(digits.as_bytes()), Ok([10; 32]));
        assert_eq!(parse(format!("{digits}\r\n").as_bytes()), Ok([10; 32]));
        assert_eq!(parse(b""), Err("empty"));
        assert_eq!(parse(&digits.as_bytes()[1..]), Err("too short"));
        assert_eq!(parse(format!("{digits}0").as_bytes()), Err("too long"));
        assert_eq!(parse("x".repeat(64).as_bytes()), Err("not hexadecimal"));
        assert_eq!(parse("é".repeat(32).as_bytes()), Err("not hexadecimal"));
        assert_eq!(parse(&[0xff; 32]), Err("not text"));
    }
}
