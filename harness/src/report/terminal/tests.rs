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
}

#[test]
fn nothing_is_wider_than_the_terminal_and_no_number_is_broken() {
    for width in [40, 80, 120] {
        for run in [Run::new(), Run::new().rate(20_000)] {
            let stored = run.build();
            let text = of_run(&stored, width) + &full(&stored, &Beside::default(), width);
            // A word that is longer than the terminal is wide, such as a commit, is whole all the same.
            let breakable = text.lines().filter(|line| line.trim_start_matches("  ").contains(' '));
            let widest = breakable.map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= usize::from(width), "{widest} in {width}");
        }
        let summary = Analysis::of(&Run::new().build()).summary;
        let table = conditions::main_figures(&summary);
        let text = terminal::table(&table, width);
        for value in table.rows.iter().flatten() {
            assert!(text.contains(&value.plain()), "{} in {text}", value.plain());
        }
    }
}
