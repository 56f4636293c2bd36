//! Files with a secret of 32 bytes: one line of 64 hexadecimal digits. Whoever reads one has what it stands for, so it is
//! written for its owner alone and refused when others can read it.

use std::{
    fmt, fs, io,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use crate::platform;

/// A valid file is 64 digits and a line ending; anything longer is something else.
const FILE_BYTES_MAX: u64 = 128;

/// What a secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// An Ed25519 seed.
    Identity,
    /// What the members of a closed topic share.
    TopicKey,
}

impl What {
    fn keygen(self) -> &'static str {
        match self {
            Self::Identity => "make one with `braidcast keygen --out FILE`",
            Self::TopicKey => {
                "get it from a member, or make one with `braidcast keygen --topic-key --out FILE`"
            }
        }
    }

    fn leaked(self) -> &'static str {
        match self {
            Self::Identity => "move the file away to get a new identity",
            Self::TopicKey => "make a new one and give it to all members",
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identity => "identity",
            Self::TopicKey => "topic key",
        })
    }
}

/// Why there is no secret. The file is left as it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyFileError {
    #[error("{what} file {} does not exist: {}", path.display(), what.keygen())]
    Missing { what: What, path: PathBuf },
    #[error(
        "{what} file {} can be read by others (mode {mode:03o}): if the key may have leaked, {}, else run `chmod 600 {}`",
        path.display(), what.leaked(), path.display()
    )]
    Exposed { what: What, path: PathBuf, mode: u32 },
    #[error(
        "{what} file {} holds no key ({found}, expected 64 hexadecimal digits): restore it from a backup, or move it away \
         and {}",
        path.display(), what.keygen()
    )]
    Garbage { what: What, path: PathBuf, found: &'static str },
    #[error("{what} file {} exists already: move it away, or choose another with --out", path.display())]
    Exists { what: What, path: PathBuf },
    #[error(
        "cannot {action} {what} file {}: {error}; check the directory's owner and free space, or choose another with {flag}",
        path.display()
    )]
    Io { what: What, action: &'static str, path: PathBuf, flag: &'static str, error: io::Error },
    #[error("the operating system gives no random numbers: {0}")]
    Entropy(getrandom::Error),
    #[error("no home directory is known: say where to keep the identity with {0}")]
    NoHome(&'static str),
}

/// A new secret.
pub(crate) fn random() -> Result<[u8; 32], KeyFileError> {
    platform::random_seed().map_err(KeyFileError::Entropy)
}

/// The secret in the file at `path`, which `flag` named.
pub(crate) fn load(what: What, path: &Path, flag: &'static str) -> Result<[u8; 32], KeyFileError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => KeyFileError::Missing { what, path: path.to_owned() },
        _ => KeyFileError::Io { what, action: "read", path: path.to_owned(), flag, error },
    };
    let file = fs::File::open(path).map_err(failed)?;
    refuse_exposed(what, path, &file.metadata().map_err(failed)?)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    parse(&bytes).map_err(|found| KeyFileError::Garbage { what, path: path.to_owned(), found })
}

/// Writes a new file, readable by its owner only, whole or not at all; never replaces one.
pub(crate) fn create(
    what: What,
    path: &Path,
    secret: &[u8; 32],
    flag: &'static str,
) -> Result<(), KeyFileError> {
    let failed = |error| KeyFileError::Io { what, action: "create", path: path.to_owned(), flag, error };
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    create_private_dir(dir).map_err(failed)?;
    // Mode 0600 from the first moment: that is how tempfile creates.
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(failed)?;
    writeln!(file, "{}", to_hex(secret)).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist_noclobber(path).map(drop).map_err(|refused| match refused.error.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists { what, path: path.to_owned() },
        _ => failed(refused.error),
    })
}

/// The secret as text. For `keygen --stdout` and the file; never for a log.
pub(crate) fn to_hex(secret: &[u8; 32]) -> String {
    secret.iter().map(|byte| format!("{byte:02x}")).collect()
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
fn refuse_exposed(what: What, path: &Path, metadata: &fs::Metadata) -> Result<(), KeyFileError> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(KeyFileError::Exposed { what, path: path.to_owned(), mode }) }
}

/// Elsewhere the access list is inherited from the user's profile directory.
#[cfg(not(unix))]
fn refuse_exposed(_what: What, _path: &Path, _metadata: &fs::Metadata) -> Result<(), KeyFileError> {
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
