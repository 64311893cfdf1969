//! What the program prints, where a reader may leave early: `println!` and `eprintln!` would panic.

use std::fmt;
use std::io::{self, Write};

use anyhow::bail;

/// Columns where nobody says how many there are.
const PLAIN_WIDTH: u16 = 100;

/// Puts `text` on standard output. A reader that has seen enough, as `head`, is no failure.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            bail!("cannot print ({error}); free some space, or send the output elsewhere")
        }
        _ => Ok(()),
    }
}

/// Puts a line on standard error, if anybody still reads it.
pub(crate) fn tell(text: fmt::Arguments<'_>) {
    drop(writeln!(io::stderr(), "{text}"));
}

/// Columns of the terminal that standard output is; where it is none, or does not say, as many as most have.
pub(crate) fn width() -> u16 {
    // What is piped has the width that its reader names.
    let named = || std::env::var("COLUMNS").ok()?.parse().ok();
    let seen =
        terminal_size::terminal_size_of(io::stdout()).map(|(terminal_size::Width(columns), _)| columns);
    seen.or_else(named).map_or(PLAIN_WIDTH, |columns: u16| columns.clamp(20, 1000))
}
