//! Text from strangers, made safe to show on a terminal and to use as a file name.

/// Longest file name that [`file_name`] gives, in bytes of UTF-8: common file systems stop at 255, and a short id and
/// the temporary file's suffix have to fit as well.
const FILE_NAME_BYTES: usize = 180;

/// Longest extension that survives shortening, in bytes with its dot.
const EXTENSION_BYTES: usize = 16;

/// One line for a terminal: no control characters (so no escape sequences), no bidirectional overrides, no line breaks.
pub(crate) fn line(text: &str) -> String {
    text.chars().map(|c| if c == '\t' || c == '\n' { ' ' } else { c }).filter(|c| !is_hidden(*c)).collect()
}

/// Several lines for a terminal. Lines after the first are indented, so that none can pass for a line of ours.
pub(crate) fn lines(text: &str) -> String {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.split('\n').map(line).collect::<Vec<_>>().join("\n    ")
}

/// A name to create a file under, or `None` when nothing usable is left of `name`. Never a path: both kinds of
/// separator are ends of directories that are dropped.
pub(crate) fn file_name(name: &str) -> Option<String> {
    let base = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let kept: String = base
        .chars()
        .filter(|c| !is_hidden(*c))
        .map(|c| if matches!(c, ':' | '*' | '?' | '"' | '<' | '>' | '|') { '_' } else { c })
        .collect();
    // Windows drops trailing dots and spaces, so "con." would be the console; leading dots hide, and "-" is an option.
    let kept = kept.trim_start_matches(|c: char| c == '.' || c == '-' || c.is_whitespace());
    let kept = shorten(kept.trim_end_matches(is_dropped));
    match kept {
        kept if kept.is_empty() => None,
        kept if is_reserved(&kept) => Some(format!("_{kept}")),
        kept => Some(kept),
    }
}

/// Splits at the last dot: `("a.tar", ".gz")`. A name of one part has the extension "".
pub(crate) fn split_extension(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(at) if at > 0 && name.len() - at <= EXTENSION_BYTES => name.split_at(at),
        _ => (name, ""),
    }
}

fn shorten(name: &str) -> String {
    if name.len() <= FILE_NAME_BYTES {
        return name.to_owned();
    }
    let (stem, extension) = split_extension(name);
    let end =
        (0..=FILE_NAME_BYTES - extension.len()).rev().find(|at| stem.is_char_boundary(*at)).unwrap_or(0);
    format!("{}{extension}", stem[..end].trim_end_matches(is_dropped))
}

fn is_dropped(c: char) -> bool {
    c == '.' || c.is_whitespace()
}

/// Characters that change what a reader sees, or what the terminal does, without being seen: Unicode's category Cc, and
/// the format characters that reorder text or have no width
/// (<https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters>). U+200C and U+200D stay: Persian
/// words and emoji are made with them.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0001}')
}

/// Device names of Windows, with or without an extension
/// (<https://learn.microsoft.com/windows/win32/fileio/naming-a-file>).
fn is_reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end().to_ascii_uppercase();
    match stem.as_str() {
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" => true,
        stem => ["COM", "LPT"].iter().any(|device| {
            stem.strip_prefix(device).is_some_and(|port| {
                port.chars().count() == 1 && port.chars().all(|c| matches!(c, '0'..='9' | '¹' | '²' | '³'))
            })
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_is_one_harmless_path_component() {
        for (given, expected) in [
            ("notes.txt", Some("notes.txt")),
            ("../../etc/passwd", Some("passwd")),
            ("..\\..\\boot.ini", Some("boot.ini")),
            ("C:\\x\\a:b", Some("a_b")),
            ("/abs/olute", Some("olute")),
            ("..", None),
            ("...", None),
            ("", None),
            (" . . ", None),
            ("a/", None),
            (".bashrc", Some("bashrc")),
            (". .hidden", Some("hidden")),
            ("-rf", Some("rf")),
            ("-.profile", Some("profile")),
            ("nul", Some("_nul")),
            ("Com1.txt", Some("_Com1.txt")),
            ("com¹", Some("_com¹")),
            ("COM", Some("COM")),
            ("console.log", Some("console.log")),
            ("aux .txt", Some("_aux .txt")),
            ("trailing. ", Some("trailing")),
            ("a\0b\nc\x1b[31m", Some("abc[31m")),
            ("invoice\u{202e}fdp.exe", Some("invoicefdp.exe")),
            ("שלום 👩‍🚀.txt", Some("שלום 👩‍🚀.txt")),
        ] {
            assert_eq!(file_name(given).as_deref(), expected, "{given:?}");
        }
    }

    #[test]
    fn a_long_file_name_keeps_its_extension_and_whole_characters() {
        let long = file_name(&format!("{}.tar.gz", "é".repeat(120))).unwrap();
        assert!(long.len() <= FILE_NAME_BYTES && long.ends_with("é.gz"), "{long}");
        let dotless = file_name(&"👩".repeat(60)).unwrap();
        assert_eq!(dotless, "👩".repeat(45));
        let odd = file_name(&format!("a.{}", "b".repeat(250))).unwrap();
        assert_eq!(odd.len(), FILE_NAME_BYTES);
        let dots = file_name(&format!("a{}{}", ".".repeat(200), "b".repeat(20))).unwrap();
        assert_eq!(dots, "a");
    }

    #[test]
    fn no_name_leaves_its_directory() {
        let parts = ["..", ".", "/", "\\", "a", "\0", "\u{202e}", " ", "-", "con", ":"];
        let words = parts.iter().flat_map(|a| parts.iter().map(move |b| format!("{a}{b}")));
        for word in words.clone().flat_map(|a| words.clone().map(move |b| format!("{a}{b}"))) {
            if let Some(name) = file_name(&word) {
                let path = std::path::Path::new(&name);
                assert_eq!(path.file_name(), Some(path.as_os_str()), "{word:?} became {name:?}");
                assert!(!name.starts_with(['.', '-']) && !name.contains(['\\', ':', '\0']), "{name:?}");
            }
        }
    }

    #[test]
    fn terminal_text_has_no_escape_and_no_false_line() {
        assert_eq!(line("a\x1b]0;title\x07b\r\nc\u{9b}d\u{202e}e"), "a]0;titleb cde");
        assert_eq!(lines("one\n[12:00] forged\n"), "one\n    [12:00] forged");
        assert_eq!(lines(""), "");
    }
}
