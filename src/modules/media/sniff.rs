//! What a content is, by its first bytes; and how it may be shown.

/// So many of the first bytes tell.
pub const HEAD_BYTES: usize = 8192;
/// Of what nothing is known.
pub const UNKNOWN: &str = "application/octet-stream";

/// The type of a content that begins with `head`. `is_whole` where there is no more of it.
pub fn content_type(head: &[u8], is_whole: bool) -> &'static str {
    // Whatever a browser could run is text of some kind first; markup that hides behind a picture's name is text still.
    if let Some(kind) = infer::get(head) {
        return match kind.mime_type() {
            "text/html" | "text/xml" | "application/xml" => "text/plain",
            known => known,
        };
    }
    if is_text(head, is_whole) { "text/plain" } else { UNKNOWN }
}

/// UTF-8 without controls but for those of a text; its end may be cut off.
fn is_text(head: &[u8], is_whole: bool) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() && !is_whole => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.is_empty() && !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{c}'))
}

/// Whether browsers may show it by themselves, in a page or alone: nothing in it can run.
pub fn is_shown(content_type: &str) -> bool {
    matches!(
        content_type,
        "image/jpeg"
            | "image/png"
            | "image/gif"
            | "image/webp"
            | "image/avif"
            | "image/bmp"
            | "video/mp4"
            | "video/webm"
            | "video/quicktime"
            | "video/x-matroska"
            | "audio/mpeg"
            | "audio/mp4"
            | "audio/m4a"
            | "audio/ogg"
            | "audio/x-wav"
            | "audio/x-flac"
            | "audio/aac"
            | "text/plain"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_is_found_in_the_content_and_markup_is_text() {
        let cases: [(&[u8], &str); 9] = [
            (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
            (b"%PDF-1.7\n", "application/pdf"),
            (b"<!DOCTYPE html><script>alert(1)</script>", "text/plain"),
            (b"<?xml version=\"1.0\"?><svg onload=\"alert(1)\"/>", "text/plain"),
            (b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>", "text/plain"),
            ("Gr\u{fc}ezi".as_bytes(), "text/plain"),
            (b"\x00\x01\x02nothing known", UNKNOWN),
            (b"", UNKNOWN),
        ];
        for (head, expected) in cases {
            assert_eq!(content_type(head, true), expected, "{}", String::from_utf8_lossy(head));
        }
        // A letter that is cut off at the end of what was looked at.
        assert_eq!(content_type(b"Z\xc3", false), "text/plain");
        assert_eq!(content_type(b"Z\xc3", true), UNKNOWN);
    }

    #[test]
    fn nothing_that_can_run_is_shown() {
        for kind in ["text/html", "image/svg+xml", "application/pdf", "application/xhtml+xml", "text/xml", UNKNOWN] {
            assert!(!is_shown(kind), "{kind}");
        }
    }
}
