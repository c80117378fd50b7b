//! Text in the form in which names and categories are compared and sorted.

use icu_casemap::CaseMapper;
use icu_normalizer::DecomposingNormalizerBorrowed;

/// A string after canonical caseless folding (Unicode Standard §3.13, D145: NFD, full case folding, NFD), trimmed and with
/// each run of whitespace collapsed to one space. Two strings match if and only if their folded forms are equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FoldedText(String);

impl FoldedText {
    pub fn new(text: &str) -> Self {
        let nfd = DecomposingNormalizerBorrowed::new_nfd();
        let decomposed = nfd.normalize(text);
        let folded = CaseMapper::new().fold_string(&decomposed);
        let words: Vec<_> = nfd.normalize(&folded).split_whitespace().map(str::to_owned).collect();
        Self(words.join(" "))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> String {
        FoldedText::new(text).0
    }

    #[test]
    fn matches_strings_that_differ_in_case() {
        for (one, other) in [
            ("STRASSE", "Straße"),
            ("ÄPFEL", "äpfel"),
            ("ΟΔΟΣ", "οδος"),
            ("οδός", "ΟΔΌΣ"),
            ("ﬁsch", "FISCH"),
            ("İ", "i\u{307}"),
            ("\u{1e9e}", "ss"),
        ] {
            assert_eq!(folded(one), folded(other), "{one:?} and {other:?}");
        }
        assert_eq!(folded("ς"), "σ", "the final sigma is the same letter");
    }

    #[test]
    fn matches_composed_and_decomposed_characters() {
        for (composed, decomposed) in [("Café", "Cafe\u{301}"), ("Å", "A\u{30a}"), ("\u{212b}", "å"), ("한", "한")]
        {
            assert_eq!(folded(composed), folded(decomposed), "{composed:?}");
        }
        // The order of combining characters is normalized before and after folding (U+0345 is the standard's example).
        assert_eq!(folded("α\u{345}\u{301}"), folded("α\u{301}\u{345}"));
    }

    #[test]
    fn collapses_and_trims_whitespace() {
        assert_eq!(folded("  Oak \t Table\u{a0}\u{3000}XL\u{2028}"), "oak table xl");
        assert_eq!(folded("\u{2000}"), "");
    }

    #[test]
    fn distinguishes_different_letters() {
        for (one, other) in [("oak", "oaks"), ("resume", "résumé"), ("ı", "i"), ("oaktable", "oak table"), ("ﬃ", "fi")]
        {
            assert_ne!(folded(one), folded(other), "{one:?} and {other:?}");
        }
    }

    #[test]
    fn lengthens_characters_whose_folding_has_several() {
        let text = "\u{390}".repeat(200);
        assert_eq!(folded(&text), "\u{3b9}\u{308}\u{301}".repeat(200));
        assert_eq!(folded(&text).len(), 3 * text.len());
    }

    #[test]
    fn leaves_folded_text_unchanged() {
        for text in ["Straße", "İstanbul", "\u{1f80}\u{345}", "ΐ\u{390}", "e\u{301} \t É", "ǰ\u{323}"] {
            assert_eq!(folded(&folded(text)), folded(text), "{text:?}");
        }
    }
}
