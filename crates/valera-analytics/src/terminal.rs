//! How text may look on the terminal that will show it.
//!
//! Decided once, by whoever knows standard output and the environment, and passed down as a plain value: so the same rows
//! give the same text in a test, a pipe and a terminal.
//!
//! It does not look at the environment or at standard output.

/// The widest text that is still comfortable to read across.
const WIDEST: u16 = 100;
/// Below this, tables wrap rather than shrink further.
const NARROWEST: u16 = 40;

/// Colour and width of a text report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether ANSI escapes may be written.
    pub colour: bool,
    /// Columns, 40..=100.
    pub width: u16,
}

impl Style {
    /// The style for an output: colour only on a terminal whose user did not set `NO_COLOR`, and the terminal's width in
    /// columns, held to 40..=100. An unknown width (`None`, as in a pipe) is 100.
    #[must_use]
    pub fn detect(is_terminal: bool, no_color: bool, width: Option<u16>) -> Self {
        Self { colour: is_terminal && !no_color, width: width.unwrap_or(WIDEST).clamp(NARROWEST, WIDEST) }
    }
}

#[cfg(test)]
mod tests {
    use super::Style;

    #[test]
    fn colour_needs_a_terminal_and_consent() {
        assert!(Style::detect(true, false, None).colour);
        assert!(!Style::detect(true, true, None).colour);
        assert!(!Style::detect(false, false, None).colour);
    }

    #[test]
    fn the_width_stays_readable() {
        assert_eq!(Style::detect(true, false, Some(80)).width, 80);
        assert_eq!(Style::detect(true, false, Some(220)).width, 100);
        assert_eq!(Style::detect(true, false, Some(0)).width, 40);
        assert_eq!(Style::detect(false, false, None).width, 100);
    }
}
