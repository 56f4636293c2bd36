//! Lengths on the command line.

use std::str::FromStr;

/// A length in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl FromStr for Size {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
        let unit: u64 = match text[digits.len()..].trim() {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            unit => anyhow::bail!("unknown unit {unit:?}: write B, KiB or MiB"),
        };
        let count: u64 = digits.trim().parse()?;
        count.checked_mul(unit).map(Self).ok_or_else(|| anyhow::anyhow!("{text} is too long"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        let read = |text: &str| text.parse::<Size>().map(|size| size.0).ok();
        assert_eq!(read("200"), Some(200));
        assert_eq!(read("200B"), Some(200));
        assert_eq!(read("16KiB"), Some(16_384));
        assert_eq!(read("4MiB"), Some(4_194_304));
        assert_eq!(read("1GB"), None);
        assert_eq!(read("MiB"), None);
        assert_eq!(read("99999999999999999999MiB"), None);
    }
}
