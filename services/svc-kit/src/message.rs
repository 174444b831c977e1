//! What the messages of all services have in common: times, ids, and lists that come in pages. What is special about a
//! message is left to its service.

use jiff::Timestamp;
use uuid::Uuid;

use crate::{Problem, Violation};

/// How long a page is when the request does not say, and how long it may be.
const USUAL_PAGE: u32 = 20;
const LONGEST_PAGE: u32 = 100;

/// A time as it travels: nanoseconds count forward, before 1970 too.
pub fn timestamp(time: Timestamp) -> prost_types::Timestamp {
    match (time.as_second(), time.subsec_nanosecond()) {
        (seconds, nanos @ ..0) => {
            prost_types::Timestamp { seconds: seconds - 1, nanos: nanos + 1_000_000_000 }
        }
        (seconds, nanos) => prost_types::Timestamp { seconds, nanos },
    }
}

/// The id in a field of a request. `field` is its name in JSON.
///
/// # Errors
///
/// When the text is no UUID.
pub fn id(field: &str, text: &str) -> Result<Uuid, Problem> {
    Uuid::parse_str(text).map_err(|_| {
        Problem::invalid("An identifier can't be read.").violation(field, "uuid", "must be a UUID")
    })
}

/// A page of a list whose items have ids: what a request's `page_size` and `page_token` ask for.
///
/// ```
/// use svc_kit::message::Page;
/// use uuid::Uuid;
///
/// # fn main() -> Result<(), svc_kit::Problem> {
/// let stored = [1, 2, 3].map(Uuid::from_u128);
/// let page = Page::read(2, "")?;
/// let found = stored.into_iter().filter(|id| page.last.is_none_or(|last| *id > last)).take(page.to_read() as usize);
/// let (items, next_page_token) = page.cut(found.collect(), |id| *id);
/// assert_eq!((items.len(), next_page_token.as_str()), (2, "00000000-0000-0000-0000-000000000002"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// How many items it has at most: 1 to 100.
    pub size: u32,
    /// The last item of the page before; absent for the first page.
    pub last: Option<Uuid>,
}

impl Page {
    /// Reads `page_size`, where 0 stands for 20, and `page_token`, which is empty for the first page.
    ///
    /// # Errors
    ///
    /// When the size is out of its range or the token is none of ours; both are told.
    pub fn read(size: i32, token: &str) -> Result<Page, Problem> {
        let mut violations = Vec::new();
        let mut complain = |field: &str, code: &str, message: String| {
            violations.push(Violation { field: field.to_owned(), code: code.to_owned(), message });
        };
        let size = match u32::try_from(size) {
            Ok(0) => USUAL_PAGE,
            Ok(size @ 1..=LONGEST_PAGE) => size,
            _ => {
                complain("pageSize", "range", format!("must be 1 to {LONGEST_PAGE}, or 0 for {USUAL_PAGE}"));
                USUAL_PAGE
            }
        };
        let last = Uuid::parse_str(token).ok();
        if last.is_none() && !token.is_empty() {
            complain("pageToken", "unknown", "must be the `nextPageToken` of the page before".to_owned());
        }
        if violations.is_empty() {
            Ok(Page { size, last })
        } else {
            Err(Problem::invalid("The page can't be read.").violations(violations))
        }
    }

    /// How many items to look for: one more than the page has, which tells whether there is a next page.
    pub fn to_read(&self) -> u32 {
        self.size + 1
    }

    /// The items of the page, and the token of the next one, which is empty when this is the last.
    pub fn cut<T>(&self, mut items: Vec<T>, id: impl Fn(&T) -> Uuid) -> (Vec<T>, String) {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let more = items.len() > size;
        items.truncate(size);
        let token = items.last().filter(|_| more).map(|last| id(last).to_string()).unwrap_or_default();
        (items, token)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ID: Uuid = Uuid::from_u128(7);

    #[test]
    fn nanoseconds_are_never_negative() {
        let travelling = |text: &str| timestamp(text.parse().unwrap());
        let half_past = prost_types::Timestamp { seconds: 1, nanos: 500_000_000 };
        assert_eq!(travelling("1970-01-01T00:00:01.5Z"), half_past);
        assert_eq!(travelling("1969-12-31T23:59:58.5Z"), prost_types::Timestamp { seconds: -2, ..half_past });
        assert_eq!(travelling("1969-12-31T23:59:59Z"), prost_types::Timestamp { seconds: -1, nanos: 0 });
    }

    #[test]
    fn a_page_is_what_was_asked_for() {
        assert_eq!(Page::read(0, "").unwrap(), Page { size: 20, last: None });
        assert_eq!(Page::read(100, &ID.to_string()).unwrap(), Page { size: 100, last: Some(ID) });
    }

    #[test]
    fn everything_wrong_with_a_page_is_told() {
        for size in [-1, 101] {
            let problem = Page::read(size, "x").unwrap_err();
            let fields: Vec<_> = problem.violation_list().iter().map(|found| found.field.as_str()).collect();
            assert_eq!(fields, ["pageSize", "pageToken"]);
        }
    }

    #[test]
    fn the_last_page_has_no_token() {
        let page = Page { size: 2, last: None };
        let id = |number: &u128| Uuid::from_u128(*number);
        assert_eq!(page.cut(vec![1, 2], id), (vec![1, 2], String::new()));
        assert_eq!(page.cut(vec![1, 7, 9], id), (vec![1, 7], ID.to_string()));
        assert_eq!(page.cut(vec![], id), (vec![], String::new()));
    }
}
