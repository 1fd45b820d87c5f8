//! The program's library side: what its commands share and tests call without a process.
//!
//! Commands stay thin because what they say (`report`), how it looks (`terminal`) and what the demo's bot does
//! (`simulation`) are pure functions here.
//!
//! It does not read the environment, print or talk to a server.

pub mod report;
pub mod simulation;
pub mod terminal;
