//! Messages that open a data channel, <https://www.rfc-editor.org/rfc/rfc8832#section-5>.

/// DATA_CHANNEL_ACK.
pub(super) const ACK: &[u8] = &[0x02];

/// DATA_CHANNEL_OPEN of an ordered and reliable channel.
pub(super) fn open(label: &str) -> Vec<u8> {
    let len = u16::try_from(label.len()).expect("labels are constants");
    let mut out = vec![0x03, 0, 0, 0, 0, 0, 0, 0];
    out.extend(len.to_be_bytes());
    out.extend([0, 0]);
    out.extend(label.as_bytes());
    out
}

/// The label in a DATA_CHANNEL_OPEN; `None` if it is none, or of a channel that is unordered or unreliable.
pub(super) fn open_label(message: &[u8]) -> Option<&[u8]> {
    let (head, rest) = message.split_first_chunk::<12>()?;
    let &[0x03, 0, _, _, _, _, _, _, label_high, label_low, protocol_high, protocol_low] = head else {
        return None;
    };
    let len = usize::from(u16::from_be_bytes([label_high, label_low]));
    let protocol = usize::from(u16::from_be_bytes([protocol_high, protocol_low]));
    if rest.len() == len + protocol { rest.get(..len) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_comes_back() {
        assert_eq!(open_label(&open("init")), Some(&b"init"[..]));
        assert_eq!(open_label(&open("")), Some(&b""[..]));
    }

    #[test]
    fn what_is_no_opening_is_refused() {
        assert_eq!(open_label(ACK), None);
        assert_eq!(open_label(&open("init")[..14]), None);
        let mut unordered = open("");
        unordered[1] = 0x80;
        assert_eq!(open_label(&unordered), None);
    }
}
