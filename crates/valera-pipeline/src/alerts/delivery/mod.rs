//! Delivery: brings what stands on `ALERTS` to people, channel by channel.

pub mod channel;
pub mod email;
pub mod pace;
pub mod telegram;
pub mod webhook;
