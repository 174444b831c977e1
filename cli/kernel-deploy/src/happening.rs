//! What happens to pods during a rollout: the times that a lost request is held against.

use std::fmt;

use jiff::Timestamp;

/// Something that happened to a pod or to where a service sends requests.
#[derive(Clone, Debug)]
pub struct Happening {
    /// When it was seen.
    pub at: Timestamp,
    /// Which pod.
    pub pod: String,
    /// What.
    pub what: What,
    /// Requests go to it although nobody asks it whether it can answer: it has no readiness probe.
    pub unasked: bool,
}

/// What happens to a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It was told to end.
    BeganToEnd,
    /// It is no longer there.
    Gone,
    /// It says that it can answer.
    Ready,
    /// It says that it can't.
    Unready,
    /// A service sends requests to it.
    Added,
    /// No service does any more.
    Removed,
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pod = &self.pod;
        match self.what {
            What::BeganToEnd => write!(f, "pod {pod} began to end"),
            What::Gone => write!(f, "pod {pod} was gone"),
            What::Ready => write!(f, "pod {pod} became ready"),
            What::Unready => write!(f, "pod {pod} became unready"),
            What::Added => write!(f, "requests began to go to pod {pod}"),
            What::Removed => write!(f, "requests no longer went to pod {pod}"),
        }
    }
}
