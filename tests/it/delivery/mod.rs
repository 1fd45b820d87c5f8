//! Delivery against servers that misbehave: what a person sees in the end.

mod email;
mod mail_server;
mod receiver;
mod socket;
mod steps;
mod webhook;
