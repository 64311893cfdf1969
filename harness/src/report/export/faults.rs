//! A fault run's report as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use super::CompetitorForm;
use super::machines::Machine;
use super::report::Build;
use crate::analysis::faults::{self, FaultRun, ModelFault, Seen};
use crate::plan::fault::{Act, Event};
use crate::record::{Trial, in_words};
use crate::report::prose;
use crate::statistics::Spread;

/// Raised when a field changes its meaning or goes; a new field raises nothing.
pub const VERSION: u32 = 1;

/// What `roundtable report RUN --format json` prints of a run with faults.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(title = "roundtable report, a run with faults")]
pub struct FaultReport {
    /// Version of this form.
    pub schema_version: u32,
    /// The run's name.
    pub run: String,
    /// When it began (RFC 3339).
    pub begun: String,
    /// The command that measured it.
    pub command_line: Vec<String>,
    /// What was measured with.
    pub build: Build,
    /// What it was measured on.
    pub machine: Machine,
    /// Requests per second that were due.
    pub rate_per_second: Option<u64>,
    /// A response that ends later than this after its request was due is late.
    pub late_ms: u64,
    /// What befell the backends, in order.
    pub events: Vec<EventForm>,
    /// What was found, in sentences.
    pub findings: Vec<String>,
    /// Each model with each fault.
    pub models: Vec<ModelForm>,
    /// Trials that do not count.
    pub invalid_trials: Vec<InvalidFaultTrial>,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct EventForm {
    /// `kill-backend`, `slow-backend`, `refuse`, `restore`, `surge` or `calm`.
    pub event: &'static str,
    /// To which backend: 1 is the first; null: to the load.
    pub backend: Option<u32>,
    /// So many times the rate, of a surge.
    pub times: Option<u32>,
    /// When, after the first request of the timed window.
    pub at_ms: u64,
}

/// How clients fared under a model while a fault lasted, over the repetitions; null where no trial tells.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ModelForm {
    /// Who.
    pub competitor: CompetitorForm,
    /// The fault.
    pub fault: Option<EventForm>,
    /// Requests without a good answer: in the whole trial where there is one fault, else while it lasted.
    pub errors: Option<RangeForm>,
    /// Good answers that were late, counted likewise.
    pub late: Option<RangeForm>,
    /// From the fault to the end of the last request that suffered while it lasted; 0: none did.
    pub left_out_ms: Option<RangeForm>,
    /// From the restoration to the backend's first good answer; null where nothing was restored.
    pub used_again_ms: Option<RangeForm>,
    /// From the restoration to the end of the last request that suffered; 0: none did.
    pub calm_ms: Option<RangeForm>,
}

/// Middle and extent over the repetitions; of a time, null stands for one that never came.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct RangeForm {
    /// Median.
    pub median: Option<f64>,
    /// Smallest.
    pub least: Option<f64>,
    /// Largest.
    pub most: Option<f64>,
    /// Repetitions.
    pub trials: usize,
}

/// A trial that does not count.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct InvalidFaultTrial {
    /// Who.
    pub competitor: CompetitorForm,
    /// Block, from 1.
    pub block: u64,
    /// Which try.
    pub attempt: u32,
    /// Why it does not count.
    pub reasons: String,
}

impl FaultReport {
    /// Of a run with faults.
    pub fn of(run: FaultRun<'_>) -> Self {
        let environment = &run.stored.environment;
        FaultReport {
            schema_version: VERSION,
            run: run.stored.name.clone(),
            begun: environment.created.clone(),
            command_line: environment.command_line.clone(),
            build: Build::from(&environment.build),
            machine: Machine::from(&environment.host),
            rate_per_second: run.plan().base.rate,
            late_ms: run.faults.late_ms,
            events: run.faults.script.events.iter().map(EventForm::of).collect(),
            findings: prose::claims::of_faults(run),
            models: faults::by_model(run).iter().map(ModelForm::of).collect(),
            invalid_trials: run.stored.trials.iter().filter_map(InvalidFaultTrial::of).collect(),
        }
    }
}

impl EventForm {
    fn of(event: &Event) -> Self {
        let backend = Some(event.backend).filter(|_| !event.act.is_of_the_load());
        let times = match event.act {
            Act::Surge { times } => Some(times),
            _ => None,
        };
        EventForm { event: event.act.name(), backend, times, at_ms: event.at_ms }
    }
}

impl ModelForm {
    fn of(of: &ModelFault) -> Self {
        let range =
            |figure: fn(&Seen) -> Option<Spread>| of.seen.as_ref().and_then(figure).map(RangeForm::of);
        ModelForm {
            competitor: (&of.model).into(),
            fault: of.fault.as_ref().map(EventForm::of),
            errors: range(|seen| seen.errors),
            late: range(|seen| seen.late),
            left_out_ms: range(|seen| seen.left_out_ms),
            used_again_ms: range(|seen| seen.used_again_ms),
            calm_ms: range(|seen| seen.calm_ms),
        }
    }
}

impl RangeForm {
    fn of(spread: Spread) -> Self {
        let came = |value: f64| value.is_finite().then_some(value);
        RangeForm {
            median: came(spread.median),
            least: came(spread.min),
            most: came(spread.max),
            trials: spread.count,
        }
    }
}

impl InvalidFaultTrial {
    fn of(trial: &Trial) -> Option<Self> {
        let reasons = faults::seen(trial).err()?;
        Some(InvalidFaultTrial {
            competitor: (&trial.cell.competitor).into(),
            block: u64::from(trial.block) + 1,
            attempt: trial.attempt,
            reasons: in_words(&reasons),
        })
    }
}
