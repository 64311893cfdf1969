//! What is printed at the end of a run, whole.

use super::*;
use crate::analysis::synthetic::Run;

fn small() -> Run {
    Run::new().models(&["direct", "threads", "mio"]).backends(&[1, 2]).concurrency(&[2]).blocks(3)
}

#[test]
fn the_terminal_table() {
    let run = small().invalid("threads", 2, 2, 1);
    let run = (0..3).fold(run, |run, block| run.invalid("mio", 2, 2, block));
    insta::assert_snapshot!(of_run(&run.build(), 100));
}

#[test]
fn the_terminal_table_of_an_open_loop() {
    let run = small().rate(2000).invalid("threads", 2, 2, 1);
    let run = (0..3).fold(run, |run, block| run.invalid("mio", 2, 2, block));
    insta::assert_snapshot!(of_run(&run.build(), 100));
    let whole = of_run(&Run::new().rate(20_000).build(), 80);
    let widest = whole.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(widest <= 80, "{widest}");
}
