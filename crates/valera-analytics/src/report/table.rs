//! The look that all reports share: light rules, right-aligned numbers in groups of three, colour where it is welcome.
//!
//! Names in the cells come from whoever publishes events, so nothing in them may steer the terminal.
//!
//! It does not know what the figures mean.

use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle, Width,
};

use crate::terminal::Style;

/// One rule under the header, columns apart by space: nothing that costs width on a narrow terminal.
const LIGHT: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─'));

/// Stands where there is no value.
pub(super) const NONE: &str = "–";
/// Narrow no-break space: groups digits and is one column wide.
const THIN: char = '\u{202f}';

/// Words are wrapped to no less, where they are so long: letters one below the other nobody reads, so rather is the table wider
/// than the terminal.
const LEAST_WORDS: u16 = 8;
/// As [`LEAST_WORDS`], of names: those of the catalogue stand whole.
const LEAST_NAMED: u16 = 24;

/// How a column is filled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// Words: left-aligned, wrapped where the width runs out, as far as they can still be read.
    Text(&'static str),
    /// As `Text`, and begins with the name that the row is about.
    Named(&'static str),
    /// Words of any length: left-aligned, cut where the width runs out.
    Cut(&'static str),
    /// Names of a bounded length: left-aligned, never wrapped.
    Name(&'static str),
    /// Figures: right-aligned, never wrapped.
    Number(&'static str),
}

/// A table with these columns. A totals row stands under a rule of its own; it must not wrap.
pub(super) fn table(columns: &[Column], rows: Vec<Vec<Cell>>, totals: Option<Vec<Cell>>, style: Style) -> String {
    let mut table = Table::new();
    table
        .load_style(LIGHT)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(style.width)
        .force_no_tty();
    if style.colour {
        table.enforce_styling();
    }
    table.set_header(columns.iter().map(heading));
    let has_totals = totals.is_some();
    table.add_rows(rows).add_rows(totals.map(bold));
    if columns.iter().any(|column| matches!(column, Column::Cut(_))) {
        table.set_truncation_indicator("…");
        table.row_iter_mut().for_each(|row| {
            row.max_height(1);
        });
    }
    let widest = table.column_max_content_widths();
    for ((column, kind), widest) in table.column_iter_mut().zip(columns).zip(widest) {
        let constraint = match kind {
            Column::Text(_) => wrapped(widest.min(LEAST_WORDS) + column.padding_width()),
            Column::Named(_) => wrapped(widest.min(LEAST_NAMED) + column.padding_width()),
            Column::Name(_) | Column::Number(_) => ColumnConstraint::ContentWidth,
            Column::Cut(_) => continue,
        };
        column.set_constraint(constraint);
    }
    let mut lines: Vec<String> = table.lines().collect();
    if has_totals && let Some(rule) = lines.get(1).cloned() {
        lines.insert(lines.len() - 1, rule);
    }
    lines.iter().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn wrapped(least: u16) -> ColumnConstraint {
    ColumnConstraint::LowerBoundary(Width::Fixed(least))
}

fn heading(column: &Column) -> Cell {
    let (Column::Text(words)
    | Column::Named(words)
    | Column::Cut(words)
    | Column::Name(words)
    | Column::Number(words)) = column;
    let cell = Cell::new(words).add_attribute(Attribute::Bold);
    if matches!(column, Column::Number(_)) { cell.set_alignment(CellAlignment::Right) } else { cell }
}

/// Text from outside, without what could steer a terminal.
pub(super) fn text(value: &str) -> Cell {
    Cell::new(harmless(value))
}

/// Two lines of text from outside.
pub(super) fn two_lines(first: &str, second: &str) -> Cell {
    Cell::new(harmless(first) + "\n" + &harmless(second))
}

/// Text from outside with U+FFFD for what could steer a terminal.
pub(super) fn harmless(value: &str) -> String {
    value.chars().map(|c| if steers(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// A whole number.
pub(super) fn number(value: impl std::fmt::Display) -> Cell {
    figure(grouped(&value.to_string()))
}

/// A number that may be missing.
pub(super) fn optional(value: Option<impl std::fmt::Display>) -> Cell {
    value.map_or_else(|| figure(NONE.to_owned()), number)
}

/// A cell that should catch the eye.
pub(super) fn alarming(cell: Cell) -> Cell {
    cell.fg(Color::Red)
}

/// A figure, not further formatted.
pub(super) fn figure(value: String) -> Cell {
    Cell::new(value).set_alignment(CellAlignment::Right)
}

/// A decimal with its whole part in groups of three: `12 345.6`.
pub(super) fn grouped(decimal: &str) -> String {
    let (whole, rest) = decimal.split_at(decimal.find('.').unwrap_or(decimal.len()));
    let (sign, digits) = whole.split_at(usize::from(whole.starts_with('-')));
    let mut out = sign.to_owned();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(THIN);
        }
        out.push(digit);
    }
    out + rest
}

/// Control characters, and those that turn the direction of text.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn bold(cells: Vec<Cell>) -> Vec<Cell> {
    cells.into_iter().map(|cell| cell.add_attribute(Attribute::Bold)).collect()
}
