//! One file a command: its arguments, and what it does with the libraries.

pub mod alerts;
pub mod catalogue;
pub mod completions;
pub mod dead_letters;
pub mod demo;
pub mod export;
pub mod funnel;
pub mod import;
pub mod latency;
pub mod migrate;
pub mod rebuild;
pub mod replay;
pub mod run;
pub mod status;
pub mod topology;
pub mod track;
pub mod up;
pub mod validate;
pub mod verify;

mod lines;
mod period;
mod stop;
