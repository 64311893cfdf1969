//! Figure: one model's good answers per second over a scenario, stacked by backend, with what went wrong.
//!
//! A bar is the mean over the model's valid trials in one interval. Backends that a fault befalls are dark and stand on
//! top: what they no longer answer is missing there. All models of a run share both axes.

use plotters::backend::DrawingBackend;
use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{Color, RGBColor};

use super::axis::Axis;
use super::frame::{Area, Content, Drawn, Frame, LINE, Panel, TYPE, bar, line, mark, write};
use super::palette::{FAINT_INK, INK, Look, Marker};
use super::{TIMELINE, text};
use crate::plan::Competitor;
use crate::plan::backend_name;
use crate::plan::fault::{Act, Event};
use crate::record::faults::{FaultOutcome, StoredFaults};
use crate::record::timeline::{Bucket, Observation};
use crate::report::fault::load;
use crate::report::words;

/// Of backends that are left in peace: pale ones of Tol's muted scheme (2021).
const PALE: [RGBColor; 4] = [
    RGBColor(0x88, 0xCC, 0xEE),
    RGBColor(0x44, 0xAA, 0x99),
    RGBColor(0xDD, 0xCC, 0x77),
    RGBColor(0x99, 0x99, 0x33),
];
/// Of backends that a fault befalls: dark ones.
const DARK: [RGBColor; 3] =
    [RGBColor(0x33, 0x22, 0x88), RGBColor(0xAA, 0x44, 0x99), RGBColor(0x11, 0x77, 0x33)];
const LATE: Look = Look { color: INK, marker: Marker::Circle };
const ERRORS: Look = Look { color: RGBColor(0xD5, 0x5E, 0x00), marker: Marker::Cross };

/// The names of events stand in so many rows at most.
const ROWS: usize = 3;
/// Room over the tallest bar for names of events, where they stand closer to each other than this share of the axis.
const HEADROOM: f64 = 1.16;
const CLOSE: f64 = 0.15;

/// The figure's data.
#[derive(Debug)]
pub(super) struct Timeline {
    slug: String,
    frame: Frame,
    /// For each backend, in the order of the stack: its look, and its answers per second in each interval.
    stacks: Vec<(RGBColor, Vec<f64>)>,
    late: Vec<f64>,
    errors: Vec<f64>,
    /// Length of an interval, seconds.
    interval: f64,
    /// Name and time of each event, seconds.
    events: Vec<(String, f64)>,
}

/// One model's means.
struct Means {
    model: Competitor,
    trials: usize,
    by_backend: Vec<Vec<f64>>,
    late: Vec<f64>,
    errors: Vec<f64>,
    events: Vec<(String, f64)>,
}

impl Timeline {
    /// A figure for each model that has a valid trial, in the plan's order.
    pub(super) fn of(stored: &StoredFaults) -> Vec<Self> {
        let plan = &stored.environment.environment.plan;
        let order = Order::of(&stored.environment.fault.script.events, plan.most_backends());
        let means: Vec<_> =
            plan.competitors.iter().filter_map(|model| Means::of(stored, model, &order)).collect();
        let intervals = means.iter().map(|means| means.late.len()).max().unwrap_or(0);
        let tallest = means.iter().map(Means::tallest).fold(0.0, f64::max);
        means.into_iter().map(|means| Timeline::draft(stored, &order, means, intervals, tallest)).collect()
    }

    fn draft(stored: &StoredFaults, order: &Order, means: Means, intervals: usize, tallest: f64) -> Self {
        let (plan, fault) = (&stored.environment.environment.plan, &stored.environment.fault);
        let interval = fault.bucket_ms as f64 / 1e3;
        let square = |color| Look { color, marker: Marker::Square };
        let mut legend: Vec<_> = order.looks().map(|(name, color)| (name, square(color))).collect();
        legend.push((format!("late: over {} ms", fault.late_ms), LATE));
        legend.push(("errors".to_owned(), ERRORS));
        let content = Content {
            title: format!("{}: good answers by backend while faults come and go", means.model),
            subtitle: format!(
                "Bars: good answers per second by backend, stacked, mean of {} in intervals of {} ms. Line: those of \
                 them that ended more than {} ms after their request was due. Crosses: requests per second without a \
                 good answer. {}",
                words::counted(means.trials, "repetition"),
                fault.bucket_ms,
                fault.late_ms,
                load(plan)
            ),
            legend,
            y_title: "requests per second, by when they ended".into(),
            x_title: "seconds since the first request".into(),
            x: Axis::until(intervals as f64 * interval),
            y: Axis::from_zero(if means.is_crowded(intervals as f64 * interval) {
                tallest * HEADROOM
            } else {
                tallest
            }),
            panels: vec![String::new()],
            columns: 1,
            panel_height: 460,
            feet: 0,
        };
        let stacks = order.colors().zip(means.by_backend).collect();
        Timeline {
            slug: slug(&means.model.to_string()),
            frame: Frame::lay_out(content),
            stacks,
            late: means.late,
            errors: means.errors,
            interval,
            events: means.events,
        }
    }

    pub(super) fn slug(&self) -> &str {
        &self.slug
    }

    pub(super) fn frame(&self) -> &Frame {
        &self.frame
    }

    pub(super) fn draw<DB: DrawingBackend>(&self, area: &Area<DB>) -> Drawn<DB> {
        self.frame.draw(area)?;
        let panel = self.frame.panel(0);
        for place in 0..self.late.len() {
            let (from, to) = (place as f64 * self.interval, (place + 1) as f64 * self.interval);
            let mut foot = 0.0;
            for (color, rates) in &self.stacks {
                let head = foot + rates.get(place).copied().unwrap_or(0.0);
                if head > foot {
                    bar(area, [panel.at(from, head), panel.at(to, foot)], color.to_rgba())?;
                }
                foot = head;
            }
        }
        self.draw_events(area, panel)?;
        let middle = |place: usize| (place as f64 + 0.5) * self.interval;
        let late = |place: usize| panel.at(middle(place), self.late[place]);
        let places: Vec<_> = (0..self.late.len()).collect();
        // Nothing is drawn across intervals without a late answer.
        for span in places.split(|&place| self.late[place] == 0.0) {
            let points: Vec<_> = span.iter().map(|&place| late(place)).collect();
            if points.len() > 1 {
                line(area, &points, LATE.color, 3)?;
            }
            for point in points {
                mark(area, LATE, point, 6)?;
            }
        }
        for (place, &rate) in self.errors.iter().enumerate().filter(|(_, rate)| **rate > 0.0) {
            mark(area, ERRORS, panel.at(middle(place), rate), 8)?;
        }
        Ok(())
    }

    /// A line at each event, and its name over the panel, or lower where it would run into another.
    fn draw_events<DB: DrawingBackend>(&self, area: &Area<DB>, panel: Panel) -> Drawn<DB> {
        let mut free_from = [i32::MIN; ROWS];
        for (name, at) in &self.events {
            let (x, _) = panel.at(*at, 0.0);
            line(area, &[(x, panel.top - 8), (x, panel.bottom)], FAINT_INK, 3)?;
            let half = (text::width(name, TYPE) / 2.0).ceil() as i32;
            let middle = x.min(panel.right - half).max(panel.left + half);
            let Some(row) = free_from.iter().position(|&free| middle - half > free) else { continue };
            free_from[row] = middle + half + 12;
            let y = panel.top - 14 + row as i32 * LINE;
            write(area, name, TYPE, INK, (middle, y), (HPos::Center, VPos::Bottom))?;
        }
        Ok(())
    }
}

impl Means {
    fn of(stored: &StoredFaults, model: &Competitor, order: &Order) -> Option<Self> {
        let seen: Vec<&Observation> = stored
            .trials
            .iter()
            .filter(|trial| trial.model == *model)
            .filter_map(|trial| match &trial.outcome {
                FaultOutcome::Observed(observation) => Some(&**observation),
                FaultOutcome::Invalid { .. } => None,
            })
            .collect();
        let events = seen.first()?.applied.len();
        let intervals = seen.iter().map(|observation| observation.buckets.len()).max()?;
        let per_second = 1e3 / stored.environment.fault.bucket_ms.max(1) as f64 / seen.len() as f64;
        let mean = |count: &dyn Fn(&Bucket) -> u64| -> Vec<f64> {
            let sum = |place: usize| -> u64 {
                seen.iter().filter_map(|seen| seen.buckets.get(place)).map(count).sum()
            };
            (0..intervals).map(|place| sum(place) as f64 * per_second).collect()
        };
        let by_backend =
            order.names.iter().map(|name| mean(&|bucket| bucket.answered.get(name).copied().unwrap_or(0)));
        let event = |place: usize| -> Option<(String, f64)> {
            let applied: Vec<_> = seen.iter().filter_map(|seen| seen.applied.get(place)).collect();
            let Event { act, backend, .. } = applied.first()?.event;
            // Each when it can first be felt.
            let us = applied.iter().map(|applied| match act {
                Act::Restore => applied.effective_us,
                _ => applied.began_us,
            });
            let at = us.sum::<u64>() as f64 / applied.len() as f64 / 1e6;
            Some((format!("{} {}", act.name(), backend_name(backend)), at))
        };
        Some(Means {
            model: model.clone(),
            trials: seen.len(),
            by_backend: by_backend.collect(),
            late: mean(&|bucket| bucket.late),
            errors: mean(&|bucket| bucket.errors.total()),
            events: (0..events).filter_map(event).collect(),
        })
    }

    /// The names of events would run into each other on one line.
    fn is_crowded(&self, end: f64) -> bool {
        self.events.windows(2).any(|pair| pair[1].1 - pair[0].1 < CLOSE * end)
    }

    fn tallest(&self) -> f64 {
        let stacked = |place: usize| self.by_backend.iter().map(|rates| rates[place]).sum::<f64>();
        (0..self.late.len()).map(|place| stacked(place).max(self.errors[place])).fold(0.0, f64::max)
    }
}

/// The backends from the foot of a stack to its head.
struct Order {
    names: Vec<String>,
    /// How many of them, at the foot, are left in peace.
    in_peace: usize,
}

impl Order {
    fn of(events: &[Event], backends: u32) -> Self {
        let is_faulty = |number: &u32| events.iter().any(|event| event.backend == *number);
        let (faulty, in_peace): (Vec<u32>, Vec<u32>) = (1..=backends).partition(is_faulty);
        let names = in_peace.iter().chain(&faulty).map(|number| backend_name(*number)).collect();
        Order { names, in_peace: in_peace.len() }
    }

    fn colors(&self) -> impl Iterator<Item = RGBColor> {
        let dark = self.names.len() - self.in_peace;
        PALE.into_iter().cycle().take(self.in_peace).chain(DARK.into_iter().cycle().take(dark))
    }

    fn looks(&self) -> impl Iterator<Item = (String, RGBColor)> {
        self.names.iter().cloned().zip(self.colors())
    }
}

/// A file's name, whatever the model is called.
fn slug(model: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    format!("{TIMELINE}{}", model.chars().map(safe).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::faults::fixtures::{environment, observed, trial};

    fn stored(trials: Vec<crate::record::faults::FaultTrial>) -> StoredFaults {
        let environment = environment("kill-backend@1s,restore@2s");
        StoredFaults { name: "faulty".into(), environment, trials }
    }

    #[test]
    fn each_model_with_a_valid_trial_has_a_timeline_of_its_own() {
        let invalid = trial("threads", 0, FaultOutcome::Invalid { reasons: vec!["x".into()] });
        let figures = Timeline::of(&stored(vec![invalid, observed("mio", 0), observed("mio", 1)]));
        assert_eq!(figures.iter().map(Timeline::slug).collect::<Vec<_>>(), ["timeline-mio"]);
        let figure = &figures[0];
        let names: Vec<_> = figure.events.iter().map(|(name, at)| (name.as_str(), *at)).collect();
        assert_eq!(names, [("kill-backend b2", 1.0), ("restore b2", 2.001)]);
        assert_eq!(figure.frame.content.legend.len(), 4);
        // A hundred requests a second take turns, and one failed.
        assert_eq!((figure.stacks[0].1[5], figure.stacks[1].1[5]), (50.0, 50.0));
        assert_eq!((figure.errors[10], figure.late[10]), (10.0, 0.0));
        assert_eq!((figure.late.len(), figure.frame.content.x.to), (30, 3.0));
    }

    #[test]
    fn backends_that_a_fault_befalls_stand_on_top() {
        let event = |backend| Event { act: Act::Refuse, backend, at_ms: 0 };
        assert_eq!(Order::of(&[event(1)], 3).names, ["b2", "b3", "b1"]);
        let all = Order::of(&[event(2), event(1)], 2);
        assert_eq!(
            (all.names.as_slice(), all.colors().count()),
            (["b1", "b2"].map(String::from).as_slice(), 2)
        );
    }

    #[test]
    fn a_models_name_cannot_leave_the_folder() {
        assert_eq!(slug("../a b"), "timeline-___a_b");
    }
}
