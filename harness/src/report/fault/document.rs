//! What a fault run's report says, in which order.

use crate::record::faults::{FaultOutcome, StoredFaults};
use crate::report::charts::Chart;
use crate::report::document::{Document, Part};
use crate::report::fault::{load, values};
use crate::report::{provenance, words};

use crate::plan::fault::{Act, SLOW_BY};
use crate::record::faults::{left_invalid, place};
use crate::record::timeline::SETTLED_US;

/// The report of `stored`.
pub(super) fn document(stored: &StoredFaults, charts: &[Chart]) -> Document {
    let environment = &stored.environment.environment;
    let mut parts = Vec::new();
    let invalid = left_invalid(&stored.trials);
    if !invalid.is_empty() {
        let places: Vec<_> = invalid.into_iter().map(place).collect();
        parts.push(Part::Warning(format!("Not every trial is valid: {}.", places.join("; "))));
    }
    parts.extend(provenance::warnings(environment).into_iter().map(Part::Warning));
    parts.extend(noise(stored).map(Part::Warning));
    parts.push(Part::Paragraph(scenario(stored)));
    parts.push(Part::Quotable { name: "faults", table: values::table(stored) });
    parts.push(Part::Paragraph(reading(stored)));
    parts.push(Part::Heading("Timelines".into()));
    if charts.is_empty() {
        parts.push(Part::Paragraph("There is no valid trial, so there is nothing to draw.".into()));
    }
    parts.extend(charts.iter().map(Part::figure));
    parts.push(Part::Heading("What was done, and how".into()));
    parts.extend(method(stored).into_iter().map(Part::Paragraph));
    parts.push(Part::Heading("Every trial".into()));
    parts.push(Part::Table(values::trials(stored)));
    parts.push(Part::Heading("Invalid trials".into()));
    let refused: Vec<_> = stored
        .trials
        .iter()
        .filter_map(|trial| match &trial.outcome {
            FaultOutcome::Invalid { reasons } => Some(format!("{}: {}", place(trial), reasons.join("; "))),
            FaultOutcome::Observed(_) => None,
        })
        .collect();
    parts.push(if refused.is_empty() { Part::Paragraph("None.".into()) } else { Part::List(refused) });
    parts.push(Part::Heading("Provenance".into()));
    parts.push(Part::Table(provenance::facts(environment)));
    if !environment.models.is_empty() {
        parts.push(Part::Heading("The models, and what could differ between them".into()));
        parts.push(Part::Table(provenance::models(environment)));
        parts.push(Part::Table(provenance::manifest(environment)));
    }
    Document { title: format!("roundtable: the fault run {}", stored.name), parts }
}

/// How the table is to be read.
pub(super) fn reading(stored: &StoredFaults) -> String {
    let late = stored.environment.fault.late_ms;
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
pub(super) fn noise(stored: &StoredFaults) -> Option<String> {
    let observed = stored.trials.iter().filter_map(|trial| match &trial.outcome {
        FaultOutcome::Observed(seen) => Some(seen.late_before),
        FaultOutcome::Invalid { .. } => None,
    });
    let noisy = observed.filter(|late| *late > 0).count();
    (noisy > 0).then(|| {
        format!(
            "In {} answers were late before the first event already: the machine was busy with other things, and later \
             ones may be its doing too.",
            words::counted(noisy, "trial")
        )
    })
}

fn scenario(stored: &StoredFaults) -> String {
    let events: Vec<_> = stored.environment.fault.script.events.iter().map(values::described).collect();
    format!("The scenario: {}. {}", events.join(", "), load(&stored.environment.environment.plan))
}

fn method(stored: &StoredFaults) -> Vec<String> {
    let plan = &stored.environment.environment.plan;
    let fault = &stored.environment.fault;
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
        words::counted(usize::try_from(plan.base.warmup).unwrap_or(usize::MAX), "request"),
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
        Act::Restore => {
            "the backend is as it was, at the same address; the time counts from when it listens again".to_owned()
        }
    };
    format!("{}: {text}.", act.name())
}
