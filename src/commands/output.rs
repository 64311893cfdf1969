//! What subcommands print on standard output, where a reader may leave early: `println!` would panic.

use std::io::{self, Write};

use anyhow::bail;

/// Puts `text` on standard output. A reader that has seen enough, as `head`, is no failure.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            bail!("cannot print ({error}); free some space, or send the output elsewhere")
        }
        _ => Ok(()),
    }
}
