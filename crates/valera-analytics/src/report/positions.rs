//! Whether Postgres has what was acknowledged, and the commands that bring back what it has not.
//!
//! It does not run them.

use valera_pipeline::verify::{Missing, OtherStream, Position};

/// A line a consumer, and one a command.
#[must_use]
pub fn positions(positions: &[Position]) -> String {
    positions.iter().map(position).collect()
}

/// A line a consumer with which something is wrong, for who has not asked.
#[must_use]
pub fn positions_amiss(positions: &[Position]) -> String {
    let amiss = positions.iter().filter_map(|Position { consumer, missing, other_stream, .. }| {
        let what = match (missing, other_stream) {
            (Some(Missing { messages, .. }), _) => {
                format!("{messages} messages are acknowledged that Postgres does not hold")
            }
            (None, Some(_)) => "the stream is not the one that Postgres has taken messages from".to_owned(),
            (None, None) => return None,
        };
        Some(format!("{consumer}: {what}: `valera-analytics verify --position` says more\n"))
    });
    amiss.collect()
}

fn position(position: &Position) -> String {
    let Position { consumer, ack_floor, missing, other_stream } = position;
    let mut out = String::new();
    if let Some(OtherStream { sequence, received_at, ends_at, has }) = other_stream {
        let instead = match has {
            Some(has) => format!("has one of {has} there"),
            None => format!("ends at {ends_at}"),
        };
        out.push_str(&format!(
            "{consumer}: Postgres has taken in message {sequence} of {received_at}, and the stream {instead}: it was made anew, or \
             has lost its end. What it has is put in, where it is not, by\n  \
             valera-analytics replay --into {consumer}\n"
        ));
    }
    if let Some(Missing { first, last, messages }) = missing {
        out.push_str(&format!(
            "{consumer}: {messages} messages are acknowledged and not in Postgres, which was put back to an earlier point. They \
             come back by\n  valera-analytics replay --into {consumer} --from {first} --to {last}\n"
        ));
    }
    if out.is_empty() {
        out = format!("{consumer}: Postgres has all that is acknowledged, everything up to {ack_floor} among it\n");
    }
    out
}
