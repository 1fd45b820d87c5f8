//! The client for Ruby, `clients/ruby/valera_analytics.rb`, as a Rails application holds it.
//!
//! Its own tests are in Ruby, against a gateway that misbehaves as it is told; they run here, so that one command runs
//! everything.

mod kills;
mod rows;

use crate::support::{Said, checkout, ruby};
use std::path::PathBuf;

fn client() -> PathBuf {
    checkout().join("clients/ruby")
}

#[test]
fn the_ruby_clients_own_tests_pass() {
    let said = Said::by(ruby().arg("-w").arg(client().join("test/all.rb"))).well();
    println!("{said}");
    assert!(said.contains(" 0 failures, 0 errors"), "{said}");
}
