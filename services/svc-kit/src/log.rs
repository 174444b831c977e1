//! One JSON object per line: time, level, message, the fields of the event and of the request that it belongs to.
//!
//! The request's fields stand at the top level, so that `trace_id` finds a line without knowing our spans.

use std::{fmt, io::Write, time::SystemTime};

use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

/// Writes JSON lines.
pub(crate) struct JsonLog<W> {
    open: W,
}

impl<W> JsonLog<W> {
    pub(crate) fn new(open: W) -> JsonLog<W> {
        JsonLog { open }
    }
}

/// The fields of a span, kept with it.
struct Fields(Map<String, Value>);

impl<S, W, O> Layer<S> for JsonLog<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Fn() -> O + 'static,
    O: Write,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields(Map::new());
        attributes.record(&mut Collect(&mut fields.0));
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(&mut Collect(&mut fields.0));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Map::new();
        let time = jiff::Timestamp::try_from(SystemTime::now()).unwrap_or_default();
        line.insert("time".to_owned(), time.to_string().into());
        line.insert("level".to_owned(), event.metadata().level().as_str().to_lowercase().into());
        line.insert("target".to_owned(), event.metadata().target().into());
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<Fields>() {
                for (name, value) in &fields.0 {
                    // The innermost span comes first, and it knows best.
                    line.entry(name.clone()).or_insert_with(|| value.clone());
                }
            }
        }
        event.record(&mut Collect(&mut line));
        let mut text = Value::Object(line).to_string();
        text.push('\n');
        // One write per line, so that lines of several threads do not mix. Nobody is told when it fails.
        let _ = (self.open)().write_all(text.as_bytes());
    }
}

struct Collect<'a>(&'a mut Map<String, Value>);

impl Visit for Collect<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        // JSON numbers end well below; durations in milliseconds do not get there.
        self.0.insert(field.name().to_owned(), u64::try_from(value).unwrap_or(u64::MAX).into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::{layer::SubscriberExt as _, registry::Registry};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_carries_the_fields_of_its_request_at_the_top() {
        let lines = Lines::default();
        let open = lines.clone();
        let subscriber = Registry::default().with(JsonLog::new(move || open.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let _request =
                tracing::info_span!("request", trace_id = "4bf9", status = tracing::field::Empty).entered();
            tracing::Span::current().record("status", 200);
            tracing::warn!(attempt = 2, "retrying \"iam\"");
        });
        let written = lines.0.lock().unwrap().clone();
        let line: Value = serde_json::from_slice(&written).unwrap();
        for (field, value) in [("level", "warn"), ("message", "retrying \"iam\""), ("trace_id", "4bf9")] {
            assert_eq!(line[field], value, "{line}");
        }
        assert_eq!((&line["status"], &line["attempt"]), (&200.into(), &2.into()));
        assert_eq!(written.last(), Some(&b'\n'));
    }
}
