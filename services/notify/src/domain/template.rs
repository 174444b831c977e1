//! Texts with `{{name}}` places.

use std::collections::{BTreeMap, BTreeSet};

/// A piece of a template.
enum Piece<'a> {
    Text(&'a str),
    Place(&'a str),
}

/// Fills the places. What no variable names becomes empty; a value is never read as a template again.
#[must_use]
pub fn render(template: &str, values: &BTreeMap<String, String>) -> String {
    pieces(template)
        .into_iter()
        .map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Place(name) => values.get(name).map_or("", String::as_str),
        })
        .collect()
}

/// How many bytes [`render`] gives, without making them: a short text can ask for a long value many times.
#[must_use]
pub fn rendered_length(template: &str, values: &BTreeMap<String, String>) -> usize {
    let length = |piece: &Piece<'_>| match piece {
        Piece::Text(text) => text.len(),
        Piece::Place(name) => values.get(*name).map_or(0, String::len),
    };
    pieces(template).iter().map(length).fold(0, usize::saturating_add)
}

/// The names of the places, sorted, each once.
#[must_use]
pub fn variables<'a>(templates: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let names: BTreeSet<_> = templates
        .into_iter()
        .flat_map(pieces)
        .filter_map(|piece| match piece {
            Piece::Place(name) => Some(name.to_owned()),
            Piece::Text(_) => None,
        })
        .collect();
    names.into_iter().collect()
}

/// Whether a template can be called this: 1 to 100 lower-case letters, digits, `.`, `_` and `-`.
#[must_use]
pub fn is_template_name(name: &str) -> bool {
    let good =
        |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || b"._-".contains(&letter);
    (1..=100).contains(&name.len()) && name.bytes().all(good)
}

/// Braces that hold no name are text.
fn pieces(template: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some(open) = rest.find("{{") {
        let (before, inside) = (&rest[..open], &rest[open + 2..]);
        let place = inside.find("}}").map(|close| (inside[..close].trim(), &inside[close + 2..]));
        match place.filter(|(name, _)| is_variable(name)) {
            Some((name, after)) => {
                pieces.extend([Piece::Text(before), Piece::Place(name)]);
                rest = after;
            }
            None => {
                pieces.push(Piece::Text(&rest[..open + 1]));
                rest = &rest[open + 1..];
            }
        }
    }
    pieces.push(Piece::Text(rest));
    pieces
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|letter| letter.is_ascii_alphanumeric() || b"._-".contains(&letter))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn places_are_filled_and_missing_ones_are_empty() {
        let values = values(&[("name", "Ada"), ("order.id", "17")]);
        for (template, expected) in [
            ("Hello {{name}}!", "Hello Ada!"),
            ("{{ name }}, order {{order.id}}", "Ada, order 17"),
            ("Hello {{surname}}!", "Hello !"),
            ("no places", "no places"),
            ("{{name", "{{name"),
            ("{{}} {{ }} {{a b}} }}", "{{}} {{ }} {{a b}} }}"),
            ("{{{name}}}", "{Ada}"),
            ("é{{name}}ß", "éAdaß"),
        ] {
            assert_eq!(render(template, &values), expected, "{template}");
        }
    }

    #[test]
    fn a_value_is_not_a_template() {
        assert_eq!(render("{{a}}", &values(&[("a", "{{b}}"), ("b", "secret")])), "{{b}}");
    }

    #[test]
    fn variables_are_sorted_and_named_once() {
        assert_eq!(variables(["{{b}} {{a}}", "{{ b }}{{c.d}}"]), ["a", "b", "c.d"]);
    }

    #[test]
    fn names_are_plain() {
        assert!(is_template_name("order.shipped_v2-b"));
        for bad in ["", "Order", "a b", "é"] {
            assert!(!is_template_name(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_renders(template in ".{0,60}", value in ".{0,9}") {
            let rendered = render(&template, &values(&[("a", &value)]));
            prop_assert!(template.contains("{{") || rendered == template);
        }

        #[test]
        fn text_around_a_place_stays(before in "[^{]{0,20}", after in "[^}]{0,20}", value in ".{0,9}") {
            let template = format!("{before}{{{{a}}}}{after}");
            let values = values(&[("a", &value)]);
            prop_assert_eq!(render(&template, &values), format!("{before}{value}{after}"));
            prop_assert_eq!(rendered_length(&template, &values), before.len() + value.len() + after.len());
        }
    }
}
