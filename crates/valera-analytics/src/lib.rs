//! The program's library side: what its commands and the system's tests share.
//!
//! It does not decide what an event is (`valera-events`) or what becomes of one (`valera-pipeline`).

pub mod embedded;
