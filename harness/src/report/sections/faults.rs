//! The sections of a fault run's report.

use super::{charts, invalid, models, provenance};
use crate::analysis::faults::{
    self, FaultRun, ModelFault, Seen, WholeTrial, calm_ms, left_out_ms, used_again_ms,
};
use crate::plan::fault::{Act, Event, SLOW_BY};
use crate::record::timeline::{Episode, Errors, Observation};
use crate::record::timeline::{SETTLED_US, answered, in_words};
use crate::record::{self, Trial, left_invalid};
use crate::report::figures::Figure;
use crate::report::prose;
use crate::report::section::{Column, Content, Document, Lead, Section, Table};
use crate::report::value::{Digits, Missing, Unit, Value};
use crate::statistics::Spread;
use crate::text::counted;

/// The report of a fault run.
pub(in crate::report) fn document(run: FaultRun<'_>, figures: &[Figure]) -> Document {
    let environment = &run.stored.environment;
    let mut sections = vec![
        opening(run),
        charts::of("Timelines", figures),
        Section::new("method", "What was done, and how")
            .with(method(run).into_iter().map(Content::Paragraph)),
        Section::new("trials", "Every trial").table(trials(run)),
        invalid::of(run.stored.trials.iter().filter_map(refused).collect()),
        provenance::of(environment),
    ];
    sections.extend(models::of(environment));
    Document {
        title: format!("roundtable: the fault run {}", run.stored.name),
        command: format!("roundtable report {}", run.stored.name),
        lead: lead(run),
        sections,
    }
}

/// What was done, what clients noticed, how sure that is; `None` where no trial tells.
fn lead(run: FaultRun<'_>) -> Option<Lead> {
    let (plan, findings) = (run.plan(), prose::claims::of_faults(run));
    let found = findings.first()?.clone();
    let day = run.stored.environment.created.split('T').next().unwrap_or_default();
    let models = counted(plan.competitors.len(), "balancer");
    let trials = plan.competitors.iter().map(|model| run.observations(model).count());
    let repetitions = counted(trials.clone().min().unwrap_or(0), "repetition");
    Some(Lead {
        measured: format!("{models}; {}; {day}", run.faults.script),
        found,
        sure: format!(
            "At least {repetitions} of each, medians. It holds for: {}, {}, {}.",
            prose::load::of_faults(plan).trim_end_matches('.'),
            counted(run.stored.environment.host.processors as usize, "processor"),
            prose::network(&run.stored.environment)
        ),
    })
}

fn opening(run: FaultRun<'_>) -> Section {
    let left = left_invalid(&run.stored.trials);
    let invalid = (!left.is_empty()).then(|| {
        let places: Vec<_> = left.into_iter().map(place).collect();
        format!("Not every trial is valid: {}.", places.join("; "))
    });
    let warnings = invalid
        .into_iter()
        .chain(provenance::warnings(&run.stored.environment))
        .chain(noise(run))
        .map(Content::Warning);
    let sentences = prose::claims::of_faults(run);
    let findings =
        Content::Findings { sentences, findings: Vec::new(), quotable: Some("what clients noticed") };
    Section::opening()
        .with(warnings)
        .with([findings])
        .with(
            run.plan()
                .purpose
                .iter()
                .map(|purpose| Content::Paragraph(format!("Asked: {}", purpose.question))),
        )
        .paragraph(script(run))
        .table(table(run).quoted_as("faults"))
        .paragraph(reading(run))
}

fn refused(trial: &Trial) -> Option<String> {
    let reasons = faults::seen(trial).err()?;
    Some(format!("{}: {}", place(trial), record::in_words(&reasons)))
}

/// A trial's model, block and attempt in words.
pub(in crate::report) fn place(trial: &Trial) -> String {
    let again = if trial.attempt > 1 { format!(", attempt {}", trial.attempt) } else { String::new() };
    format!("{}, block {}{again}", trial.cell.competitor, u64::from(trial.block) + 1)
}

/// A row a model, or a row a model and fault.
pub(in crate::report) fn table(run: FaultRun<'_>) -> Table {
    let several = run.faults.script.episodes().len() > 1;
    let mut columns = vec![Column::words("model")];
    if several {
        columns.push(Column::words("fault"));
    }
    columns.extend([
        Column::numbers("errors"),
        Column::words("errors by kind, all repetitions").short("errors by kind"),
        Column::numbers("late answers").short("late\nanswers"),
        Column::numbers("slowest answer (ms)").short("slowest\nanswer (ms)"),
        Column::numbers("left out after (ms)").short("left out\nafter (ms)"),
        Column::numbers("used again after (ms)").short("used again\nafter (ms)"),
        Column::numbers("calm after (ms)").short("calm\nafter (ms)"),
    ]);
    let by_model = faults::by_model(run);
    let rows = by_model.iter().enumerate().map(|(index, of)| {
        // The rows of a model stand together: the first of them names it.
        let named = index > 0 && by_model[index - 1].model == of.model;
        let mut row = vec![if named { "".into() } else { prose::row(&of.model).into() }];
        if several {
            row.push(of.fault.as_ref().map_or_else(String::new, described).into());
        }
        row.extend(figures(of));
        row
    });
    Table::new(columns, rows)
}

fn figures(of: &ModelFault) -> Vec<Value> {
    let Some(Seen { errors, late, left_out_ms, used_again_ms, calm_ms }) = of.seen else {
        return vec![Value::Missing(Missing::NotMeasured); 7];
    };
    let whole = of.whole_trial.as_ref();
    vec![
        spread(errors),
        Value::or_nothing(whole, |whole| kinds(&whole.errors).into()),
        spread(late),
        spread(whole.and_then(|WholeTrial { slowest_ms, .. }| *slowest_ms)),
        spread(left_out_ms),
        spread(used_again_ms),
        spread(calm_ms),
    ]
}

fn spread(spread: Option<Spread>) -> Value {
    Value::or_nothing(spread, |spread| Value::Spread { spread, digits: Digits::Short })
}

/// A row a trial, valid or not.
fn trials(run: FaultRun<'_>) -> Table {
    let columns = vec![
        Column::numbers("block"),
        Column::words("model"),
        Column::numbers("requests"),
        Column::words("errors"),
        Column::numbers("late"),
        Column::numbers("late before the first event"),
        Column::numbers("slowest answer (ms)"),
        Column::numbers("left out after (ms)"),
        Column::numbers("used again after (ms)"),
        Column::numbers("calm after (ms)"),
        Column::words("good answers by backend"),
    ];
    let width = columns.len();
    let row = |trial: &Trial| {
        let mut row =
            vec![Value::count(u64::from(trial.block) + 1), prose::row(&trial.cell.competitor).into()];
        match faults::seen(trial) {
            Err(_) => row.push(Value::Missing(Missing::Invalid)),
            Ok(seen) => row.extend(of_trial(seen)),
        }
        row.resize(width, Value::Missing(Missing::NotMeasured));
        row
    };
    let mut order: Vec<_> = run.stored.trials.iter().collect();
    order.sort_by_key(|trial| (trial.block, trial.position, trial.attempt));
    Table::new(columns, order.into_iter().map(row))
}

/// One trial's figures; those of several faults one after the other.
fn of_trial(seen: &Observation) -> Vec<Value> {
    let short = |value| Value::Number { value, unit: Unit::None, digits: Digits::Short };
    let each = |figure: fn(&Episode) -> Option<f64>| Value::List {
        values: seen.episodes.iter().map(|episode| Value::or_nothing(figure(episode), short)).collect(),
        separator: ", ",
    };
    let backends = answered(&seen.buckets).into_iter().map(|(name, count)| format!("{name} {count}"));
    vec![
        Value::count(seen.requests),
        kinds(&seen.errors).into(),
        Value::count(seen.late),
        Value::count(seen.late_before),
        short(seen.slowest_us as f64 / 1e3),
        each(|episode| Some(left_out_ms(episode))),
        each(used_again_ms),
        each(calm_ms),
        backends.collect::<Vec<_>>().join(", ").into(),
    ]
}

fn kinds(errors: &Errors) -> String {
    if errors.total() == 0 { "none".to_owned() } else { in_words(errors) }
}

/// "kill-backend b3 at 2 s".
fn described(event: &Event) -> String {
    let at = event.at_ms as f64 / 1e3;
    format!("{} at {at} s", prose::event(event))
}

/// How the table is to be read.
pub(in crate::report) fn reading(run: FaultRun<'_>) -> String {
    let late = run.faults.late_ms;
    format!(
        "Medians over a model's repetitions, in brackets the range. A request suffers when it has no good answer (a whole, \
         right 2xx response) or a late one, which ends more than {late} ms after the request was due. Left out after: \
         from the fault to the end of the last request that suffered while it lasted; 0: none did; never: requests still \
         did in each third of its last {} ms (of its second half, if that is shorter). Used again after: from the \
         restoration to the backend's first good answer to a request that was sent after it. Calm after: from the \
         restoration to the end of the last request that suffered; 0: none did.",
        SETTLED_US / 1000
    )
}

/// A remark where answers were late without a fault to blame.
pub(in crate::report) fn noise(run: FaultRun<'_>) -> Option<String> {
    let noisy = faults::noisy_trials(run);
    (noisy > 0).then(|| {
        format!(
            "In {} answers were late before the first event already: the machine was busy with other things, and later \
             ones may be its doing too.",
            counted(noisy, "trial")
        )
    })
}

pub(super) fn script(run: FaultRun<'_>) -> String {
    let events: Vec<_> = run.faults.script.events.iter().map(described).collect();
    format!("The fault script: {}. {}", events.join(", "), prose::load::of_faults(run.plan()))
}

fn method(run: FaultRun<'_>) -> Vec<String> {
    let (plan, fault) = (run.plan(), run.faults);
    let mut acts = Vec::new();
    for event in &fault.script.events {
        if !acts.contains(&event.act) {
            acts.push(event.act);
        }
    }
    let mut paragraphs = vec![format!(
        "Each trial has fresh backends, a fresh balancer and a fresh load generator, each a process of its own. Requests \
         come due evenly spaced, whatever becomes of those before them, from the first one to {} s after the last event; \
         before that {} were sent and discarded. Latency counts from when a request was due, so that the wait for a free \
         connection is in it. A request that has not been answered {} s after it was sent has failed. A trial is invalid \
         when a request fails before the first event, or a process dies that was not killed.",
        fault.after_ms / 1000,
        counted(usize::try_from(plan.base.warmup).unwrap_or(usize::MAX), "request"),
        fault.timeout_ms as f64 / 1e3,
    )];
    paragraphs.extend(acts.into_iter().map(meaning));
    paragraphs.push(
        "A balancer may answer well and still try a faulty backend now and then: what it tries without a client \
         suffering is not counted. How soon a restored backend is used again depends on where in the balancer's retry \
         interval, which the models share, the restoration falls: a whole number of intervals after the fault it may be \
         met at once, otherwise it takes up to an interval."
            .into(),
    );
    paragraphs
}

/// What an act is.
fn meaning(act: Act) -> String {
    let text = match act {
        Act::KillBackend => "its process gets SIGKILL: connections are reset, new ones refused".to_owned(),
        Act::SlowBackend => format!("each of its responses leaves {} ms later", SLOW_BY.as_millis()),
        Act::Refuse => {
            "it stops listening and ends its connections in order, an idle one at once and the others with the \
             response in hand; new ones are refused"
                .to_owned()
        }
        Act::Surge { times } => format!("{times} times the rate is due from then on"),
        Act::Calm => "the rate is again what it was".to_owned(),
        Act::Restore => {
            "the backend is as it was, at the same address; the time counts from when it listens again".to_owned()
        }
    };
    format!("{}: {text}.", act.name())
}

#[cfg(test)]
mod tests;
