//! What is printed on standard output, and how messages of strangers are shown and kept.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use braidcast_net::{Message, PeerId};
use bytes::Bytes;
use serde_json::json;

use crate::sanitise;

/// Most characters of a text that are shown to people; JSON and files have all of it.
const SHOWN_CHARS: usize = 4096;

/// Prints a line at once, whoever reads it.
pub(crate) fn print_line(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Says something on standard error. A reader that went away is no reason to stop.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// One line, or a few indented ones, for people.
pub(crate) fn message_text(message: Message) -> String {
    let time = clock(message.published.0);
    let from = short(message.from);
    let (name, content_type) =
        (sanitise::line(&message.content.name), sanitise::line(&message.content.content_type));
    let kind = [name, content_type].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    let kind = if kind.is_empty() { "unnamed".into() } else { kind };
    let size = size(message.content.payload.len());
    let head = format!("[{time}] {from} {kind} {size}");
    let is_text = is_text(&message.content.content_type);
    match std::str::from_utf8(&message.content.payload.into_bytes()) {
        Ok(text) if is_text => format!("{head}: {}", sanitise::lines(&shown(text))),
        _ => head,
    }
}

/// One object with all of the payload: `text` when it is text or JSON and valid UTF-8, else `base64`.
pub(crate) fn message_json(message: Message) -> String {
    let mut object = json!({
        "id": message.id.to_string(),
        "topic": message.topic.as_str(),
        "from": message.from.to_string(),
        "seqno": message.seqno,
        "bytes": message.content.payload.len(),
        "contentType": message.content.content_type,
        "name": message.content.name,
        "publishedAt": message.published.0,
    });
    let is_text = is_text(&message.content.content_type);
    let payload = message.content.payload.into_bytes();
    match std::str::from_utf8(&payload) {
        Ok(text) if is_text => object["text"] = text.into(),
        _ => object["base64"] = BASE64_STANDARD.encode(&payload).into(),
    }
    object.to_string()
}

/// Writes the payload to a new file in `dir`, whole or not at all, under the message's name made harmless; when that
/// is taken, with the message's id in it. Gives its path. Blocks.
pub(crate) fn message_file(dir: &Path, message: Message) -> io::Result<PathBuf> {
    let id = message.id.to_string();
    let names = file_names(&message, &id);
    write_new(dir, &names, &message.content.payload.into_bytes())
}

/// Candidates, best first.
fn file_names(message: &Message, id: &str) -> [String; 3] {
    let name = sanitise::file_name(&message.content.name)
        .unwrap_or_else(|| format!("{}{}", &id[..8], extension(&message.content.content_type)));
    let (stem, extension) = sanitise::split_extension(&name);
    [name.clone(), format!("{stem}-{}{extension}", &id[..8]), format!("{stem}-{id}{extension}")]
}

fn write_new(dir: &Path, names: &[String], payload: &Bytes) -> io::Result<PathBuf> {
    fs::create_dir_all(dir)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".braidcast-").suffix(".part");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // less the umask
    let mut file = builder.tempfile_in(dir)?;
    file.write_all(payload)?;
    file.as_file().sync_data()?;
    for name in names {
        let path = dir.join(name);
        file = match file.persist_noclobber(&path) {
            Ok(_) => return Ok(path),
            Err(taken) if taken.error.kind() == io::ErrorKind::AlreadyExists => taken.file,
            Err(failed) => return Err(failed.error),
        };
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "the message was saved there before"))
}

/// True for a media type whose content is meant to be read: `text/*` and JSON (RFC 8259, and `+json` of RFC 6839).
pub(crate) fn is_text(content_type: &str) -> bool {
    let essence = essence(content_type).to_ascii_lowercase();
    essence.starts_with("text/") || essence == "application/json" || essence.ends_with("+json")
}

/// For a file without a name; the common ones, because a list of all starts with exotic ones.
fn extension(content_type: &str) -> &'static str {
    match essence(content_type).to_ascii_lowercase().as_str() {
        "text/plain" => ".txt",
        "application/json" => ".json",
        "application/pdf" => ".pdf",
        "image/gif" => ".gif",
        "image/jpeg" => ".jpg",
        "image/png" => ".png",
        "image/webp" => ".webp",
        _ => ".bin",
    }
}

/// The media type without its parameters.
fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// The end of a peer id: the beginning is the same for all.
pub(crate) fn short(peer: PeerId) -> String {
    let text = peer.to_string();
    text[text.len().saturating_sub(8)..].to_owned()
}

/// The time of day in UTC.
fn clock(unix_ms: u64) -> String {
    let secs = unix_ms / 1000 % 86_400;
    format!("{:02}:{:02}:{:02}Z", secs / 3600, secs / 60 % 60, secs % 60)
}

/// `999 B`, `1.0 KiB`, `2.5 MiB`.
fn size(bytes: usize) -> String {
    let units = ["KiB", "MiB", "GiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}... (see it all with --output json)", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use braidcast_net::{Content, MessageId, Topic, machine::WallTime};

    use super::*;

    fn message(name: &str, content_type: &str, payload: &'static [u8]) -> Message {
        Message {
            id: MessageId([0xab; 32]),
            topic: Topic::new("news").unwrap(),
            from: PeerId([7; 32]),
            seqno: 3,
            published: WallTime(1_700_000_000_123),
            content: Content {
                payload: Bytes::from_static(payload).into(),
                content_type: content_type.into(),
                name: name.into(),
            },
            judge_by: None,
        }
    }

    #[test]
    fn text_is_shown_on_a_line_and_binary_is_summarised() {
        let from = short(PeerId([7; 32]));
        assert_eq!(
            message_text(message("", "text/plain", b"hi\x1b[2J\nthere")),
            format!("[22:13:20Z] {from} text/plain 12 B: hi[2J\n    there")
        );
        assert_eq!(
            message_text(message("a\x1b.png", "image/png", b"\x89PNG")),
            format!("[22:13:20Z] {from} a.png image/png 4 B")
        );
        assert_eq!(message_text(message("", "", b"")), format!("[22:13:20Z] {from} unnamed 0 B"));
        assert_eq!(
            message_text(message("", "text/plain", b"\xff")),
            format!("[22:13:20Z] {from} text/plain 1 B")
        );
    }

    #[test]
    fn json_has_text_or_base64() {
        let parse = |line: String| -> serde_json::Value { serde_json::from_str(&line).unwrap() };
        let text = parse(message_json(message("n", "application/json; charset=utf-8", b"{}")));
        assert_eq!((text["text"].as_str(), text.get("base64")), (Some("{}"), None));
        assert_eq!(
            (text["publishedAt"].as_u64(), text["bytes"].as_u64()),
            (Some(1_700_000_000_123), Some(2))
        );
        for content_type in ["text/plain", "application/octet-stream", ""] {
            let binary = parse(message_json(message("", content_type, b"\xff\0")));
            assert_eq!(
                (binary["base64"].as_str(), binary.get("text")),
                (Some("/wA="), None),
                "{content_type}"
            );
        }
    }

    #[test]
    fn files_stay_in_their_directory_and_replace_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("inbox");
        let save = |name: &str, content_type: &str| {
            let path = message_file(&inside, message(name, content_type, b"x")).unwrap();
            assert_eq!(path.parent(), Some(&*inside));
            path.file_name().unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(save("../../a.txt", "text/plain"), "a.txt");
        assert_eq!(save("a.txt", "text/plain"), "a-abababab.txt");
        assert!(save("a.txt", "text/plain").len() > 64);
        assert!(message_file(&inside, message("a.txt", "", b"x")).is_err());
        assert_eq!(save("..", "image/png"), "abababab.png");
        assert_eq!(fs::read_dir(&inside).unwrap().count(), 4);
    }

    #[test]
    fn sizes_are_readable() {
        for (bytes, text) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (2 << 20, "2.0 MiB"), (1048575, "1.0 MiB")]
        {
            assert_eq!(size(bytes), text);
        }
    }
}
