//! Delivery against servers that misbehave: what a person sees in the end.

pub(crate) mod bot_api;
mod configured;
mod email;
mod kills;
mod mail_server;
mod notified;
mod promises;
mod readiness;
mod receiver;
mod repeats;
mod socket;
mod steps;
mod telegram;
mod tls;
mod up;
mod webhook;
