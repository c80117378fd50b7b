//! Text from outside, made safe for a terminal (CWE-150): product names, messages and object keys may hold characters that
//! move the cursor, change colours or reorder what is read.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Replaces control and bidirectional characters by escapes such as `\u{202e}`. Line feeds and tabs stay.
pub fn printable(text: &str) -> Cow<'_, str> {
    replace(
        text,
        |character| !matches!(character, '\n' | '\t'),
        |out, character| write!(out, "{}", character.escape_unicode()),
    )
}

/// Replaces the same characters in a JSON document by JSON's own escapes; it stays the same document.
///
/// `serde_json` escapes U+0000 to U+001F and leaves the others. Outside its strings, a document has none of them but
/// whitespace, which stays.
pub fn printable_json(json: &str) -> Cow<'_, str> {
    replace(
        json,
        |character| !matches!(character, '\n' | '\t' | '\r'),
        |out, character| {
            // Every character concerned is in the Basic Multilingual Plane, so one escape is enough.
            write!(out, "\\u{:04x}", u32::from(character))
        },
    )
}

fn replace(
    text: &str,
    may_replace: impl Fn(char) -> bool,
    escape: impl Fn(&mut String, char) -> std::fmt::Result,
) -> Cow<'_, str> {
    let unsafe_character = |character: char| is_unsafe(character) && may_replace(character);
    if !text.contains(unsafe_character) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if unsafe_character(character) {
            escape(&mut out, character).expect("writing to a String never fails");
        } else {
            out.push(character);
        }
    }
    Cow::Owned(out)
}

/// Control characters (C0, DEL, C1), line and paragraph separators, and the bidirectional formatting characters of
/// Unicode Standard Annex #9.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_control_and_bidirectional_characters() {
        assert_eq!(printable("a\u{1b}[31mb\u{9b}c\u{202e}d\re"), "a\\u{1b}[31mb\\u{9b}c\\u{202e}d\\u{d}e");
        assert_eq!(printable("first\n\tsecond"), "first\n\tsecond");
    }

    #[test]
    fn leaves_other_characters() {
        for text in ["Straße", "שלום", "👩‍👩‍👧", "日本"] {
            assert!(matches!(printable(text), Cow::Borrowed(found) if found == text), "{text}");
        }
    }

    #[test]
    fn escaped_json_is_the_same_document() {
        let document = serde_json::json!({"a\u{9b}": ["\u{202e}\u{1b}\u{7f}", {"b": "\n\u{2028}"}]});
        let text = serde_json::to_string_pretty(&document).unwrap();
        let escaped = printable_json(&text);
        assert!(escaped.contains("\\u202e") && !escaped.contains(['\u{9b}', '\u{202e}', '\u{7f}', '\u{2028}']));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), document);
    }
}
