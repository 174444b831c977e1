//! W3C Trace Context: the `traceparent` and `tracestate` headers (<https://www.w3.org/TR/trace-context/>).
//!
//! Owns parsing, creating and writing them. Exporting spans is left to whoever collects the logs.

use std::fmt;

use http::{HeaderMap, HeaderName};
use rand::RngCore;

/// Carries the trace id, the caller's span and its flags.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Carries what other tracing systems want passed on.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// A list-member limit would need a parser of foreign formats; the specification asks to carry at least this much.
const TRACESTATE_LIMIT: usize = 512;

/// Where in a trace this piece of work stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    sampled: bool,
    state: Option<String>,
}

impl TraceContext {
    /// A new trace.
    pub fn new() -> TraceContext {
        let mut trace_id = [0; 16];
        let mut span_id = [0; 8];
        rand::rng().fill_bytes(&mut trace_id);
        rand::rng().fill_bytes(&mut span_id);
        // All zeros is invalid. One in 2^64 is rare, but never is better.
        trace_id[15] |= 1;
        span_id[7] |= 1;
        TraceContext { trace_id, span_id, sampled: true, state: None }
    }

    /// The span below this one, in the same trace.
    #[must_use]
    pub fn child(&self) -> TraceContext {
        TraceContext { span_id: TraceContext::new().span_id, ..self.clone() }
    }

    /// Continues the trace that a request belongs to, as its child; without a valid `traceparent` a new one begins.
    pub fn continue_from(headers: &HeaderMap) -> TraceContext {
        let mut given = headers.get_all(TRACEPARENT).iter();
        let (Some(parent), None) = (given.next(), given.next()) else { return TraceContext::new() };
        let Some(mut context) = parent.to_str().ok().and_then(TraceContext::parse) else {
            return TraceContext::new();
        };
        let state: Vec<&str> =
            headers.get_all(TRACESTATE).iter().filter_map(|value| value.to_str().ok()).collect();
        let state = state.join(",");
        if !state.is_empty() && state.len() <= TRACESTATE_LIMIT {
            context.state = Some(state);
        }
        context.child()
    }

    /// Reads a `traceparent`. Later versions are read as far as version 00 goes, as the specification asks.
    pub fn parse(text: &str) -> Option<TraceContext> {
        let mut parts = text.split('-');
        let version = lower_hex::<1>(parts.next()?)?[0];
        let trace_id = lower_hex::<16>(parts.next()?)?;
        let span_id = lower_hex::<8>(parts.next()?)?;
        let flags = lower_hex::<1>(parts.next()?)?[0];
        let more = parts.next().is_some();
        if version == 0xff || (version == 0 && more) || trace_id == [0; 16] || span_id == [0; 8] {
            return None;
        }
        Some(TraceContext { trace_id, span_id, sampled: flags & 1 == 1, state: None })
    }

    /// The trace id, 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        hex::encode(self.trace_id)
    }

    /// The id of the current span, 16 hexadecimal digits.
    pub fn span_id(&self) -> String {
        hex::encode(self.span_id)
    }

    /// What to pass on as `tracestate`.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

impl Default for TraceContext {
    fn default() -> TraceContext {
        TraceContext::new()
    }
}

/// The `traceparent` header.
impl fmt::Display for TraceContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "00-{}-{}-{:02x}", self.trace_id(), self.span_id(), u8::from(self.sampled))
    }
}

/// Exactly `N` bytes in lower-case digits: the specification forbids upper case.
fn lower_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_written_can_be_read() {
        let context = TraceContext::parse(PARENT).unwrap();
        assert_eq!(context.to_string(), PARENT);
        let fresh = TraceContext::new();
        assert_eq!(TraceContext::parse(&fresh.to_string()), Some(fresh));
    }

    #[test]
    fn the_specification_decides_what_is_valid() {
        let valid = [
            PARENT,
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            // a later version, with and without more to come
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-09",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-brings",
        ];
        for text in valid {
            assert!(TraceContext::parse(text).is_some(), "{text}");
        }
        let invalid = [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
            "0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ];
        for text in invalid {
            assert!(TraceContext::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_request_continues_its_trace_in_a_span_of_its_own() {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, PARENT.parse().unwrap());
        headers.append(TRACESTATE, "a=1".parse().unwrap());
        headers.append(TRACESTATE, "b=2".parse().unwrap());
        let context = TraceContext::continue_from(&headers);
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_ne!(context.span_id(), "00f067aa0ba902b7");
        assert_eq!(context.state(), Some("a=1,b=2"));
        assert!(context.sampled);
    }

    #[test]
    fn an_invalid_or_doubled_parent_begins_a_new_trace() {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, "nonsense".parse().unwrap());
        assert_ne!(TraceContext::continue_from(&headers).trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        headers.insert(TRACEPARENT, PARENT.parse().unwrap());
        headers.append(TRACEPARENT, PARENT.parse().unwrap());
        assert_ne!(TraceContext::continue_from(&headers).trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    }
}
