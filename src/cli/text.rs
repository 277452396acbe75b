//! Numbers, durations and tables as people read them.

use std::borrow::Cow;
use std::time::Duration;

/// `text` without what could steer a terminal; line breaks stay.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    let steers = |c: char| c.is_control() && c != '\n';
    if text.contains(steers) { Cow::Owned(text.replace(steers, "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// `12345` as `12,345`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A count that cannot be negative, whatever the wire says.
pub(super) fn count_i64(number: i64) -> String {
    count(u64::try_from(number).unwrap_or(0))
}

/// `number` of `noun`, such as `1 item`, `1,200 items`.
pub(super) fn plural(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{} {noun}s", count(number)) }
}

/// A duration in the two largest units that say something: `1h 4m`, `12s`, `0.4s`.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..=9 => format!("{:.1}s", duration.as_secs_f64()),
        10..=59 => format!("{seconds}s"),
        60..=3_599 => format!("{}m {}s", seconds / 60, seconds % 60),
        3_600..=86_399 => format!("{}h {}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// Items a second, with a digit behind the point where they are few.
pub(super) fn rate(per_second: f64) -> String {
    if per_second >= 10.0 {
        // A rate is neither negative nor anywhere near the limits of an integer.
        format!("{}/s", count(Duration::from_secs_f64(per_second.clamp(0.0, 1e15)).as_secs()))
    } else {
        format!("{per_second:.1}/s")
    }
}

/// Counts of what things are, a line for each, the numbers below one another.
pub(super) fn counts(counts: &[(String, u64)]) -> Vec<String> {
    let width = counts.iter().map(|(what, _)| what.len()).max().unwrap_or_default();
    counts.iter().map(|(what, number)| format!("  {what:<width$}  {:>9}", count(*number))).collect()
}

/// Rows under a header, columns aligned, two blanks between them.
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let header: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
    let mut widths = vec![0; header.len()];
    for row in std::iter::once(&header).chain(rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    std::iter::once(&header)
        .chain(rows)
        .map(|row| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let shown = [0, 999, 1_000, 12_345, 1_234_567].map(count);
        assert_eq!(shown, ["0", "999", "1,000", "12,345", "1,234,567"]);
    }

    #[test]
    fn durations_show_two_units() {
        let shown = [0.42, 12.9, 61.0, 3_840.0, 90_000.0].map(|s| duration(Duration::from_secs_f64(s)));
        assert_eq!(shown, ["0.4s", "12s", "1m 1s", "1h 4m", "1d 1h"]);
    }

    #[test]
    fn rates_are_finer_where_they_are_small() {
        assert_eq!([0.0, 9.94, 10.0, 8_912.6].map(rate), ["0.0/s", "9.9/s", "10/s", "8,912/s"]);
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![vec!["1".to_owned(), "one".to_owned()], vec!["10".to_owned(), "ten".to_owned()]];
        assert_eq!(table(&["NO", "NAME"], &rows), ["NO  NAME", "1   one", "10  ten"]);
    }

    #[test]
    fn counts_stand_below_one_another() {
        let lines = counts(&[("flags".to_owned(), 3), ("messages".to_owned(), 1_205)]);
        assert_eq!(lines, ["  flags             3", "  messages      1,205"]);
    }

    #[test]
    fn escape_sequences_do_not_reach_a_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\nc"), "a\u{fffd}[2Jb\nc");
    }
}
