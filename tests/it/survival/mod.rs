//! What the system survives: kills, outages, frozen and competing workers, refusals, dropped partitions, stops.
//!
//! Nearly every test ends in the same sentence: every event that was published is stored exactly once, the rollups agree
//! with a recount of raw, and there is no dead letter.

mod frozen;
mod horizon;
mod kills;
mod outages;
mod refusals;
mod sessions;
mod stops;
mod up;
mod workers;
