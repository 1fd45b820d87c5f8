//! A text that Telegram takes: at most 4,096 UTF-16 units, counted after markup is read.
//!
//! What is too long loses its end, never its sense: no character, entity or tag is cut through, and what was opened is
//! closed. It reads the markup that templates write and escaping makes, and does not judge or repair any other.

use std::borrow::Cow;

/// In UTF-16 units, as the API counts.
const LONGEST: usize = 4096;
/// Stands where the rest was; one unit.
const MORE: char = '…';

/// Without markup.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    cut(text, text.chars().map(Piece::visible))
}

/// With markup.
pub(super) fn html(html: &str) -> Cow<'_, str> {
    cut(html, Pieces(html))
}

/// What is not cut through.
#[derive(Debug, Clone, Copy)]
struct Piece<'a> {
    /// In bytes.
    length: usize,
    /// In units that are seen.
    units: usize,
    tag: Option<&'a str>,
}

impl Piece<'_> {
    fn visible(character: char) -> Self {
        Self { length: character.len_utf8(), units: character.len_utf16(), tag: None }
    }
}

/// A character, an entity or a tag at a time.
struct Pieces<'a>(&'a str);

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let first = self.0.chars().next()?;
        let end = |closing: char| self.0.find(closing).map(|at| at + closing.len_utf8());
        let piece = match first {
            '<' => end('>').map(|length| Piece { length, units: 0, tag: Some(&self.0[1..length - 1]) }),
            // An entity is one character; those of two units are not made by escaping.
            '&' => end(';').filter(|length| *length <= 10).map(|length| Piece { length, units: 1, tag: None }),
            _ => None,
        };
        let piece = piece.unwrap_or_else(|| Piece::visible(first));
        self.0 = &self.0[piece.length..];
        Some(piece)
    }
}

fn cut<'a>(whole: &'a str, pieces: impl Iterator<Item = Piece<'a>>) -> Cow<'a, str> {
    let (mut length, mut units) = (0, 0);
    // Where it is cut if it has to be: room for the mark is kept.
    let mut at = 0;
    let (mut open, mut open_at) = (Vec::new(), Vec::new());
    for piece in pieces {
        length += piece.length;
        units += piece.units;
        match piece.tag {
            Some(tag) if tag.starts_with('/') => drop(open.pop()),
            Some(tag) => open.push(tag.split_whitespace().next().unwrap_or_default()),
            None => {}
        }
        if units < LONGEST {
            at = length;
            open_at.clone_from(&open);
        }
        if units > LONGEST {
            let mut rest = whole[..at].to_owned();
            rest.push(MORE);
            open_at.iter().rev().for_each(|tag| rest.extend(["</", tag, ">"]));
            return rest.into();
        }
    }
    whole.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn units(html: &str) -> usize {
        Pieces(html).map(|piece| piece.units).sum()
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        let fits = format!("<b>{}</b>", "&lt;".repeat(LONGEST));
        assert_eq!(html(&fits), fits);
        assert_eq!(text(&"я".repeat(LONGEST)), "я".repeat(LONGEST));
    }

    #[test]
    fn what_is_too_long_is_closed() {
        let long =
            format!("<b>Ошибка</b> <a href=\"https://example.org/?a&amp;b\"><i>{}</i></a> end", "&amp;".repeat(5000));
        let cut = html(&long);
        assert_eq!(units(&cut), LONGEST);
        assert!(cut.ends_with("&amp;…</i></a>"), "{}", &cut[cut.len() - 40..]);
        // A smiley is two units, and the mark one.
        let cut = text(&"🚗".repeat(3000)).into_owned();
        assert_eq!(cut, format!("{}…", "🚗".repeat(2047)));
    }

    proptest! {
        #[test]
        fn whatever_is_cut_is_short_enough_and_well_formed(
            parts in prop::collection::vec(("[a-zя🚗]{0,300}", 0_usize..4), 0..60),
        ) {
            let whole: String = parts
                .iter()
                .map(|(text, kind)| match kind {
                    0 => format!("<b>{text}</b>"),
                    1 => format!("<b><i>{text}&lt;</i>{text}</b>"),
                    2 => format!("&amp;{text}&#39;"),
                    _ => text.clone(),
                })
                .collect();
            let cut = html(&whole);
            prop_assert!(units(&cut) <= LONGEST);
            let mut open = Vec::new();
            for tag in Pieces(&cut).filter_map(|piece| piece.tag) {
                match tag.strip_prefix('/') {
                    Some(closed) => prop_assert_eq!(open.pop(), Some(closed)),
                    None => open.push(tag),
                }
            }
            prop_assert!(open.is_empty());
        }
    }
}
