//! Child processes: shown before they run, named when they fail, and quiet on our standard output.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace::root;

/// A command that runs in the repository's root and writes its output to standard error.
pub(crate) struct Cmd {
    inner: Command,
    keeps_stdout: bool,
}

impl Cmd {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut inner = Command::new(program);
        inner.current_dir(root()).stdin(Stdio::null());
        Self { inner, keeps_stdout: false }
    }

    /// The cargo that runs us, so that one toolchain builds everything.
    pub(crate) fn cargo() -> Self {
        Self::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.inner.arg(arg);
        self
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.inner.args(args);
        self
    }

    pub(crate) fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.inner.env(key, value);
        self
    }

    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.inner.current_dir(dir);
        self
    }

    /// Leaves the child's standard output on ours: for test runners, whose closing lines are the result.
    pub(crate) fn keep_stdout(mut self) -> Self {
        self.keeps_stdout = true;
        self
    }

    pub(crate) fn run(self) -> Result<()> {
        let line = self.line();
        let status = self.status()?;
        if !status.success() {
            bail!("`{line}` failed: {status}");
        }
        Ok(())
    }

    /// Runs to the end whatever the outcome, for callers that judge the status themselves.
    pub(crate) fn status(mut self) -> Result<ExitStatus> {
        self.announce();
        self.inner.status().with_context(|| format!("cannot start `{}`", self.line()))
    }

    /// Starts the child and returns; the caller ends it.
    pub(crate) fn spawn(mut self) -> Result<Child> {
        self.announce();
        self.inner.spawn().with_context(|| format!("cannot start `{}`", self.line()))
    }

    /// What the child printed, without the last line break; not announced, for questions that change nothing.
    pub(crate) fn read(mut self) -> Result<String> {
        let output = self
            .inner
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot start `{}`", self.line()))?;
        if !output.status.success() {
            bail!("`{}` failed: {}", self.line(), output.status);
        }
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    fn announce(&mut self) {
        eprintln!("$ {}", self.line());
        if !self.keeps_stdout {
            self.inner.stdout(std::io::stderr());
        }
    }

    fn line(&self) -> String {
        let program = Path::new(self.inner.get_program()).file_name().unwrap_or_default().to_string_lossy();
        let args = self.inner.get_args().map(|arg| format!(" {}", arg.to_string_lossy()));
        program.into_owned() + &args.collect::<String>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_is_named_with_its_arguments() {
        let error = Cmd::new("false").args(["x", "y"]).run().unwrap_err().to_string();
        assert!(error.starts_with("`false x y` failed"), "{error}");
    }
}
