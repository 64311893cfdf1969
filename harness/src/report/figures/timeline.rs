//! Figure: one model's good answers per second over a script, stacked by backend, with what went wrong.
//!
//! A bar is the mean over the model's valid trials in one interval. Backends that a fault befalls are dark and stand on
//! top: what they no longer answer is missing there. All models of a run share both axes.

use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{Color, RGBColor};

use super::axis::Axis;
use super::frame::{Content, Entry, Frame, LINE, Medium, Panel, TYPE, write};
use super::palette::{FAINT_INK, INK, Look, Marker};
use super::shape::{Mark, Shape, Tags};
use super::{Figure, TIMELINE, text};
use crate::analysis::faults::FaultRun;
use crate::analysis::faults::timeline::{Backends, Timeline};
use crate::report::prose;
use crate::report::section::Column;
use crate::report::value::Value;
use crate::text::counted;

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

/// A figure for each model that has a valid trial, in the plan's order.
pub(super) fn figures(run: FaultRun<'_>, medium: Medium) -> Vec<Figure> {
    let backends = Backends::of(&run.faults.script.events, run.plan().most_backends());
    let timelines = Timeline::of_each(run, &backends);
    let intervals = timelines.iter().map(Timeline::intervals).max().unwrap_or(0);
    let tallest = timelines.iter().map(Timeline::tallest).fold(0.0, f64::max);
    let interval = run.faults.bucket_ms as f64 / 1e3;
    let figure = |of: &Timeline| {
        let end = intervals as f64 * interval;
        let highest = if is_crowded(of, end) { tallest * HEADROOM } else { tallest };
        let frame = frame(run, of, &backends, (end, highest), medium);
        let drawn = Drawn { of, interval, panel: frame.panel(0) };
        Figure {
            id: id(&of.model.to_string()),
            sentence: None,
            factors: Vec::new(),
            columns: vec![Column::numbers("seconds"), Column::words("series"), Column::numbers("per second")],
            under: Vec::new(),
            marks: drawn.marks(&backends),
            first: None,
            frame,
        }
    };
    timelines.iter().map(figure).collect()
}

fn frame(
    run: FaultRun<'_>,
    of: &Timeline,
    backends: &Backends,
    (end, highest): (f64, f64),
    medium: Medium,
) -> Frame {
    let (plan, fault) = (run.plan(), run.faults);
    let entry = |name: String, look| Entry { name, look, competitor: None };
    let square = |color| Look { color, marker: Marker::Square };
    let stacked = backends.names.iter().cloned().zip(colors(backends));
    let mut legend: Vec<_> = stacked.map(|(name, color)| entry(name, square(color))).collect();
    legend.push(entry(format!("late: over {} ms", fault.late_ms), LATE));
    legend.push(entry("errors".to_owned(), ERRORS));
    let content = Content {
        title: format!("{}: good answers by backend while faults come and go", of.model),
        subtitle: format!(
            "Bars: good answers per second by backend, stacked, mean of {} in intervals of {} ms. Line: those of \
             them that ended more than {} ms after their request was due. Crosses: requests per second without a \
             good answer. {}",
            counted(of.trials, "repetition"),
            fault.bucket_ms,
            fault.late_ms,
            prose::load::of_faults(plan)
        ),
        legend,
        y_title: "requests per second, by when they ended".into(),
        x_title: "seconds since the first request".into(),
        x: Axis::until(end),
        y: Axis::from_zero(highest),
        panels: vec![String::new()],
        columns: 1,
        page_width: 1000,
        panel_height: 460,
        feet: 0,
    };
    Frame::lay_out(content, medium)
}

/// One timeline and where it is drawn; an interval's length is in seconds.
struct Drawn<'a> {
    of: &'a Timeline,
    interval: f64,
    panel: Panel,
}

impl Drawn<'_> {
    fn marks(&self, backends: &Backends) -> Vec<Mark> {
        let mut foot = vec![0.0; self.of.intervals()];
        let stacked = backends.names.iter().zip(colors(backends)).zip(&self.of.by_backend);
        let mut marks: Vec<_> = stacked
            .map(|((name, color), rates)| {
                let bars = self.bars(rates, &mut foot, color);
                self.mark(format!("good answers of {name}"), rates, bars)
            })
            .collect();
        marks.push(self.mark("events".into(), &[], self.events()));
        marks.push(self.mark("late answers".into(), &self.of.late, self.late()));
        marks.push(self.mark("errors".into(), &self.of.errors, self.errors()));
        marks
    }

    /// `rates` on top of what `foot` holds, which then holds them too.
    fn bars(&self, rates: &[f64], foot: &mut [f64], color: RGBColor) -> Vec<Shape> {
        let mut bars = Vec::new();
        for (index, (rate, foot)) in rates.iter().zip(foot).enumerate() {
            let (from, to) = (index as f64 * self.interval, (index + 1) as f64 * self.interval);
            let head = *foot + rate;
            if head > *foot {
                let corners = [self.panel.at(from, head), self.panel.at(to, *foot)];
                bars.push(Shape::Bar { corners, color: color.to_rgba() });
            }
            *foot = head;
        }
        bars
    }

    /// A line at each event, and its name over the panel, or lower where it would run into another.
    fn events(&self) -> Vec<Shape> {
        let panel = self.panel;
        let mut free_from = [i32::MIN; ROWS];
        let mut shapes = Vec::new();
        for (event, at) in &self.of.events {
            let name = prose::event(event);
            let (x, _) = panel.at(*at, 0.0);
            shapes.push(Shape::line([(x, panel.top - 8), (x, panel.bottom)], FAINT_INK, 3));
            let half = (text::width(&name, TYPE) / 2.0).ceil() as i32;
            let middle = x.min(panel.right - half).max(panel.left + half);
            let Some(row) = free_from.iter().position(|&free| middle - half > free) else { continue };
            free_from[row] = middle + half + 12;
            let y = panel.top - 14 + row as i32 * LINE;
            shapes.push(write(&name, TYPE, INK, (middle, y), (HPos::Center, VPos::Bottom)));
        }
        shapes
    }

    /// A line with markers; nothing is drawn across intervals without a late answer.
    fn late(&self) -> Vec<Shape> {
        let mut shapes = Vec::new();
        let indices: Vec<_> = (0..self.of.intervals()).collect();
        for span in indices.split(|&index| self.of.late[index] == 0.0) {
            let points: Vec<_> = span.iter().map(|&index| self.at(index, self.of.late[index])).collect();
            let markers = points.iter().map(|&at| Shape::Marker { look: LATE, at, radius: 6 });
            let markers: Vec<_> = markers.collect();
            if points.len() > 1 {
                shapes.push(Shape::line(points, LATE.color, 3));
            }
            shapes.extend(markers);
        }
        shapes
    }

    fn errors(&self) -> Vec<Shape> {
        let wrong = self.of.errors.iter().enumerate().filter(|(_, rate)| **rate > 0.0);
        let cross = |(index, &rate)| Shape::Marker { look: ERRORS, at: self.at(index, rate), radius: 8 };
        wrong.map(cross).collect()
    }

    /// The middle of an interval, at so many per second.
    fn at(&self, index: usize, rate: f64) -> (i32, i32) {
        self.panel.at((index as f64 + 0.5) * self.interval, rate)
    }

    /// What is drawn of `rates`, interval by interval.
    fn mark(&self, what: String, rates: &[f64], shapes: Vec<Shape>) -> Mark {
        let row = |(index, rate): (usize, &f64)| {
            vec![Value::decimal(index as f64 * self.interval, 3), what.as_str().into(), Value::figure(*rate)]
        };
        Mark {
            tags: Tags {
                competitor: self.of.model.to_string(),
                condition: Vec::new(),
                metric: None,
                series: Some(what.clone()),
            },
            says: format!("{}: {what}", self.of.model),
            rows: rates.iter().enumerate().map(row).collect(),
            shapes,
        }
    }
}

/// The names of events would run into each other on one line.
fn is_crowded(of: &Timeline, end: f64) -> bool {
    of.events.windows(2).any(|pair| pair[1].1 - pair[0].1 < CLOSE * end)
}

/// Pale for backends that no fault befalls, dark for the others.
fn colors(backends: &Backends) -> impl Iterator<Item = RGBColor> {
    let dark = backends.names.len() - backends.untouched;
    PALE.into_iter().cycle().take(backends.untouched).chain(DARK.into_iter().cycle().take(dark))
}

/// A file's name, whatever the model is called.
fn id(model: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    format!("{TIMELINE}{}", model.chars().map(safe).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::invalid;
    use crate::record::{Stored, Trial};
    use crate::trial::faults::fixtures::{self, observed, trial};

    fn stored(trials: Vec<Trial>) -> Stored {
        fixtures::stored("kill-backend@1s,restore@2s", trials)
    }

    #[test]
    fn each_model_with_a_valid_trial_has_a_timeline_of_its_own() {
        let invalid = trial("threads", 0, invalid("x"));
        let stored = stored(vec![invalid, observed("mio", 0), observed("mio", 1)]);
        let figures = figures(FaultRun::of(&stored).unwrap(), Medium::File);
        assert_eq!(figures.iter().map(Figure::id).collect::<Vec<_>>(), ["timeline-mio"]);
        let (content, data) = (&figures[0].frame.content, figures[0].data());
        assert_eq!((content.legend.len(), content.x.to), (4, 3.0));
        // Two backends, late answers and errors, in each of thirty intervals.
        assert_eq!(data.rows.len(), 4 * 30);
        let row = |index: usize| data.plain_row(index)[1..].to_vec();
        assert_eq!(row(5), ["0.500", "good answers of b1", "50.00"]);
        assert_eq!(row(3 * 30 + 10), ["1.000", "errors", "10.00"]);
        let svg = figures[0].svg().unwrap();
        for series in ["good_answers_of_b1", "good_answers_of_b2", "events", "late_answers", "errors"] {
            assert_eq!(svg.matches(&format!("id=\"timeline-mio-mark-mio-{series}\"")).count(), 1, "{series}");
        }
    }

    #[test]
    fn a_models_name_cannot_leave_the_folder() {
        assert_eq!(id("../a b"), "timeline-___a_b");
    }
}
