//! Cells of CSV that a spreadsheet doesn't take for formulas (CWE-1236): data of clients could otherwise run when the file is
//! opened.

use std::borrow::Cow;

const GUARD: u8 = b'\'';

/// A cell with a leading apostrophe if it begins with a character that spreadsheets act upon. A cell that began with an
/// apostrophe has two, so that [`unguarded`] restores every cell.
pub fn guarded(cell: &[u8]) -> Cow<'_, [u8]> {
    if is_risky(cell) { Cow::Owned([&[GUARD], cell].concat()) } else { Cow::Borrowed(cell) }
}

/// The cell that [`guarded`] made this one of. A cell that wasn't guarded is returned as it is, unless it looks like one that
/// was: two apostrophes, or an apostrophe before one of the characters.
pub fn unguarded(cell: &str) -> &str {
    cell.strip_prefix(char::from(GUARD)).filter(|rest| is_risky(rest.as_bytes())).unwrap_or(cell)
}

fn is_risky(cell: &[u8]) -> bool {
    // The first character has at most four bytes.
    let first = String::from_utf8_lossy(&cell[..cell.len().min(4)]).chars().next();
    first.is_some_and(|first| {
        matches!(first, '=' | '+' | '-' | '@' | '\'' | '＝' | '＋' | '－' | '＠') || first.is_control()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_no_formulas_and_can_be_restored() {
        for (cell, expected) in [
            ("=1+1", "'=1+1"),
            ("+49 30", "'+49 30"),
            ("-10 % off", "'-10 % off"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("＝1", "'＝1"),
            ("'quoted", "''quoted"),
            ("'", "''"),
            ("19.99", "19.99"),
            ("a=1", "a=1"),
            ("ä", "ä"),
            ("", ""),
        ] {
            assert_eq!(guarded(cell.as_bytes()), expected.as_bytes());
            assert_eq!(unguarded(expected), cell);
        }
    }

    #[test]
    fn leaves_cells_of_other_programs_alone() {
        for cell in ["'s-Hertogenbosch", "'24 lamp", "=1+1"] {
            assert_eq!(unguarded(cell), cell);
        }
    }

    #[test]
    fn guards_cells_that_are_not_utf_8() {
        assert_eq!(guarded(b"=\xff"), b"'=\xff".as_slice());
        assert_eq!(guarded(b"\xff="), b"\xff=".as_slice());
    }
}
