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
use crate::analysis::faults::timeline::{Backends, Timeline as Means};
use crate::report::sections::faults::load;
use crate::text::counted;
use crate::trial::faults::data::StoredFaults;
use crate::trial::faults::observe::backend_name;
use crate::trial::faults::scenario::Event;

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

impl Timeline {
    /// A figure for each model that has a valid trial, in the plan's order.
    pub(super) fn of(stored: &StoredFaults) -> Vec<Self> {
        let plan = &stored.environment.environment.plan;
        let backends = Backends::of(&stored.environment.fault.scenario.events, plan.most_backends());
        let means = Means::of_each(stored, &backends);
        let intervals = means.iter().map(Means::intervals).max().unwrap_or(0);
        let tallest = means.iter().map(Means::tallest).fold(0.0, f64::max);
        means.into_iter().map(|means| Timeline::draft(stored, &backends, means, intervals, tallest)).collect()
    }

    fn draft(
        stored: &StoredFaults,
        backends: &Backends,
        means: Means,
        intervals: usize,
        tallest: f64,
    ) -> Self {
        let (plan, fault) = (&stored.environment.environment.plan, &stored.environment.fault);
        let interval = fault.bucket_ms as f64 / 1e3;
        let square = |color| Look { color, marker: Marker::Square };
        let mut legend: Vec<_> = backends
            .names
            .iter()
            .cloned()
            .zip(colors(backends))
            .map(|(name, color)| (name, square(color)))
            .collect();
        legend.push((format!("late: over {} ms", fault.late_ms), LATE));
        legend.push(("errors".to_owned(), ERRORS));
        let content = Content {
            title: format!("{}: good answers by backend while faults come and go", means.model),
            subtitle: format!(
                "Bars: good answers per second by backend, stacked, mean of {} in intervals of {} ms. Line: those of \
                 them that ended more than {} ms after their request was due. Crosses: requests per second without a \
                 good answer. {}",
                counted(means.trials, "repetition"),
                fault.bucket_ms,
                fault.late_ms,
                load(plan)
            ),
            legend,
            y_title: "requests per second, by when they ended".into(),
            x_title: "seconds since the first request".into(),
            x: Axis::until(intervals as f64 * interval),
            y: Axis::from_zero(if is_crowded(&means, intervals as f64 * interval) {
                tallest * HEADROOM
            } else {
                tallest
            }),
            panels: vec![String::new()],
            columns: 1,
            panel_height: 460,
            feet: 0,
        };
        let stacks = colors(backends).zip(means.by_backend).collect();
        Timeline {
            slug: slug(&means.model),
            frame: Frame::lay_out(content),
            stacks,
            late: means.late,
            errors: means.errors,
            interval,
            events: means.events.iter().map(|(event, at)| (name(event), *at)).collect(),
        }
    }

    pub(super) fn id(&self) -> &str {
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

/// "kill-backend b2".
fn name(event: &Event) -> String {
    format!("{} {}", event.act.name(), backend_name(event.backend))
}

/// The names of events would run into each other on one line.
fn is_crowded(means: &Means, end: f64) -> bool {
    means.events.windows(2).any(|pair| pair[1].1 - pair[0].1 < CLOSE * end)
}

/// Pale for backends that no fault befalls, dark for the others.
fn colors(backends: &Backends) -> impl Iterator<Item = RGBColor> {
    let dark = backends.names.len() - backends.untouched;
    PALE.into_iter().cycle().take(backends.untouched).chain(DARK.into_iter().cycle().take(dark))
}

/// A file's name, whatever the model is called.
fn slug(model: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    format!("{TIMELINE}{}", model.chars().map(safe).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::faults::data::FaultOutcome;
    use crate::trial::faults::fixtures::{environment, observed, trial};

    fn stored(trials: Vec<crate::trial::faults::data::FaultTrial>) -> StoredFaults {
        let environment = environment("kill-backend@1s,restore@2s");
        StoredFaults { name: "faulty".into(), environment, trials }
    }

    #[test]
    fn each_model_with_a_valid_trial_has_a_timeline_of_its_own() {
        let invalid = trial("threads", 0, FaultOutcome::Invalid { reasons: vec!["x".into()] });
        let figures = Timeline::of(&stored(vec![invalid, observed("mio", 0), observed("mio", 1)]));
        assert_eq!(figures.iter().map(Timeline::id).collect::<Vec<_>>(), ["timeline-mio"]);
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
    fn a_models_name_cannot_leave_the_folder() {
        assert_eq!(slug("../a b"), "timeline-___a_b");
    }
}
