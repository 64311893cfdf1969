//! The options of `roundtable run` that are factors: one for each entry of the harness's list, with its help and its grammar.

use clap::{Arg, ArgMatches, Args, Command};
use roundtable_harness::plan::{FACTORS, Factor, Plan, PlanError, Value, factor};
use roundtable_harness::trial::rate_search::Rate;

use crate::commands::number::Counted;

/// The one value that a rate can have on a command line and nowhere else.
const AUTO: &str = "auto";

/// What has no place in a run with faults: its window is as long as the script, and its rows are models as they are.
const NOT_WITH_FAULTS: [&str; 6] = ["aa", "requests", "warmup", "precision", "cross_check", "system_calls"];

/// What was asked of each factor; those that nobody spoke of are absent.
#[derive(Debug, Clone, Default)]
pub(super) struct FactorArgs {
    given: Vec<(&'static Factor, Vec<Value>)>,
}

impl FactorArgs {
    /// What was asked of `factor`.
    pub(super) fn of(&self, factor: &Factor) -> Option<&[Value]> {
        let given = self.given.iter().find(|(given, _)| given.name == factor.name);
        given.map(|(_, values)| values.as_slice())
    }

    /// With `values` of `factor`, unless something else was asked of it.
    pub(super) fn or(&mut self, factor: &'static Factor, values: Vec<Value>) {
        if self.of(factor).is_none() {
            self.given.push((factor, values));
        }
    }

    /// With a rate that is to be found, unless one was asked for.
    pub(super) fn or_rate_to_be_found(&mut self) {
        self.or(&factor::RATE, vec![Value::Word(AUTO.to_owned())]);
    }

    /// The one rate that was asked for.
    pub(super) fn rate(&self) -> Option<Rate> {
        match self.of(&factor::RATE)? {
            [Value::Number(rate)] => Some(Rate::Fixed(*rate)),
            [Value::Word(word)] if word == AUTO => Some(Rate::Auto),
            _ => None,
        }
    }

    /// Each factor that can be set as it was asked, with its values.
    pub(super) fn settable(&self) -> impl Iterator<Item = (&'static Factor, &[Value])> {
        let auto = [Value::Word(AUTO.to_owned())];
        let given = self.given.iter().map(|(factor, values)| (*factor, values.as_slice()));
        given.filter(move |(_, values)| *values != auto)
    }

    /// `plan` with all that can be set as it was asked.
    pub(super) fn over(&self, plan: Plan) -> Result<Plan, PlanError> {
        self.settable().try_fold(plan, |plan, (factor, values)| plan.over(factor, values))
    }
}

fn parse(factor: &'static Factor, text: &str) -> anyhow::Result<Vec<Value>> {
    if factor.name != factor::RATE.name || text.contains(',') {
        return Ok(factor.parse(text)?);
    }
    Ok(vec![match text.parse::<Rate>()? {
        Rate::Fixed(rate) => Value::Number(rate),
        Rate::Auto => Value::Word(AUTO.to_owned()),
    }])
}

impl Args for FactorArgs {
    fn augment_args(command: Command) -> Command {
        FACTORS.into_iter().fold(command, |command, factor| {
            let mut option =
                Arg::new(factor.name).long(factor.name).value_name(factor.placeholder).help(factor.help);
            if factor.name == factor::FAULT.name {
                option = option.conflicts_with_all(NOT_WITH_FAULTS);
            }
            command.arg(if factor.is_quantity() {
                option.value_parser(move |text: &str| parse(factor, text).map(Counted))
            } else {
                option.value_parser(move |text: &str| parse(factor, text))
            })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for FactorArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = FACTORS.into_iter().filter_map(|factor| {
            let values = if factor.is_quantity() {
                &matches.get_one::<Counted>(factor.name)?.0
            } else {
                matches.get_one::<Vec<Value>>(factor.name)?
            };
            Some((factor, values.clone()))
        });
        Ok(FactorArgs { given: given.collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
