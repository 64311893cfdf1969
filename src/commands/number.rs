//! Numbers on the command line: whole ones and durations, each with its bounds.
//!
//! Owns the parsers (those of a run's factors are the harness's) and the rule that a number that is out of its bounds,
//! a negative one too, is answered with the bounds. [`taken_as_values`] makes that so for every option of these types,
//! present and to come: by itself the parser of the command line takes `-1` for an option that it does not know.

use std::any::TypeId;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use roundtable_backends::ServiceTime;
use roundtable_harness::plan::Value;

/// The values of a factor of a run that is a number.
#[derive(Debug, Clone)]
pub(super) struct Counted(pub(super) Vec<Value>);

/// A share of the whole, in percent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Percent(pub(super) u32);

/// Reads a share, with or without its sign.
pub(super) fn percent(text: &str) -> Result<Percent, String> {
    let percent = text.trim().trim_end_matches('%').trim_end().parse().ok();
    let percent = percent.filter(|percent| (1..=100).contains(percent));
    percent.map(Percent).ok_or_else(|| "give a whole percentage from 1% to 100%, as in 10%".to_owned())
}

/// Reads a whole number within `bounds`.
pub(super) fn whole<T>(
    bounds: RangeInclusive<T>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: FromStr + PartialOrd + Display + Clone + Send + Sync + 'static,
{
    move |text| {
        let number = text.trim().parse().ok().filter(|number| bounds.contains(number));
        number.ok_or_else(|| format!("give a whole number from {} to {}", bounds.start(), bounds.end()))
    }
}

/// Reads a number of bytes such as `64MiB`; whether it is too large depends on the machine.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let size = text.trim().parse::<bytesize::ByteSize>().ok().map(|size| size.as_u64());
    size.filter(|bytes| *bytes > 0)
        .ok_or_else(|| "give 1MiB to as much as this machine has, as in 64MiB or 1GiB".to_owned())
}

/// Reads a duration within `bounds`.
pub(super) fn duration<T: From<Duration>>(
    bounds: RangeInclusive<Duration>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    move |text| {
        let [least, most] = [bounds.start(), bounds.end()].map(|bound| humantime::format_duration(*bound));
        let remedy = |reason: String| format!("{reason}; give {least} to {most}, as in 500ms or 5s");
        let duration = humantime::parse_duration(text).map_err(|error| {
            remedy(if text.starts_with('-') { "it is negative".into() } else { error.to_string() })
        })?;
        if bounds.contains(&duration) {
            Ok(duration.into())
        } else {
            Err(remedy("it is out of bounds".into()))
        }
    }
}

/// `command` and its subcommands, with whatever follows an option that takes a number taken as its value.
pub(crate) fn taken_as_values(command: clap::Command) -> clap::Command {
    command
        .mut_args(|arg| if is_number(&arg) { arg.allow_hyphen_values(true) } else { arg })
        .mut_subcommands(taken_as_values)
}

fn is_number(arg: &clap::Arg) -> bool {
    let numbers = [
        TypeId::of::<u32>(),
        TypeId::of::<u64>(),
        TypeId::of::<usize>(),
        TypeId::of::<f64>(),
        TypeId::of::<Duration>(),
        TypeId::of::<humantime::Duration>(),
        TypeId::of::<ServiceTime>(),
        TypeId::of::<Counted>(),
        TypeId::of::<Percent>(),
    ];
    let of_arg = arg.get_value_parser().type_id();
    arg.get_action().takes_values() && numbers.iter().any(|number| of_arg == *number)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::Cli;

    #[test]
    fn every_number_of_every_subcommand_is_told_its_bounds_and_never_the_parsers_tip() {
        let mut told = 0;
        for subcommand in Cli::command().get_subcommands() {
            for arg in subcommand.get_arguments() {
                let names = arg.get_value_names().unwrap_or_default();
                let named = names.iter().any(|name| {
                    ["N", "C", "R", "W", "PERCENT", "LIST", "DURATION", "BYTES", "SIZE"]
                        .contains(&name.as_str())
                });
                assert!(
                    !named || is_number(arg),
                    "{} has a type that `is_number` does not know",
                    arg.get_id()
                );
            }
            let numbers = subcommand.get_arguments().filter(|arg| is_number(arg) && !arg.is_hide_set());
            for option in numbers {
                let spellings = option.get_long().map(|long| format!("--{long}")).into_iter();
                for spelling in spellings.chain(option.get_short().map(|short| format!("-{short}"))) {
                    for value in ["-1", "-5s", "-1,2", "-0.5", "x"] {
                        let line = ["roundtable", subcommand.get_name(), &spelling, value];
                        let error = taken_as_values(Cli::command()).try_get_matches_from(line).unwrap_err();
                        let text = error.to_string();
                        assert_eq!(error.exit_code(), 2, "{line:?}");
                        assert!(!text.contains("tip:"), "{line:?}: {text}");
                        let bounds = text.split_once("give ").is_some_and(|(_, rest)| rest.contains(" to "));
                        assert!(bounds, "{line:?}: {text}");
                        told += 1;
                    }
                }
            }
        }
        assert!(told > 100, "only {told} lines were tried");
    }

    #[test]
    fn bounds_belong_to_what_may_be_given() {
        assert_eq!(whole(1..=3u32)("3"), Ok(3));
        for text in ["0", "4", "", "-1", "1.5", "99999999999"] {
            assert_eq!(whole(1..=3u32)(text), Err("give a whole number from 1 to 3".to_owned()), "{text}");
        }
        let second = Duration::from_secs(1);
        let within = duration::<Duration>(second..=2 * second);
        assert_eq!((within("1s"), within("2s")), (Ok(second), Ok(2 * second)));
        for text in ["999ms", "2001ms", "0s", "-1s", "soon", ""] {
            let error = within(text).unwrap_err();
            assert!(error.ends_with("; give 1s to 2s, as in 500ms or 5s"), "{text}: {error}");
        }
    }
}
