//! Where in a body a fault is: `properties.items[3].name`.
//!
//! A path is a chain of borrowed steps on the stack, spelled only when there is a fault, so that a good event pays
//! nothing.
//!
//! It does not escape keys: a path is read by people, never followed by programs.

use std::fmt;

/// A key longer than this many characters is cut in a path.
const MAX_KEY: usize = 60;
/// A path longer than this many bytes is cut, so that hostile keys cannot fill a dead letter.
const MAX_PATH: usize = 400;

/// A place in a body.
#[derive(Debug, Clone, Copy)]
pub struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    step: Step<'p>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'p> {
    Root,
    Key(&'p str),
    Index(usize),
}

impl<'p> Path<'p> {
    /// The body itself, spelled as the empty text.
    pub const ROOT: Path<'static> = Path { parent: None, step: Step::Root };

    /// A member of the object at this path.
    pub fn key(&'p self, key: &'p str) -> Self {
        Self { parent: Some(self), step: Step::Key(key) }
    }

    /// An item of the array at this path, from 0.
    pub fn index(&'p self, index: usize) -> Self {
        Self { parent: Some(self), step: Step::Index(index) }
    }

    fn spell(&self, out: &mut String) {
        if let Some(parent) = self.parent {
            parent.spell(out);
        }
        if out.len() > MAX_PATH {
            return;
        }
        match self.step {
            Step::Root => {}
            Step::Key(key) => {
                if !out.is_empty() {
                    out.push('.');
                }
                let end = key.char_indices().nth(MAX_KEY).map_or(key.len(), |(end, _)| end);
                // A path goes into logs and tables: a control character of a hostile key has no business there.
                let readable =
                    key[..end].chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c });
                out.extend(readable);
                if end < key.len() {
                    out.push('…');
                }
            }
            Step::Index(index) => out.push_str(&format!("[{index}]")),
        }
        if out.len() > MAX_PATH {
            out.push_str(".…");
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.spell(&mut text);
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_dotted_and_bounded() {
        let (properties, long) = (Path::ROOT.key("properties"), "k".repeat(10_000));
        let items = properties.key("items");
        assert_eq!(items.index(3).key("name").to_string(), "properties.items[3].name");
        assert_eq!(Path::ROOT.to_string(), "");
        assert_eq!(Path::ROOT.key(&long).to_string().chars().count(), MAX_KEY + 1);

        fn nest(path: &Path<'_>, key: &str, levels: usize) -> usize {
            if levels == 0 { path.to_string().len() } else { nest(&path.key(key), key, levels - 1) }
        }
        assert!(nest(&Path::ROOT, &"ж".repeat(100), 40) < 600);
    }
}
