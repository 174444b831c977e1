//! What is not implemented yet is listed in `docs/services.md`, and nothing else is.
#![allow(missing_docs)]

use module_registry::ModuleRegistry;
use svc_testkit::{TestService, documented};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_implemented_is_documented() {
    let service = TestService::<ModuleRegistry>::start().await;
    documented::check(&service, &["platform.module_registry.v1"]).await;
}
