//! Small helpers for English text: counts, lists, thousands, durations, line breaks. Knows nothing of what is written.

use std::fmt::Display;
use std::time::Duration;

/// "1 block", "2 blocks".
pub(crate) fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// "2", "2 or 5", "2, 5 or 10".
pub(crate) fn listed(things: &[impl Display]) -> String {
    let texts: Vec<_> = things.iter().map(ToString::to_string).collect();
    match texts.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => "no".into(),
    }
}

/// Commas between the thousands of a decimal number.
pub(crate) fn grouped(text: &str) -> String {
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(w, f)| (w, Some(f)));
    let mut grouped = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if let Some(fraction) = fraction {
        grouped.push('.');
        grouped.push_str(fraction);
    }
    grouped
}

/// With a capital letter at its head.
pub(crate) fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// `text` without the characters that move a terminal's cursor.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// `text` in lines of at most `width` characters.
pub fn wrapped(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

/// To the second below two minutes, to the ten seconds above.
pub(crate) fn rounded(duration: Duration) -> String {
    let seconds = duration.as_millis().div_ceil(1000);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min {:02} s", seconds / 60, seconds % 60 / 10 * 10),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_listed_and_grouped() {
        assert_eq!(
            ["2", "2 or 5", "2, 5 or 10"],
            [&[2][..], &[2, 5], &[2, 5, 10]].map(listed).each_ref().map(String::as_str)
        );
        assert_eq!(
            ["1,234,567", "123", "-1,234.5"],
            ["1234567", "123", "-1234.5"].map(grouped).each_ref().map(String::as_str)
        );
    }

    #[test]
    fn no_line_is_longer_than_asked_and_no_word_is_lost() {
        let text = "the trial, not the request, is the sample";
        let wrapped = wrapped(text, 12);
        assert!(wrapped.lines().all(|line| line.len() <= 12));
        assert_eq!(wrapped.split_whitespace().collect::<Vec<_>>().join(" "), text);
    }

    #[test]
    fn time_left_is_told_as_precisely_as_it_is_known() {
        let told = [0, 119_001, 125_000, 3_725_000, 9_000_000].map(|ms| rounded(Duration::from_millis(ms)));
        assert_eq!(told, ["0 s", "2 min 00 s", "2 min 00 s", "62 min 00 s", "2 h 30 min"]);
    }
}
