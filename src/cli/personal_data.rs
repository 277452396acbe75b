//! `usher personal-data`: the register of processing, without a server.

use clap::{Args, ValueEnum};
use serde_json::json;

use super::failure::{Exit, Outcome};
use super::output;
use crate::domain::export::{Given, Held, Processing, processing};

/// Prints the register of processing (GDPR article 30): what is held of users, what for, and what their exports
/// hold of it. It is made from what erasing and exporting work by. Needs no server.
#[derive(Debug, Args)]
pub(super) struct PersonalData {
    /// How it is printed.
    #[arg(long, value_name = "FORMAT", default_value = "markdown")]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For people.
    Markdown,
    /// One JSON object, for programs.
    Json,
}

impl PersonalData {
    pub(super) fn run(self) -> Outcome {
        let register = processing();
        match self.format {
            Format::Markdown => markdown(&register).iter().try_for_each(output::line)?,
            Format::Json => output::json(&json!(register))?,
        }
        Ok(Exit::Success)
    }
}

fn markdown(register: &Processing) -> Vec<String> {
    let mut lines = vec![
        "# Register of processing".to_owned(),
        String::new(),
        format!("Data is held of {}, {}.", register.data_subjects.join(", "), register.retention),
        String::new(),
        "`provided` is what users wrote or chose, `observed` what came about as they used the service."
            .to_owned(),
    ];
    for held in &register.tables {
        lines.extend(section(held));
    }
    lines
}

fn section(held: &Held) -> Vec<String> {
    let mut lines = vec![String::new(), format!("## {}", held.table)];
    for record in &held.records {
        lines.extend([String::new(), format!("### Record `{}`", record.record), String::new()]);
        lines.extend(given(record));
    }
    if !held.withheld.is_empty() {
        lines.extend(["", "| withheld | because |", "|---|---|"].map(str::to_owned));
        lines.extend(held.withheld.iter().map(|one| format!("| `{}` | {} |", one.column, one.reason)));
    }
    if !held.internal.is_empty() {
        lines.extend([String::new(), format!("Internal: {}.", names(held.internal))]);
    }
    lines
}

fn given(record: &Given) -> Vec<String> {
    let mut lines = vec![
        format!("- purpose: {}", record.purpose),
        format!("- the user is its {}; {}", record.relation, record.basis),
        format!("- rows: {}", record.rows),
    ];
    if !record.columns.is_empty() {
        lines.push(format!("- released: {}", names(&record.columns)));
    }
    if !record.lists.is_empty() {
        lines.push(format!("- released with it: {}", names(&record.lists)));
    }
    lines
}

fn names(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_table_has_a_section_with_its_records() {
        let text = markdown(&processing()).join("\n");
        let (_, messages) = text.split_once("\n## messages\n").unwrap();
        let (messages, _) = messages.split_once("\n## ").unwrap();
        for line in [
            "### Record `message`",
            "- purpose: to carry chat between users",
            "- the user is its author; provided",
            "- rows: user_id is the user",
            "| `deleted_by` | says which task deleted it; the history of the user has that |",
        ] {
            assert!(messages.lines().any(|one| one == line), "{line} in {messages}");
        }
    }
}
