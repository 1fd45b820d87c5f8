//! The program's library side: what its commands share and tests call without a process.
//!
//! Commands stay thin because what they say (`report`), how it looks (`terminal`), what the demo's bot does
//! (`simulation`) and what it runs on (`embedded`) stand here.
//!
//! It does not parse arguments or print, and only `embedded` starts anything or looks at the machine.

pub mod embedded;
pub mod report;
pub mod simulation;
pub mod terminal;
