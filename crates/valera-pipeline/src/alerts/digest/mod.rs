//! The morning message: what yesterday came to, once a day and channel.

mod text;

pub use text::message;
