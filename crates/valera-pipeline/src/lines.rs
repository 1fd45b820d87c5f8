//! The lines of a file, each kept only up to a bound: a line that never ends costs no memory.
//!
//! It does not know what a line means.

use std::io::{self, BufRead, Read};

/// A line without its line end.
pub struct Line {
    /// Counted from 1, empty ones too.
    pub number: u64,
    /// Its bytes, up to the bound.
    pub text: Vec<u8>,
    /// Whether that is all of it.
    pub whole: bool,
}

/// Reads lines of at most `bound` bytes; of a longer one the rest is passed over.
pub struct Lines<R> {
    reader: R,
    bound: usize,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// `bound` in bytes, without the line's end.
    pub fn new(reader: R, bound: usize) -> Self {
        Self { reader, bound, number: 0 }
    }

    fn read(&mut self) -> io::Result<Option<Line>> {
        let mut text = Vec::new();
        // One more for the line end.
        let most = u64::try_from(self.bound).unwrap_or(u64::MAX).saturating_add(1);
        if self.reader.by_ref().take(most).read_until(b'\n', &mut text)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        let ended = text.pop_if(|byte| *byte == b'\n').is_some();
        let whole = ended || text.len() <= self.bound;
        if !whole {
            self.reader.skip_until(b'\n')?;
            text.truncate(self.bound);
        }
        Ok(Some(Line { number: self.number, text, whole }))
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_longer_than_the_bound_is_cut_and_the_next_one_is_whole() {
        let text = b"12345\n123456\n\n1234567890\nlast";
        let lines: Vec<_> = Lines::new(&text[..], 5).map(Result::unwrap).collect();
        let lines: Vec<_> = lines.iter().map(|line| (line.number, &line.text[..], line.whole)).collect();
        let expected: [(u64, &[u8], bool); 5] =
            [(1, b"12345", true), (2, b"12345", false), (3, b"", true), (4, b"12345", false), (5, b"last", true)];
        assert_eq!(lines, expected);
        let cut: Vec<_> = Lines::new(&b"123456"[..], 5).map(|line| line.unwrap().whole).collect();
        assert_eq!(cut, [false]);
    }
}
