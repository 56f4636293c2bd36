//! The relay's TOML file: each key is an option of `braidcast relay` without its dashes, and takes the place of its default.
//! So the environment overrules the file, the command line overrules both, and values are checked as those of options are.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::Command;
use toml::{Table, Value, de::DeTable};

/// Longest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Options that a file cannot have: what it is itself, and what only asks.
const NOT_IN_FILES: [&str; 4] = ["config", "help", "version", "verbose"];

/// Why a file cannot be used. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("cannot read configuration {}: {error}; check --config", path.display())]
    Io { path: PathBuf, error: io::Error },
    #[error("{}:{line}: {reason}", path.display())]
    Syntax { path: PathBuf, line: usize, reason: String },
    #[error("{}:{line}: {key:?} is no option: `braidcast relay --help` lists them; keys are without the dashes", path.display())]
    Key { path: PathBuf, line: usize, key: String },
    #[error("{}:{line}: {key}: {reason}", path.display())]
    Value { path: PathBuf, line: usize, key: String, reason: String },
}

/// `command` with the values of the file in place of its defaults.
pub(crate) fn with_file(mut command: Command, path: &Path) -> Result<Command, ConfigError> {
    let text = read(path).map_err(|error| ConfigError::Io { path: path.to_owned(), error })?;
    let syntax = |error: toml::de::Error| ConfigError::Syntax {
        path: path.to_owned(),
        line: error.span().map_or(1, |span| line(&text, span.start)),
        reason: error.message().replace('\n', ", "),
    };
    let places = DeTable::parse(&text).map_err(syntax)?.into_inner();
    let table: Table = text.parse().map_err(syntax)?;
    for place in places.keys() {
        let (key, line) = (place.get_ref().to_string(), line(&text, place.span().start));
        let failed = |reason| ConfigError::Value { path: path.to_owned(), line, key: key.clone(), reason };
        let known = command.get_arguments().find(|arg| arg.get_long() == Some(&key));
        let Some(id) = known.filter(|_| !NOT_IN_FILES.contains(&&*key)).map(|arg| arg.get_id().clone())
        else {
            return Err(ConfigError::Key { path: path.to_owned(), line, key });
        };
        let values = texts(&table[&key]).map_err(failed)?;
        check(&command, &key, &values).map_err(failed)?;
        // Once per start, for as long as the process lives: clap keeps no texts of its own.
        let values = values.into_iter().map(|value| &*value.leak());
        command = command.mut_arg(id, |arg| arg.default_values(values));
    }
    Ok(command)
}

fn read(path: &Path) -> io::Result<String> {
    let len = fs::metadata(path)?.len();
    if len > FILE_BYTES_MAX {
        let text = format!("it is {len} bytes, the limit is {FILE_BYTES_MAX}");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    fs::read_to_string(path)
}

fn line(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|&byte| byte == b'\n').count()
}

/// As they would stand on the command line.
fn texts(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::String(text) => Ok(vec![text.clone()]),
        Value::Integer(number) => Ok(vec![number.to_string()]),
        Value::Array(values) if values.iter().all(|value| !value.is_array()) => {
            values.iter().map(texts).collect::<Result<Vec<_>, _>>().map(|texts| texts.concat())
        }
        other => Err(format!("found {}, expected text, a whole number, or a list of them", other.type_str())),
    }
}

/// The first line of what clap says to the option alone.
fn check(command: &Command, key: &str, values: &[String]) -> Result<(), String> {
    let args = values.iter().map(|value| format!("--{key}={value}"));
    let alone = command.clone().no_binary_name(true).mut_args(|arg| arg.env(None));
    let Err(error) = alone.try_get_matches_from(args) else { return Ok(()) };
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    Err(first.trim_start_matches("error: ").to_owned())
}
