//! Additions to files that are there: text in, text out. Each looks for what stands beside the new line and gives
//! `None` when it does not find it, so that nothing is guessed.

use super::name::Names;

/// The Compose file with the service's entry behind that of `last`, and its address in the gateway's environment.
#[must_use]
pub fn compose(text: &str, entry: &str, last: &str, names: &Names) -> Option<String> {
    let with_entry = after_block(text, last, entry)?;
    let address = format!("{}: http://{}:8080", names.url_variable(), names.name);
    with_address(&with_entry, &address)
}

/// Puts `entry` behind the block of the service `last`: everything that stands deeper than its key.
fn after_block(text: &str, last: &str, entry: &str) -> Option<String> {
    let key = format!("  {last}:");
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.iter().position(|line| {
        line.strip_prefix(key.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    })?;
    let deeper = |line: &&str| line.starts_with("   ");
    let length = lines[first + 1..].iter().take_while(|line| deeper(line) || line.trim().is_empty()).count();
    let mut end = first + 1 + length;
    while end > first + 1 && lines[end - 1].trim().is_empty() {
        end -= 1;
    }
    let mut out: Vec<&str> = lines[..end].to_vec();
    out.push("");
    out.extend(entry.trim_end().lines());
    out.extend(&lines[end..]);
    Some(out.join("\n") + "\n")
}

/// Adds a line behind the last address of a neighbour in the gateway's entry, as far in as that.
fn with_address(text: &str, address: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let gateway = lines.iter().position(|line| line.trim_end() == "  gateway:")?;
    let block =
        lines[gateway + 1..].iter().take_while(|line| line.starts_with("   ") || line.trim().is_empty());
    let is_address = |line: &str| {
        line.trim().split_once(": ").is_some_and(|(name, value)| {
            name.ends_with("_URL") && value.starts_with("http://") && value.ends_with(":8080")
        })
    };
    let last = block.enumerate().filter(|(_, line)| is_address(line)).map(|(index, _)| index).last()?;
    let at = gateway + 1 + last;
    let indent: String = lines[at].chars().take_while(|c| *c == ' ').collect();
    Some(with_line(&lines, at, &format!("{indent}{address}")))
}

/// The databases with one more.
#[must_use]
pub fn databases(text: &str, names: &Names) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.iter().rposition(|line| line.starts_with("CREATE DATABASE platform_"))?;
    let owner = lines[last].split_once(" OWNER ").map_or("platform;", |(_, owner)| owner);
    let line = format!("CREATE DATABASE platform_{} OWNER {owner}", names.area);
    Some(with_line(&lines, last, &line))
}

/// An overlay with the one-line entry of `last` also for the new service.
#[must_use]
pub fn overlay(text: &str, last: &str, names: &Names) -> Option<String> {
    let key = format!("  {last}: ");
    let lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().position(|line| line.starts_with(&key))?;
    let line = format!("  {}: {}", names.name, &lines[at][key.len()..]);
    Some(with_line(&lines, at, &line))
}

/// The crate graph with the edges of a service that has a store.
#[must_use]
pub fn graph(text: &str, names: &Names) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let heading = lines.iter().position(|line| *line == "## The services")?;
    let first = heading + lines[heading..].iter().position(|line| line.contains(" --> "))?;
    let length = lines[first..].iter().take_while(|line| !line.starts_with("```")).count();
    let mut edges: Vec<String> = lines[first..first + length].iter().map(|line| (*line).to_owned()).collect();
    for needed in ["svc-api", "svc-kit", "svc-stores"] {
        edges.push(format!("  {} --> {needed}", names.name));
    }
    let from = |edge: &String| edge.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    edges.sort_by_key(from);
    let mut out: Vec<String> = lines[..first].iter().map(|line| (*line).to_owned()).collect();
    out.extend(edges);
    out.extend(lines[first + length..].iter().map(|line| (*line).to_owned()));
    Some(out.join("\n") + "\n")
}

/// The page of services with a row more in the table that names `last`, and a section at the end.
#[must_use]
pub fn services_page(text: &str, last: &str, names: &Names, description: &str, port: u16) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mention = format!("| `{last}`");
    let row = lines.iter().position(|line| line.starts_with(&mention))?;
    let rows = lines[row..].iter().take_while(|line| line.starts_with('|')).count();
    let columns = lines[row].matches('|').count().saturating_sub(1);
    let mut cells =
        vec![format!("`{}`", names.name), description.to_owned(), port.to_string(), "relational".to_owned()];
    cells.resize(columns, String::new());
    let line = format!("| {} |", cells.join(" | "));
    let section = format!("\n## {}\n\n{description}\n", names.name);
    Some(with_line(&lines, row + rows - 1, &line) + &section)
}

fn with_line(lines: &[&str], at: usize, line: &str) -> String {
    let mut out: Vec<&str> = lines[..=at].to_vec();
    out.push(line);
    out.extend(&lines[at + 1..]);
    out.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::new("price-list").unwrap()
    }

    #[test]
    fn an_entry_comes_behind_the_last_service_of_ours() {
        let text = "services:\n  gateway:\n    environment:\n      IAM_URL: http://iam:8080\n      X: 1\n  iam:\n    image: a\n\n    ports: []\n\n  # -- infra\n\n  postgres:\n    image: p\n";
        let entry = "  price-list:\n    image: x\n";
        let edited = compose(text, entry, "iam", &names()).unwrap();
        assert_eq!(
            edited,
            "services:\n  gateway:\n    environment:\n      IAM_URL: http://iam:8080\n      PRICE_LIST_URL: http://price-list:8080\n      X: 1\n  iam:\n    image: a\n\n    ports: []\n\n  price-list:\n    image: x\n\n  # -- infra\n\n  postgres:\n    image: p\n"
        );
        assert_eq!(compose(text, entry, "money", &names()), None);
    }

    #[test]
    fn tables_and_lists_grow_by_one() {
        assert_eq!(
            databases("x\nCREATE DATABASE platform_a OWNER platform;\ny\n", &names()).unwrap(),
            "x\nCREATE DATABASE platform_a OWNER platform;\nCREATE DATABASE platform_price_list OWNER platform;\ny\n"
        );
        assert_eq!(
            overlay("services:\n  iam: { <<: *p }\n  db: x\n", "iam", &names()).unwrap(),
            "services:\n  iam: { <<: *p }\n  price-list: { <<: *p }\n  db: x\n"
        );
        assert_eq!(
            services_page(
                "| service | does | port |\n|---|---|---|\n| `iam` | a | 1 |\n\nend\n",
                "iam",
                &names(),
                "Prices.",
                8091
            )
            .unwrap(),
            "| service | does | port |\n|---|---|---|\n| `iam` | a | 1 |\n| `price-list` | Prices. | 8091 |\n\nend\n\n## price-list\n\nPrices.\n"
        );
    }

    #[test]
    fn the_crate_graph_stays_sorted() {
        let text = "## The services\n\n```mermaid\ngraph TD\n  iam --> svc-kit\n  svc-api\n  svc-kit --> svc-api\n```\n";
        assert_eq!(
            graph(text, &names()).unwrap(),
            "## The services\n\n```mermaid\ngraph TD\n  iam --> svc-kit\n  price-list --> svc-api\n  price-list --> svc-kit\n  price-list --> svc-stores\n  svc-api\n  svc-kit --> svc-api\n```\n"
        );
    }
}
