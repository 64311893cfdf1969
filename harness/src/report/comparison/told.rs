//! What a comparison says: its table, how to read it, and its sentence.

use super::{Compared, ComparedCell, Comparison, Pair, Verdict};
use crate::report::open_loop;
use crate::report::table::{Column, Table};
use crate::report::tables;
use crate::report::words;
use crate::statistics::Spread;
use crate::statistics::verdict::LEVEL;

impl Comparison {
    /// The cells as a table.
    pub fn table(&self) -> Table {
        if self.rate.is_some() {
            return self.table_of_times();
        }
        let columns = vec![
            Column::numbers("HTTP servers").short("HTTP\nservers"),
            Column::numbers("concurrency").short("conc."),
            Column::numbers("blocks"),
            Column::numbers("requests per second, async / threaded").short("requests/second\nasync/threaded"),
            Column::numbers("p"),
            Column::words("verdict"),
            Column::numbers("CPU per request, async / threaded").short("CPU/request\nasync/threaded"),
            Column::numbers("p"),
            Column::words("verdict"),
        ];
        let rows = self.cells.iter().map(|cell| {
            let mut row = cell.place();
            row.extend(in_words(cell.throughput, ["async faster", "async slower"]));
            row.extend(in_words(cell.cpu, ["async dearer", "async cheaper"]));
            row
        });
        Table { columns, rows: rows.collect() }
    }

    /// The same of an open loop, with ratio and verdict in one column: there are three figures.
    fn table_of_times(&self) -> Table {
        let columns = vec![
            Column::numbers("HTTP servers").short("HTTP\nservers"),
            Column::numbers("concurrency").short("conc."),
            Column::numbers("blocks"),
            Column::words("p50 from the intended send time, async / threaded").short("p50\nasync/threaded"),
            Column::words("p99 from the intended send time, async / threaded").short("p99\nasync/threaded"),
            Column::words("CPU per request, async / threaded").short("CPU/request\nasync/threaded"),
        ];
        let rows = self.cells.iter().map(|cell| {
            let mut row = cell.place();
            for (figure, verdicts) in [
                (cell.p50, ["slower", "quicker"]),
                (cell.p99, ["slower", "quicker"]),
                (cell.cpu, ["dearer", "cheaper"]),
            ] {
                let [ratio, _, verdict] = in_words(figure, verdicts);
                row.push(if figure.is_some() { format!("{ratio} {verdict}") } else { verdict });
            }
            row
        });
        Table { columns, rows: rows.collect() }
    }

    /// What the table's figures are, in words.
    pub fn method(&self) -> String {
        let floor = |floor: Option<f64>| floor.map_or("unknown".into(), words::floor);
        let cpu = floor(self.cpu_noise_floor);
        let (floors, end) = match self.rate {
            None => (
                format!("{} for throughput, {cpu} for CPU", floor(self.throughput_noise_floor)),
                "Client-bound: the load generator was the limit for one of the models, so the cell has no rank.".to_owned(),
            ),
            Some(rate) => (
                format!(
                    "{} for p50, {} for p99, {cpu} for CPU",
                    floor(self.p50_noise_floor),
                    floor(self.p99_noise_floor)
                ),
                format!("{}, the same for all: throughput is not compared.", words::capitalised(&open_loop::load(rate))),
            ),
        };
        format!(
            "Threaded: {}; async: {}. Each ratio is of the families' geometric means within a block: the geometric mean over \
             blocks, and in brackets its 95 % interval. {} after Holm's correction for the \
             number of cells; a verdict at {} % and beyond the noise floor (a model against itself): {floors}. {end}",
            words::joined(&self.threaded),
            words::joined(&self.asynchronous),
            match self.rate {
                None => "p: Student's t on the logarithms,",
                Some(_) => "Tests: Student's t on the logarithms,",
            },
            LEVEL * 100.0,
        )
    }

    /// What this run says about throughput (of an open loop: about response times) and CPU time, in one sentence.
    pub fn sentence(&self) -> String {
        let of = |figure: fn(&ComparedCell) -> Option<Compared>| -> Vec<Compared> {
            self.cells.iter().filter_map(figure).collect()
        };
        let cpu = clause(
            &of(|cell| cell.cpu),
            [(Verdict::Lower, "used less CPU time of the balancer per request"), (Verdict::Higher, "more")],
        );
        let end = format!(
            "this holds for these models on this machine under this load, and for the means of the families{}.",
            self.exceptions()
        );
        let Some(rate) = self.rate else {
            let rate = clause(
                &of(|cell| cell.throughput),
                [
                    (Verdict::Higher, "served more requests per second than threaded"),
                    (Verdict::Lower, "fewer"),
                ],
            );
            return format!("Async {rate}; it {cpu}: {end}");
        };
        let times = |compared: &[Compared], figure: &str, than: &str| {
            if compared.is_empty() {
                return format!("cannot be compared in its {figure} (too few requests a trial)");
            }
            let shorter = format!("had a shorter {figure}{than}");
            clause(compared, [(Verdict::Lower, &shorter), (Verdict::Higher, "a longer one")])
        };
        let (p50, p99) = (of(|cell| cell.p50), of(|cell| cell.p99));
        format!(
            "{}: async {}; it {}; it {cpu}: {end}",
            words::capitalised(&open_loop::load(rate)),
            times(&p50, "p50 response time", " than threaded"),
            times(&p99, "p99", ""),
        )
    }

    /// The figure that a cell's pairs of models are of.
    fn leading(&self, cell: &ComparedCell) -> Option<Compared> {
        if self.rate.is_none() { cell.throughput } else { cell.p50 }
    }

    /// Where single models stand the other way round than their families, as the end of a sentence.
    fn exceptions(&self) -> String {
        let told = |verdict| {
            self.cells.iter().filter(move |cell| self.leading(cell).is_some_and(|c| c.verdict() == verdict))
        };
        let below =
            told(Verdict::Higher).filter_map(|cell| cell.lowest.as_ref()).filter(|pair| pair.median < 1.0);
        let above =
            told(Verdict::Lower).filter_map(|cell| cell.highest.as_ref()).filter(|pair| pair.median > 1.0);
        let against: Vec<&Pair> = below.chain(above).collect();
        let furthest = against.iter().max_by(|a, b| a.median.ln().abs().total_cmp(&b.median.ln().abs()));
        match furthest {
            None => String::new(),
            Some(Pair { asynchronous, threaded, median }) => format!(
                "; in {} of these cells single models stood the other way round{}, furthest {asynchronous} at {median:.2} of \
                 {threaded}",
                against.len(),
                if self.rate.is_none() { "" } else { " in p50" },
            ),
        }
    }
}

impl ComparedCell {
    /// The first columns of its row.
    fn place(&self) -> Vec<String> {
        vec![self.backends.to_string(), self.concurrency.to_string(), self.blocks.to_string()]
    }
}
/// "served more requests per second in 3 of 4 cells (ratios 1.19 to 1.21), fewer in none, in 1 this run cannot tell".
fn clause(compared: &[Compared], [first, second]: [(Verdict, &str); 2]) -> String {
    let with = |verdict| -> Vec<f64> {
        compared.iter().filter(|c| c.verdict() == verdict).map(|c| c.judged.ratio).collect()
    };
    let range = |ratios: &[f64]| {
        let Some(Spread { min, max, .. }) = Spread::of(ratios) else { return String::new() };
        let (min, max) = (format!("{min:.2}"), format!("{max:.2}"));
        if min == max { format!(" (ratio {min})") } else { format!(" (ratios {min} to {max})") }
    };
    let count = |some: usize| if some == 0 { "none".to_owned() } else { some.to_string() };
    let cells = words::counted(compared.len(), "cell");
    let (ahead, behind) = (with(first.0), with(second.0));
    let mut text = format!("{} in {} of {cells}{}", first.1, count(ahead.len()), range(&ahead));
    text.push_str(&format!(", {} in {}{}", second.1, count(behind.len()), range(&behind)));
    let (untold, capped) = (with(Verdict::CannotTell), with(Verdict::ClientBound));
    if !untold.is_empty() {
        text.push_str(&format!(", in {} this run cannot tell{}", untold.len(), range(&untold)));
    }
    if !capped.is_empty() {
        text.push_str(&format!(
            ", and {} without a rank because the client was the limit there{}",
            capped.len(),
            range(&capped)
        ));
    }
    text
}
fn in_words(compared: Option<Compared>, [higher, lower]: [&str; 2]) -> [String; 3] {
    let Some(compared) = compared else {
        return [tables::NOTHING, tables::NOTHING, "no data"].map(str::to_owned);
    };
    let (verdict, p) = match compared.verdict() {
        Verdict::Higher => (higher, words::p(compared.judged.p_holm)),
        Verdict::Lower => (lower, words::p(compared.judged.p_holm)),
        Verdict::CannotTell => ("indistinguishable", words::p(compared.judged.p_holm)),
        Verdict::ClientBound => ("client-bound", tables::NOTHING.to_owned()),
    };
    [words::ratio_interval(&compared.judged), p, verdict.to_owned()]
}
