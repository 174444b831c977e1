//! Every code has a page that `kernel explain` can print.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::Path;

#[test]
fn every_code_has_a_page_with_what_to_do() {
    for code in kernel_deploy::codes::ALL {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/errors/{code}.md"));
        let page =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(page.starts_with(&format!("# {code}: ")), "{code}");
        assert!(page.contains("\n## What to do\n\n"), "{code}");
    }
}
