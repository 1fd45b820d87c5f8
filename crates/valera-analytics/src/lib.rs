//! The program's library side: its commands, and what they share with the system's tests.
//!
//! Commands stay thin: what they say (`report`) and what the demo's bot does (`simulation`) are pure functions. It does
//! not decide what an event is (`valera-events`) or what becomes of one (`valera-pipeline`).

pub mod cli;
pub mod commands;
pub mod config;
pub mod embedded;
pub mod local;
pub mod output;
pub mod report;
pub mod simulation;
pub mod terminal;
