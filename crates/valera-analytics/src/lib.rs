//! The program's library side: its commands, and what they share with the system's tests.
//!
//! Commands stay thin: what they say (`report`) and what the demo's bot does (`simulation`) are pure functions. It does
//! not decide what an event is (`valera-events`) or what becomes of one (`valera-pipeline`).

pub mod cli;
pub mod commands;
pub mod config;
pub mod embedded;
pub mod gateway;
pub mod local;
pub mod output;
pub mod report;
pub mod simulation;
pub mod since;
pub mod terminal;

/// Messages are allocated on the connection's thread and freed on another, tens of thousands a second; glibc's allocator
/// spent a fifth of a consumer's time on that. It stands here so that the tests' binaries run on the same.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
