//! What a module says about itself, and everything that can be wrong with it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::rules;
use super::version::{Range, Version};

const DESCRIPTION_LIMIT: usize = 255;
const TEXT_LIMIT: usize = 255;
const SIZE_LIMIT: usize = 256 * 1024;

/// Every field that a manifest may have.
const FIELDS: [&str; 20] = [
    "name",
    "version",
    "description",
    "kernelSdkVersion",
    "entry",
    "exposedComponent",
    "route",
    "icon",
    "healthCheck",
    "category",
    "author",
    "permissions",
    "events",
    "dataApi",
    "hooks",
    "notificationChannels",
    "authProviders",
    "embeds",
    "dashboardWidget",
    "dependencies",
];

/// One thing that is wrong with a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where, such as `events.publishes[2]`.
    pub field: String,
    /// The rule: `required`, `type`, `format`, `too-long`, `unknown`, `duplicate` or `reserved`.
    pub code: &'static str,
    /// What is wrong and what would be right.
    pub message: String,
}

/// A manifest that was checked. The whole text is kept beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// `@scope/name`.
    pub name: String,
    /// The version.
    pub version: Version,
    /// Which modules must be active, in which versions.
    pub dependencies: BTreeMap<String, Range>,
}

impl Manifest {
    /// Checks a manifest.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the documentation.
    pub fn check(text: &Map<String, Value>) -> Result<Self, Vec<Fault>> {
        let mut check = Check { faults: Vec::new() };
        if Value::Object(text.clone()).to_string().len() > SIZE_LIMIT {
            check.fault("", "too-long", format!("the manifest has more than {SIZE_LIMIT} bytes"));
            return Err(check.faults);
        }
        for field in text.keys().filter(|field| !FIELDS.contains(&field.as_str())) {
            check.fault(field, "unknown", "is no field of a manifest");
        }
        let name = check.required(text, "name", "must be `@scope/name` in lower case", |text| {
            rules::is_module_name(text).then(|| text.to_owned())
        });
        let version = check.required(text, "version", "must be X.Y.Z, three numbers", Version::parse);
        let range = "must be a range such as ^1.0.0";
        check.required(text, "kernelSdkVersion", range, Range::parse);
        check.required(text, "entry", "must be a relative path or an https:// address", |text| {
            rules::is_entry(text).then_some(())
        });
        check.optional(text, "exposedComponent", "must be `./Component`", rules::is_component);
        check.optional(text, "route", "must be a path such as /crm", rules::is_path);
        check.optional(text, "healthCheck", "must be a path such as /health", rules::is_path);
        check.texts(text);
        check.permissions(text);
        check.events(text);
        check.data(text);
        for field in ["notificationChannels", "authProviders", "embeds"] {
            check.list(text.get(field), field);
        }
        check.widget(text);
        let dependencies = check.dependencies(text, range);
        match (name, version) {
            (Some(name), Some(version)) if check.faults.is_empty() => {
                Ok(Self { name, version, dependencies })
            }
            _ => Err(check.faults),
        }
    }
}

/// Whether a text has a certain shape.
type Test = fn(&str) -> bool;

/// Collects what is wrong.
struct Check {
    faults: Vec<Fault>,
}

impl Check {
    fn fault(&mut self, field: &str, code: &'static str, message: impl Into<String>) {
        self.faults.push(Fault { field: field.to_owned(), code, message: message.into() });
    }

    fn required<T>(
        &mut self,
        text: &Map<String, Value>,
        field: &str,
        rule: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        match text.get(field) {
            None | Some(Value::Null) => {
                self.fault(field, "required", format!("is missing; it {rule}"));
                None
            }
            Some(value) => self.text(value, field, rule, parse),
        }
    }

    fn optional(&mut self, text: &Map<String, Value>, field: &str, rule: &str, test: impl Fn(&str) -> bool) {
        if let Some(value) = text.get(field) {
            self.text(value, field, rule, |text| test(text).then_some(()));
        }
    }

    fn text<T>(
        &mut self,
        value: &Value,
        field: &str,
        rule: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let Some(text) = value.as_str() else {
            self.fault(field, "type", "must be a text");
            return None;
        };
        let parsed = parse(text);
        if parsed.is_none() {
            self.fault(field, "format", format!("is `{text}`, but {rule}"));
        }
        parsed
    }

    fn texts(&mut self, text: &Map<String, Value>) {
        let limits = [
            ("description", DESCRIPTION_LIMIT),
            ("icon", TEXT_LIMIT),
            ("category", TEXT_LIMIT),
            ("author", TEXT_LIMIT),
        ];
        for (field, limit) in limits {
            match text.get(field) {
                None => {}
                Some(Value::String(text)) if text.chars().count() <= limit => {}
                Some(Value::String(text)) => {
                    let length = text.chars().count();
                    self.fault(
                        field,
                        "too-long",
                        format!("has {length} characters; at most {limit} are allowed"),
                    );
                }
                Some(_) => self.fault(field, "type", "must be a text"),
            }
        }
    }

    fn permissions(&mut self, text: &Map<String, Value>) {
        let mut seen = BTreeSet::new();
        for (index, value) in self.list(text.get("permissions"), "permissions").iter().enumerate() {
            let field = format!("permissions[{index}]");
            let rule = "must be `{module}.{resource}.{action}` in lower case";
            let good = |text: &str| rules::is_dotted_triple(text).then(|| text.to_owned());
            let Some(permission) = self.text(value, &field, rule, good) else { continue };
            self.reserved(&field, &permission, &rules::RESERVED_PERMISSIONS);
            if !seen.insert(permission) {
                self.fault(&field, "duplicate", "stands there twice");
            }
        }
    }

    fn events(&mut self, text: &Map<String, Value>) {
        let Some(events) = self.object(text.get("events"), "events") else { return };
        for (index, value) in self.list(events.get("publishes"), "events.publishes").iter().enumerate() {
            let field = format!("events.publishes[{index}]");
            let good = |text: &str| rules::is_dotted_triple(text).then(|| text.to_owned());
            if let Some(event) = self.text(value, &field, "must be `{domain}.{entity}.{past-verb}`", good) {
                self.reserved(&field, &event, &rules::RESERVED_DOMAINS);
            }
        }
        for (index, value) in self.list(events.get("subscribes"), "events.subscribes").iter().enumerate() {
            let field = format!("events.subscribes[{index}]");
            let rule = "must be an event type, in which a part may be `*`";
            self.text(value, &field, rule, |text| rules::is_event_pattern(text).then_some(()));
        }
    }

    fn data(&mut self, text: &Map<String, Value>) {
        if let Some(data) = self.object(text.get("dataApi"), "dataApi") {
            let mut seen = BTreeSet::new();
            for (index, model) in self.list(data.get("models"), "dataApi.models").iter().enumerate() {
                let field = format!("dataApi.models[{index}].name");
                // A model is an object with a name, or only its name.
                let name = if model.is_string() { Some(model) } else { model.get("name") };
                let rule = "must be a lower-case name such as contact";
                let good = |text: &str| rules::is_model(text).then(|| text.to_owned());
                match name.map(|name| self.text(name, &field, rule, good)) {
                    None => self.fault(&field, "required", format!("is missing; it {rule}")),
                    Some(Some(name)) if !seen.insert(name.clone()) => {
                        self.fault(&field, "duplicate", "stands there twice")
                    }
                    Some(_) => {}
                }
            }
            self.hooks(data.get("hooks"), "dataApi.hooks");
        }
        self.hooks(text.get("hooks"), "hooks");
    }

    fn hooks(&mut self, value: Option<&Value>, field: &str) {
        for (index, hook) in self.list(value, field).iter().enumerate() {
            let rules: [(&str, &str, Test); 3] = [
                ("model", "must be a model", rules::is_model),
                ("event", "must be {create,update,delete}.{before,after}", rules::is_hook_event),
                ("handler", "must not be empty", |text| !text.is_empty()),
            ];
            for (part, rule, test) in rules {
                let field = format!("{field}[{index}].{part}");
                match hook.get(part) {
                    None => self.fault(&field, "required", format!("is missing; it {rule}")),
                    Some(value) => {
                        self.text(value, &field, rule, |text| test(text).then_some(()));
                    }
                }
            }
        }
    }

    fn widget(&mut self, text: &Map<String, Value>) {
        let Some(widget) = self.object(text.get("dashboardWidget"), "dashboardWidget") else { return };
        let rule = "must be `./Component`";
        match widget.get("component") {
            None => self.fault("dashboardWidget.component", "required", format!("is missing; it {rule}")),
            Some(value) => {
                let good = |text: &str| rules::is_component(text).then_some(());
                self.text(value, "dashboardWidget.component", rule, good);
            }
        }
    }

    fn dependencies(&mut self, text: &Map<String, Value>, rule: &str) -> BTreeMap<String, Range> {
        let Some(listed) = self.object(text.get("dependencies"), "dependencies") else {
            return BTreeMap::new();
        };
        let mut dependencies = BTreeMap::new();
        for (name, range) in listed {
            let field = format!("dependencies.{name}");
            if !rules::is_module_name(name) {
                self.fault(&field, "format", "must be named `@scope/name`");
            }
            if text.get("name").and_then(Value::as_str) == Some(name) {
                self.fault(&field, "format", "is the module itself");
            }
            if let Some(range) = self.text(range, &field, rule, Range::parse) {
                dependencies.insert(name.clone(), range);
            }
        }
        dependencies
    }

    fn reserved(&mut self, field: &str, text: &str, prefixes: &[&str]) {
        if let Some(prefix) = text.split('.').next().filter(|prefix| prefixes.contains(prefix)) {
            self.fault(field, "reserved", format!("is `{text}`, but `{prefix}.` belongs to the platform"));
        }
    }

    fn list<'a>(&mut self, value: Option<&'a Value>, field: &str) -> &'a [Value] {
        match value {
            None => &[],
            Some(Value::Array(items)) => items,
            Some(_) => {
                self.fault(field, "type", "must be a list");
                &[]
            }
        }
    }

    fn object<'a>(&mut self, value: Option<&'a Value>, field: &str) -> Option<&'a Map<String, Value>> {
        match value {
            None => None,
            Some(Value::Object(object)) => Some(object),
            Some(_) => {
                self.fault(field, "type", "must be an object");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn good() -> Map<String, Value> {
        object(json!({
            "name": "@acme/crm",
            "version": "1.2.3",
            "description": "Contacts and deals",
            "kernelSdkVersion": "^1.0.0",
            "entry": "remoteEntry.js",
            "exposedComponent": "./App",
            "route": "/crm",
            "icon": "users",
            "healthCheck": "/health",
            "category": "sales",
            "author": "Acme",
            "permissions": ["crm.contacts.read", "crm.contacts.write"],
            "events": { "publishes": ["crm.contact.created"], "subscribes": ["money.wallet.credited", "auth.*"] },
            "dataApi": { "models": [{ "name": "contact", "autoApi": true }, "deal"],
                "hooks": [{ "model": "contact", "event": "create.before", "handler": "checkContact" }] },
            "notificationChannels": ["crm_digest"],
            "authProviders": [], "embeds": [],
            "dashboardWidget": { "component": "./Widget", "title": "Deals", "defaultSize": "2x1" },
            "dependencies": { "@acme/base": ">=1.0.0 <2.0.0" }
        }))
    }

    fn faults(change: impl Fn(&mut Map<String, Value>)) -> Vec<(String, &'static str)> {
        let mut manifest = good();
        change(&mut manifest);
        let faults = Manifest::check(&manifest).err().unwrap_or_default();
        faults.into_iter().map(|fault| (fault.field, fault.code)).collect()
    }

    fn with(field: &str, value: Value) -> Vec<(String, &'static str)> {
        faults(|manifest| {
            manifest.insert(field.to_owned(), value.clone());
        })
    }

    #[test]
    fn a_good_manifest_is_understood() {
        let manifest = Manifest::check(&good()).unwrap();
        assert_eq!((manifest.name.as_str(), manifest.version.to_string().as_str()), ("@acme/crm", "1.2.3"));
        assert!(manifest.dependencies["@acme/base"].contains(Version::parse("1.5.0").unwrap()));
    }

    #[test]
    fn four_fields_are_enough() {
        let least = json!({ "name": "@a/b", "version": "0.1.0", "kernelSdkVersion": "*", "entry": "./a.js" });
        assert!(Manifest::check(&object(least)).is_ok());
        let fields: Vec<_> =
            Manifest::check(&Map::new()).unwrap_err().into_iter().map(|fault| fault.field).collect();
        assert_eq!(fields, ["name", "version", "kernelSdkVersion", "entry"]);
    }

    #[test]
    fn everything_is_reported_at_once() {
        let wrong = json!({
            "name": "crm", "version": "1.2", "kernelSdkVersion": "latest", "entry": "../up.js",
            "exposedComponent": "App", "route": "crm", "healthCheck": 1, "description": "d".repeat(256),
            "permissions": ["crm.read", "system.users.delete", "crm.a.b", "crm.a.b", 7],
            "events": { "publishes": ["money.wallet.credited", "Crm"], "subscribes": ["a.*.b.c"] },
            "dataApi": { "models": [{}, "Contact"], "hooks": [{ "model": "x", "event": "create.during" }] },
            "embeds": "none", "dashboardWidget": {}, "dependencies": { "base": "one" }, "colour": "red"
        });
        let found: Vec<_> = Manifest::check(&object(wrong))
            .unwrap_err()
            .into_iter()
            .map(|fault| format!("{} {}", fault.field, fault.code))
            .collect();
        assert_eq!(
            found,
            [
                "colour unknown",
                "name format",
                "version format",
                "kernelSdkVersion format",
                "entry format",
                "exposedComponent format",
                "route format",
                "healthCheck type",
                "description too-long",
                "permissions[0] format",
                "permissions[1] reserved",
                "permissions[3] duplicate",
                "permissions[4] type",
                "events.publishes[0] reserved",
                "events.publishes[1] format",
                "events.subscribes[0] format",
                "dataApi.models[0].name required",
                "dataApi.models[1].name format",
                "dataApi.hooks[0].event format",
                "dataApi.hooks[0].handler required",
                "embeds type",
                "dashboardWidget.component required",
                "dependencies.base format",
                "dependencies.base format",
            ]
        );
    }

    #[test]
    fn reserved_permissions_are_refused() {
        for permission in ["system.backup.run", "platform.tenants.list"] {
            assert_eq!(with("permissions", json!([permission])), [("permissions[0]".to_owned(), "reserved")]);
        }
    }

    #[test]
    fn entries_stay_inside_or_are_secure() {
        for entry in ["https://cdn.example.org/remoteEntry.js", "./dist/remoteEntry.js", "a/b.js"] {
            assert_eq!(with("entry", json!(entry)), [], "{entry}");
        }
        for entry in
            ["", "http://cdn.example.org/a.js", "/etc/passwd", "a/../../b", "javascript:alert(1)", "https://"]
        {
            assert_eq!(with("entry", json!(entry)), [("entry".to_owned(), "format")], "{entry}");
        }
    }

    #[test]
    fn a_module_does_not_depend_on_itself() {
        let own = with("dependencies", json!({ "@acme/crm": "*" }));
        assert_eq!(own, [("dependencies.@acme/crm".to_owned(), "format")]);
    }

    #[test]
    fn a_huge_manifest_is_refused_as_a_whole() {
        assert_eq!(with("icon", json!("x".repeat(SIZE_LIMIT))), [(String::new(), "too-long")]);
    }
}
