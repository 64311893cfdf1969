//! A scenario's file: TOML in, a checked [`Scenario`] or the line of the first mistake out.
//!
//! Owns the grammar. Factors stand under their own names: one value in `[run.base]`, a list in `[run.sweep]`, and for
//! `--quick` either in `[run.quick]`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::{Rates, Scenario, ScenarioError, ScenarioGates, ScenarioRun};
use crate::plan::answer::Answer;
use crate::plan::factor::{self, Factor, Value};
use crate::plan::{BUDGET_MS, LEAST_BUDGET_MS, MOST_BUDGET_MS};

/// Runs of one scenario.
const MOST_RUNS: usize = 16;
/// The word for rates that are to be found.
const AUTO: &str = "auto";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    question: Spanned<String>,
    run: Spanned<Vec<Run>>,
}

type Table = BTreeMap<Spanned<String>, Spanned<toml::Value>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    name: Option<Spanned<String>>,
    question: Option<String>,
    budget: Option<Spanned<String>>,
    models: Option<Spanned<String>>,
    #[serde(default)]
    base: Table,
    #[serde(default)]
    sweep: Table,
    #[serde(default)]
    quick: Table,
    #[serde(default)]
    gates: Gates,
    #[serde(default)]
    answers: Vec<Answer>,
    #[serde(default)]
    figures: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Gates {
    steal_limit: Option<Spanned<u32>>,
    #[serde(default)]
    overload_allowed: bool,
}

/// The scenario in the file at `path`.
///
/// # Errors
/// [`ScenarioError::Unreadable`] and [`ScenarioError::Mistake`].
pub fn read(path: &Path) -> Result<Scenario, ScenarioError> {
    let unreadable = |reason: String| ScenarioError::Unreadable { path: path.to_path_buf(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    let name = path.file_stem().and_then(|stem| stem.to_str());
    let name = name.ok_or_else(|| unreadable("its name is not text".to_owned()))?;
    parse(name, &text)
}

/// The scenario `name` in `text`.
///
/// # Errors
/// [`ScenarioError::Mistake`].
pub fn parse(name: &str, text: &str) -> Result<Scenario, ScenarioError> {
    let reader = Reader { name, text };
    let file: File = toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        reader.mistake(start, error.message().trim_end().replace('\n', " "))
    })?;
    if !is_plain(name) {
        return Err(reader.mistake(0, PLAIN.to_owned()));
    }
    let runs = file.run.get_ref();
    if file.question.get_ref().trim().is_empty() {
        return Err(reader.mistake(file.question.span().start, "the question is empty; ask one".to_owned()));
    }
    if !(1..=MOST_RUNS).contains(&runs.len()) {
        let reason = format!("a scenario has 1 to {MOST_RUNS} runs; write each as a [[run]]");
        return Err(reader.mistake(file.run.span().start, reason));
    }
    let several = runs.len() > 1;
    let made = runs.iter().map(|run| reader.run(run, several, file.run.span().start));
    let made: Vec<ScenarioRun> = made.collect::<Result<_, _>>()?;
    for (place, run) in made.iter().enumerate() {
        if several && made[..place].iter().any(|earlier| earlier.name == run.name) {
            let start = runs[place].name.as_ref().map_or(0, |name| name.span().start);
            return Err(reader.mistake(start, "two runs have this name; give each its own".to_owned()));
        }
    }
    Ok(Scenario { name: name.to_owned(), question: file.question.into_inner(), runs: made })
}

const PLAIN: &str = "the name is part of a folder's: use small letters, digits and hyphens";

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// Tells mistakes by their line.
struct Reader<'a> {
    name: &'a str,
    text: &'a str,
}

impl Reader<'_> {
    fn mistake(&self, start: usize, reason: String) -> ScenarioError {
        let before = self.text.as_bytes().iter().take(start);
        let line = before.filter(|byte| **byte == b'\n').count() + 1;
        ScenarioError::Mistake { file: format!("{}.toml", self.name), line, reason }
    }

    fn run(&self, run: &Run, several: bool, start: usize) -> Result<ScenarioRun, ScenarioError> {
        let name = match &run.name {
            Some(name) if !is_plain(name.get_ref()) => {
                return Err(self.mistake(name.span().start, PLAIN.to_owned()));
            }
            None if several => {
                let reason = "each of several runs needs a name, as in name = \"closed-loop\"";
                return Err(self.mistake(start, reason.to_owned()));
            }
            name => name.as_ref().map(|name| name.get_ref().clone()),
        };
        let budget_ms = run.budget.as_ref().map_or(Ok(BUDGET_MS), |budget| self.budget(budget))?;
        let mut rates = None;
        let mut factors = Vec::new();
        for (table, one) in [(&run.base, true), (&run.sweep, false)] {
            for (name, value) in table {
                if let Some(found) = self.rates(name, value)? {
                    rates = Some(found);
                    continue;
                }
                let (factor, values) = self.factor(name, value)?;
                if one && values.len() > 1 {
                    let reason = format!("{} has several values; write it under [run.sweep]", factor.name);
                    return Err(self.mistake(value.span().start, reason));
                }
                if factors.iter().any(|(known, _)| *known == factor) {
                    let reason = format!("{} stands in [run.base] too; leave one out", factor.name);
                    return Err(self.mistake(name.span().start, reason));
                }
                factors.push((factor, values));
            }
        }
        let quick = run.quick.iter().map(|(name, value)| self.factor(name, value));
        let quick = quick.collect::<Result<_, _>>()?;
        let steal_limit_percent = match &run.gates.steal_limit {
            Some(limit) if *limit.get_ref() > 100 => {
                let reason = "steal-limit is a percentage; give 0 to 100".to_owned();
                return Err(self.mistake(limit.span().start, reason));
            }
            limit => limit.as_ref().map(|limit| *limit.get_ref()),
        };
        Ok(ScenarioRun {
            name,
            question: run.question.clone(),
            budget_ms,
            models: run.models.as_ref().map(|models| models.get_ref().clone()),
            factors,
            quick,
            rates,
            gates: ScenarioGates { steal_limit_percent, overload_allowed: run.gates.overload_allowed },
            answers: run.answers.clone(),
            figures: run.figures.clone(),
        })
    }

    fn budget(&self, budget: &Spanned<String>) -> Result<u64, ScenarioError> {
        let known = humantime::parse_duration(budget.get_ref()).ok().map(|of: Duration| of.as_millis());
        let known = known.and_then(|ms| u64::try_from(ms).ok());
        let reason = || format!("{:?} is no budget; give 1s to 7days", budget.get_ref());
        known
            .filter(|ms| (LEAST_BUDGET_MS..=MOST_BUDGET_MS).contains(ms))
            .ok_or_else(|| self.mistake(budget.span().start, reason()))
    }

    /// Rates that are to be found, where `value` asks for such.
    fn rates(
        &self,
        name: &Spanned<String>,
        value: &Spanned<toml::Value>,
    ) -> Result<Option<Rates>, ScenarioError> {
        if name.get_ref() != factor::RATE.name {
            return Ok(None);
        }
        let shares = match value.get_ref() {
            toml::Value::String(word) if word == AUTO => return Ok(Some(Rates::Auto)),
            toml::Value::Array(list) => list,
            _ => return Ok(None),
        };
        let is_share = |value: &toml::Value| value.as_str().is_some_and(|text| text.ends_with('%'));
        if !shares.iter().any(is_share) {
            return Ok(None);
        }
        let share = |value: &toml::Value| {
            let number = value.as_str()?.strip_suffix('%')?.trim().parse().ok()?;
            (1..=1000).contains(&number).then_some(number)
        };
        let shares: Option<Vec<u32>> = shares.iter().map(share).collect();
        let reason =
            "rates are shares of what the slowest row answers, from 1% to 1000%, as in [\"50%\", \"120%\"]";
        shares
            .map(|shares| Some(Rates::OfTheSlowest(shares)))
            .ok_or_else(|| self.mistake(value.span().start, reason.to_owned()))
    }

    fn factor(
        &self,
        name: &Spanned<String>,
        value: &Spanned<toml::Value>,
    ) -> Result<(&'static Factor, Vec<Value>), ScenarioError> {
        let factor = Factor::named(name.get_ref())
            .ok_or_else(|| self.mistake(name.span().start, factor::unknown(name.get_ref())))?;
        let at = value.span().start;
        let list = match value.get_ref() {
            toml::Value::Array(list) => list.as_slice(),
            one => std::slice::from_ref(one),
        };
        if list.is_empty() {
            return Err(self.mistake(at, format!("{} has no value; name one", factor.name)));
        }
        let mut values = Vec::new();
        for written in list {
            let value = match written {
                toml::Value::Integer(number) => u64::try_from(*number).ok().map(Value::Number),
                toml::Value::String(word) => Some(Value::Word(word.clone())),
                _ => None,
            };
            let reason = || format!("{} is a number or a word, as in {} = 5", factor.name, factor.name);
            let value = value.ok_or_else(|| self.mistake(at, reason()))?;
            factor.check(&value).map_err(|error| self.mistake(at, error.to_string()))?;
            if !values.contains(&value) {
                values.push(value);
            }
        }
        Ok((factor, values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
question = "What do many connections cost?"

[[run]]
name = "closed-loop"
budget = "3min"
base = { connections = "keepalive", backends = 3 }
sweep.concurrency = [10, 100]
quick.concurrency = [10]
gates.steal-limit = 50
answers = [{ kind = "along", factor = "concurrency" }]
figures = ["cpu"]

[[run]]
name = "beyond"
question = "And beyond what it can bear?"
sweep.rate = ["50%", "120%"]
gates.overload-allowed = true
answers = [{ kind = "promise", promise = "p99<10ms" }]
"#;

    #[test]
    fn a_file_names_its_runs_factors_gates_and_answers() {
        let scenario = parse("mine", WHOLE).unwrap();
        let [closed, beyond] = &scenario.runs[..] else { panic!("{scenario:?}") };
        assert_eq!(closed.budget_ms, 180_000);
        let of = |run: &ScenarioRun, quick: bool, name: &str| -> Vec<String> {
            let found = run.factors(quick).into_iter().find(|(factor, _)| factor.name == name);
            found.map_or(vec![], |(_, values)| values.iter().map(ToString::to_string).collect())
        };
        assert_eq!(of(closed, false, "concurrency"), ["10", "100"]);
        assert_eq!(of(closed, true, "concurrency"), ["10"]);
        assert_eq!(of(closed, true, "connections"), ["keepalive"]);
        assert_eq!(closed.gates.steal_limit_percent, Some(50));
        assert_eq!(beyond.rates, Some(Rates::OfTheSlowest(vec![50, 120])));
        assert!(beyond.gates.overload_allowed && !closed.gates.overload_allowed);
        assert_eq!(scenario.purpose(beyond).question, "And beyond what it can bear?");
        assert_eq!(scenario.purpose(closed).question, "What do many connections cost?");
        assert_eq!(scenario.budget_ms(), 180_000 + BUDGET_MS);
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_what_to_write_instead() {
        let run = |lines: &str| format!("question = \"why?\"\n[[run]]\n{lines}");
        for (text, line, told) in [
            ("question = \"why?\"\nruns = 1\n".to_owned(), 2, "unknown field `runs`"),
            ("question = \"\"\n[[run]]\n".to_owned(), 1, "ask one"),
            ("question = 1\n".to_owned(), 1, "invalid type"),
            ("question = \"why?\"\nrun = []\n".to_owned(), 2, "write each as a [[run]]"),
            (run("base.weather = 1\n"), 3, "the factors are backends, concurrency"),
            (run("base.backends = 0\n"), 3, "give whole numbers from 1 to 64"),
            (run("base.backends = -1\n"), 3, "is a number or a word"),
            (run("sweep.backends = []\n"), 3, "name one"),
            (run("base.backends = [1, 2]\n"), 3, "[run.sweep]"),
            (run("base.backends = 1\nsweep.backends = [1, 2]\n"), 4, "leave one out"),
            (run("budget = \"soon\"\n"), 3, "give 1s to 7days"),
            (run("sweep.rate = [\"50%\", 100]\n"), 3, "as in [\"50%\", \"120%\"]"),
            (run("gates.steal-limit = 101\n"), 3, "give 0 to 100"),
            (run("name = \"a b\"\n"), 3, "small letters"),
            (run("[[run]]\n"), 2, "needs a name"),
            (run("name = \"a\"\n[[run]]\nname = \"a\"\n"), 5, "give each its own"),
            (run("answers = [{ kind = \"along\", factor = \"weather\" }]\n"), 3, "the factors are"),
            (run("answers = [{ kind = \"promise\", promise = \"soon\" }]\n"), 3, "as in p99<10ms"),
        ] {
            let error = parse("mine", &text).unwrap_err();
            let ScenarioError::Mistake { line: at, reason, .. } = &error else { panic!("{error}") };
            assert!(*at == line && reason.contains(told), "{text}: {error}");
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}
