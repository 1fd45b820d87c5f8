//! The morning message: its figures counted by hand, its words, and that it is told once a day and channel.

mod figures;
mod mornings;
mod processes;
mod words;
