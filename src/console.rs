//! What the program prints, where a reader may leave early: `println!` and `eprintln!` would panic.

use std::fmt;
use std::io::{self, Write};

use anyhow::bail;

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
