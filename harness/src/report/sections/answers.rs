//! What a run was made to answer: the question, the answers in sentences, and the tables that they rest on.

use super::Source;
use crate::analysis::Analysis;
use crate::analysis::answers::Answered;
use crate::analysis::answers::along::{Along, Point};
use crate::analysis::answers::claim::{Outcome, Tested};
use crate::analysis::answers::promise::Promised;
use crate::analysis::answers::queue::QueueRow;
use crate::plan::Factor;
use crate::plan::Purpose;
use crate::report::figures::Figure;
use crate::report::prose;
use crate::report::prose::answers;
use crate::report::section::{Column, Content, Section, Table};
use crate::report::value::{Digits, Missing, Value};
use crate::statistics::Spread;

pub(super) fn sections(source: &Source<'_>) -> Vec<Section> {
    let Some(purpose) = &source.stored.environment.plan.purpose else { return Vec::new() };
    let is_asked = |id: &str| purpose.figures.iter().any(|asked| asked == id);
    let figures = source.figures.iter().map(Figure::link).filter(|link| is_asked(&link.id));
    let section = Section::new("answer", "The question").paragraph(asked(purpose));
    vec![section.with(of_analysis(source.analysis)).with(figures.map(Content::Figure))]
}

/// Each answer in sentences, how to read its table, and the table.
pub(super) fn of_analysis(analysis: &Analysis) -> impl Iterator<Item = Content> {
    analysis.answers.iter().flat_map(|answer| {
        let sentences = answers::of_answer(answer);
        let told = !sentences.is_empty();
        let findings = told.then_some(Content::Findings { sentences, findings: Vec::new(), quotable: None });
        findings.into_iter().chain([Content::Paragraph(reading(answer)), Content::Table(table(answer))])
    })
}

/// The question, and whose it is.
fn asked(purpose: &Purpose) -> String {
    let run = purpose.run.as_ref().map_or(String::new(), |run| format!(", run {run}"));
    match &purpose.scenario {
        Some(scenario) => format!("{} (scenario {scenario}{run})", purpose.question),
        None => purpose.question.clone(),
    }
}

/// How to read the table of an answer.
fn reading(answer: &Answered) -> String {
    match answer {
        Answered::Along(along) => format!(
            "Medians over the blocks with their range; × the first is the geometric mean of the ratios, within each block, to \
             the row's own figure at the first value of {}, with the interval that its verdict was made from.",
            along.factor.title
        ),
        Answered::Promise(promised) => format!(
            "A block keeps {} at a rate when it sustains it, every answer is right, and the percentile, from when each request \
             was due, lies within the time. Answers in time are per second of the schedule.",
            promised.promise
        ),
        Answered::Queue(_) => {
            "The M/M/c queue has Poisson arrivals, exponential service times and c servers, here the requests that the one \
             backend works on at a time; its mean response time is by Erlang's C formula (Kleinrock, Queueing Systems, vol. 1, \
             § 3.5). Measured times count from when each request was due; medians over the blocks of each trial's mean."
                .to_owned()
        }
        Answered::Claims(_) => {
            "Each claim has one ratio lie over 1, under 1 or at it, over all conditions that it is about; the claims of a run \
             share the level between them. What is confirmed or refuted is so under these conditions, on this testbed."
                .to_owned()
        }
    }
}

fn table(answer: &Answered) -> Table {
    match answer {
        Answered::Along(along) => of_along(along),
        Answered::Promise(promised) => of_promise(promised),
        Answered::Queue(rows) => of_queue(rows),
        Answered::Claims(tested) => of_claims(tested),
    }
}

/// The columns that tell rows of one model apart.
fn common(of: &[(&'static Factor, crate::plan::Value)]) -> Vec<Column> {
    of.iter().map(|(factor, _)| prose::grid::column(factor)).collect()
}

fn spread(spread: Option<Spread>, scale: f64, digits: Digits) -> Value {
    Value::or_nothing(spread, |of| {
        let spread =
            Spread { min: of.min / scale, median: of.median / scale, max: of.max / scale, count: of.count };
        Value::Spread { spread, digits }
    })
}

fn of_along(along: &Along) -> Table {
    let mut columns = vec![Column::models()];
    columns.extend(along.rows.first().map(|row| common(&row.common)).unwrap_or_default());
    columns.push(prose::grid::column(along.factor));
    for metric in &along.metrics {
        columns.push(Column::numbers(metric.name_with_unit()));
        columns.push(Column::words("× the first"));
    }
    columns.push(Column::numbers("peak memory, MiB").short("memory\nMiB"));
    columns.push(Column::numbers("threads"));
    let rows = along.rows.iter().flat_map(|row| {
        row.points.iter().map(|point| {
            let mut values: Vec<Value> = vec![prose::row(&row.row).into()];
            values.extend(row.common.iter().map(|(_, value)| prose::grid::value(value)));
            values.push(prose::grid::value(&point.level));
            values.extend(figures(point));
            values.push(spread(point.memory_bytes, 1_048_576.0, Digits::Decimals(1)));
            values.push(spread(point.threads, 1.0, Digits::Decimals(0)));
            values
        })
    });
    Table::new(columns, rows)
}

fn figures(point: &Point) -> Vec<Value> {
    let is_invalid = point.invalid > 0 && point.figures.iter().all(Option::is_none);
    let each = point.figures.iter().zip(&point.to_first).flat_map(|(figure, ratio)| {
        let figure = match figure {
            None if is_invalid => Value::Missing(Missing::Invalid),
            figure => spread(*figure, 1.0, Digits::Four),
        };
        [figure, Value::or_nothing(*ratio, |ratio| Value::ratio(&ratio))]
    });
    each.collect()
}

fn of_promise(promised: &Promised) -> Table {
    let percentile = format!("p{}, ms", promised.promise.percentile());
    let mut columns = vec![Column::models()];
    columns.extend(promised.rows.first().map(|row| common(&row.common)).unwrap_or_default());
    columns.extend([
        Column::numbers("rate, per second").short("rate\n/second"),
        Column::words("blocks that kept it").short("blocks\nkept it"),
        Column::numbers(percentile),
        Column::numbers("answers in time, per second").short("in time\n/second"),
        Column::numbers("without a right answer").short("not\nanswered"),
    ]);
    let rows = promised.rows.iter().flat_map(|row| {
        row.points.iter().map(|point| {
            let mut values: Vec<Value> = vec![prose::row(&row.row).into()];
            values.extend(row.common.iter().map(|(_, value)| prose::grid::value(value)));
            values.push(Value::count(point.rate));
            values.push(match (point.of, point.spoilt) {
                (0, 1..) => Value::Missing(Missing::Invalid),
                (0, 0) => Value::Missing(Missing::NotMeasured),
                (all, _) => Value::CountOf { count: point.kept, all },
            });
            values.push(spread(point.percentile_ms, 1.0, Digits::Four));
            values.push(spread(point.within_per_second, 1.0, Digits::Decimals(0)));
            values.push(Value::or_nothing(point.failed, |of| Value::percent(of.median, 1)));
            values
        })
    });
    Table::new(columns, rows)
}

fn of_queue(rows: &[QueueRow]) -> Table {
    let mut columns = vec![Column::models()];
    columns.extend(rows.first().map(|row| common(&row.common)).unwrap_or_default());
    columns.extend([
        Column::numbers("load of the backend").short("load"),
        Column::numbers("M/M/c, mean ms"),
        Column::numbers("measured, mean ms"),
        Column::numbers("measured / M/M/c").short("ratio"),
    ]);
    let rows = rows.iter().map(|of| {
        let mut values: Vec<Value> = vec![prose::row(&of.row).into()];
        values.extend(of.common.iter().map(|(_, value)| prose::grid::value(value)));
        values.push(Value::percent(of.load, 0));
        values.push(Value::figure(of.expected_ms));
        values.push(spread(of.measured_ms, 1.0, Digits::Four));
        values.push(Value::or_nothing(of.measured_ms, |measured| {
            Value::decimal(measured.median / of.expected_ms, 2)
        }));
        values
    });
    Table::new(columns, rows)
}

fn of_claims(tested: &[Tested]) -> Table {
    let columns = vec![
        Column::words("claim"),
        Column::words("outcome here"),
        Column::words("ratio"),
        Column::words("what this cannot say"),
        Column::words("source"),
    ];
    let rows = tested.iter().map(|of| {
        let outcome = match of.outcome {
            Outcome::Confirmed => "confirmed",
            Outcome::Refuted => "refuted",
            _ => "neither",
        };
        vec![
            of.claim.statement.as_str().into(),
            outcome.into(),
            Value::or_nothing(of.ratio, |ratio| Value::ratio(&ratio)),
            of.claim.limits.as_str().into(),
            of.claim.source.as_str().into(),
        ]
    });
    Table::new(columns, rows)
}
