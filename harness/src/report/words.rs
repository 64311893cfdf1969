//! Sentences that charts, report and terminal share, each made from the run that it speaks of.

use crate::data::{Connections, Plan};
use crate::report::summary::Summary;

/// "5 blocks", or "3 to 5 blocks" where cells differ.
pub(super) fn blocks(summary: &Summary) -> String {
    match summary.blocks() {
        (fewest, most) if fewest == most => counted(most, "block"),
        (fewest, most) => format!("{fewest} to {}", counted(most, "block")),
    }
}

/// What load a trial was, in one sentence.
pub(super) fn load(plan: &Plan) -> String {
    let connections = match plan.connections {
        Connections::Close => "one connection a request",
        Connections::Keepalive => "persistent connections",
    };
    format!("Closed loop, {} requests a trial, {connections}.", plan.requests)
}

/// "1 block", "2 blocks".
pub(super) fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}
