//! The gateway does what its OpenAPI document says, as schemathesis understands it: every request that the document allows is
//! taken, every answer is one that it lists, and what it does not allow is refused.

use super::wire::{Served, TOKEN};
use crate::support::{Said, System, checkout, python};

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_does_what_its_openapi_document_says() {
    let system = System::start().await;
    let served = Served::start(&system, &[("VALERA_LOG", "warn")]).await;
    let mut schemathesis = python();
    // It keeps a cache in its working directory.
    schemathesis.current_dir(system.dir()).env("TOKEN", TOKEN);
    schemathesis.env("SCHEMATHESIS_HOOKS", checkout().join("tests/it/gateway/schemathesis_hooks.py"));
    schemathesis.args(["-m", "schemathesis.cli", "--config-file"]);
    schemathesis.arg(checkout().join("tests/it/gateway/schemathesis.toml"));
    schemathesis.args(["run", &format!("http://{}/openapi.json", served.at)]);
    let said = Said::by(&mut schemathesis).well();
    assert!(said.contains("No issues found"), "{said}");
}
