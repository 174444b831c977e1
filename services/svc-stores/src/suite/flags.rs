//! What every adapter of the flags port must do.

use std::future::Future;
use std::sync::Arc;

use serde_json::json;
use uuid::Uuid;

use crate::flags::{FlagContext, Flags};
use crate::{Result, TenantId};

/// The flags that an adapter must serve for this suite.
pub const FLAGS: &str = r#"
dark: { variations: { on: true, off: false }, defaultRule: { variation: off } }
launched: { variations: { on: true, off: false }, defaultRule: { variation: on } }
tenth: { variations: { on: true, off: false }, defaultRule: { percentage: { on: 10, off: 90 } } }
retired: { variations: { on: true }, defaultRule: { variation: on }, disable: true }
theme:
  variations: { blue: { accent: "0000ff" }, red: { accent: "ff0000" } }
  targeting: [{ name: pro, query: 'plan eq "pro"', variation: red }]
  defaultRule: { variation: blue }
"#;

/// Runs the suite. `make` serves the given flags: [`FLAGS`], or one or two of its own.
///
/// # Panics
/// With the rule that was broken.
pub async fn flags<F: Future<Output = Result<Arc<dyn Flags>>>>(make: impl Fn(&'static str) -> F) {
    let flags = make(FLAGS).await.unwrap();
    let tenant = |number| FlagContext::tenant(TenantId::new(Uuid::from_u128(number)));
    assert_eq!(flags.names().await.unwrap(), ["dark", "launched", "retired", "tenth", "theme"]);
    assert!(!flags.is_enabled("dark", &tenant(1)).await);
    assert!(flags.is_enabled("launched", &tenant(1)).await);
    assert!(!flags.is_enabled("retired", &tenant(1)).await);
    assert!(!flags.is_enabled("unknown", &tenant(1)).await);
    assert_eq!(flags.evaluate("unknown", &tenant(1)).await.unwrap(), None);

    let mut on = 0;
    for number in 0..1000 {
        let first = flags.is_enabled("tenth", &tenant(number)).await;
        assert_eq!(
            flags.is_enabled("tenth", &tenant(number).with("userId", "x")).await,
            first,
            "by tenant only"
        );
        on += u32::from(first);
    }
    assert!((60..150).contains(&on), "{on} of 1000 is about a tenth");

    let theme = flags.evaluate("theme", &tenant(1).with("plan", "pro")).await.unwrap().unwrap();
    assert_eq!((theme.variation.as_str(), theme.value), ("red", json!({ "accent": "ff0000" })));
    let theme = flags.evaluate("theme", &tenant(1).with("plan", "free")).await.unwrap().unwrap();
    assert_eq!(theme.variation, "blue");
    assert!(!flags.is_enabled("theme", &tenant(1)).await, "what is not boolean is not on");
}
