//! The charts: which there are, and how each becomes an SVG and a PNG.
//!
//! One file a figure; each prepares its data once and draws them on either backend. `palette` owns colours and
//! markers, `frame` distances and type.

mod axis;
mod bitmap;
mod cpu;
mod frame;
mod latency;
mod palette;
mod ratio;
mod text;
mod throughput;
mod timeline;

use plotters::backend::{DrawingBackend, SVGBackend};
use plotters::drawing::IntoDrawingArea;
use rayon::prelude::*;
use thiserror::Error;

use self::frame::{Area, Drawn, Frame};
use self::palette::Look;
use crate::analysis::Analysis;
use crate::analysis::metric::Metric;
use crate::analysis::summary::Summary;
use crate::analysis::verdicts::Verdicts;
use crate::plan::{DIRECT, Family, Plan};
use crate::record::Stored;
use crate::trial::faults::data::StoredFaults;

/// A chart that could not be drawn: a fault of roundtable.
#[derive(Debug, Error)]
#[error("the chart {figure} could not be drawn ({reason}); please report this with the run's folder")]
pub struct FigureError {
    figure: String,
    reason: String,
}

/// Every figure that a run has data for, in the order of the report, ready to be drawn.
pub fn of_run(stored: &Stored, analysis: &Analysis) -> Vec<Figure> {
    let Analysis { summary, verdicts, .. } = analysis;
    let kinds = if summary.load().is_closed() { CLOSED } else { OPEN };
    let of = |&kind: &Kind| Figure::of(kind, summary, &stored.environment.plan, verdicts);
    kinds.par_iter().filter_map(of).collect()
}

/// The timeline of each model in a fault run that has a valid trial, ready to be drawn.
pub fn of_faults(stored: &StoredFaults) -> Vec<Figure> {
    timeline::Timeline::of(stored).into_iter().map(|figure| Figure(Drawing::Timeline(figure))).collect()
}

/// The ids of all figures of a run that there can be.
pub fn ids() -> impl Iterator<Item = &'static str> {
    SLUGS.into_iter()
}

/// What the names of timelines begin with.
pub const TIMELINE: &str = "timeline-";

/// The names of all charts of a matrix that there can be.
const SLUGS: [&str; 7] =
    ["throughput", "throughput-ratio", "cpu", "cpu-ratio", "latency", "p50-ratio", "p99-ratio"];

/// Backend counts that a chart with a panel for each shows at most.
const PANELS: usize = 12;

#[derive(Debug, Clone, Copy)]
enum Kind {
    Throughput,
    Ratio(Metric),
    Cpu,
    Latency,
}

/// The charts of a closed loop.
const CLOSED: [Kind; 5] = [
    Kind::Throughput,
    Kind::Ratio(Metric::Throughput),
    Kind::Cpu,
    Kind::Ratio(Metric::BalancerCpu),
    Kind::Latency,
];

/// The charts of an open loop, whose throughput is its rate.
const OPEN: [Kind; 5] = [
    Kind::Latency,
    Kind::Ratio(Metric::P50),
    Kind::Ratio(Metric::P99),
    Kind::Cpu,
    Kind::Ratio(Metric::BalancerCpu),
];

/// One chart, with its data.
#[derive(Debug)]
pub struct Figure(Drawing);

#[derive(Debug)]
enum Drawing {
    Throughput(throughput::Throughput),
    Ratio(ratio::Ratio, Metric),
    Cpu(cpu::Cpu),
    Latency(latency::Latency),
    Timeline(timeline::Timeline),
}

impl Figure {
    /// `None` where no valid trial has what the chart shows.
    fn of(kind: Kind, summary: &Summary, plan: &Plan, verdicts: &Verdicts) -> Option<Self> {
        Some(Figure(match kind {
            Kind::Throughput => Drawing::Throughput(throughput::Throughput::of(summary, plan)?),
            Kind::Ratio(metric) => {
                Drawing::Ratio(ratio::Ratio::of(summary, plan, verdicts.on(metric)?)?, metric)
            }
            Kind::Cpu => Drawing::Cpu(cpu::Cpu::of(summary, plan)?),
            Kind::Latency => Drawing::Latency(latency::Latency::of(summary, plan)?),
        }))
    }

    /// Its file name, without the extension.
    pub fn id(&self) -> &str {
        match &self.0 {
            Drawing::Throughput(_) => "throughput",
            Drawing::Ratio(_, Metric::Throughput) => "throughput-ratio",
            Drawing::Ratio(_, Metric::P50) => "p50-ratio",
            Drawing::Ratio(_, Metric::P99) => "p99-ratio",
            Drawing::Ratio(_, Metric::BalancerCpu | Metric::AllCpu) => "cpu-ratio",
            Drawing::Cpu(_) => "cpu",
            Drawing::Latency(_) => "latency",
            Drawing::Timeline(figure) => figure.id(),
        }
    }

    /// What it shows.
    pub fn title(&self) -> &str {
        &self.frame().content.title
    }

    /// How to read it.
    pub fn caption(&self) -> &str {
        &self.frame().content.subtitle
    }

    /// Width and height, pixels.
    pub fn size(&self) -> (u32, u32) {
        self.frame().size()
    }

    /// The drawing as an SVG file.
    pub fn svg(&self) -> Result<String, FigureError> {
        let mut svg = String::new();
        let area = SVGBackend::with_string(&mut svg, self.size()).into_drawing_area();
        self.draw_on(&area).map_err(|error| self.error(&error))?;
        drop(area);
        Ok(svg)
    }

    /// The drawing as a PNG file.
    pub fn png(&self) -> Result<Vec<u8>, FigureError> {
        let mut canvas = bitmap::Canvas::new(self.size());
        let area = canvas.backend().into_drawing_area();
        self.draw_on(&area).map_err(|error| self.error(&error))?;
        drop(area);
        canvas.png().map_err(|error| self.error(&error))
    }

    fn frame(&self) -> &Frame {
        match &self.0 {
            Drawing::Throughput(figure) => figure.frame(),
            Drawing::Ratio(figure, _) => figure.frame(),
            Drawing::Cpu(figure) => figure.frame(),
            Drawing::Latency(figure) => figure.frame(),
            Drawing::Timeline(figure) => figure.frame(),
        }
    }

    fn draw_on<DB: DrawingBackend>(&self, area: &Area<DB>) -> Drawn<DB> {
        match &self.0 {
            Drawing::Throughput(figure) => figure.draw(area)?,
            Drawing::Ratio(figure, _) => figure.draw(area)?,
            Drawing::Cpu(figure) => figure.draw(area)?,
            Drawing::Latency(figure) => figure.draw(area)?,
            Drawing::Timeline(figure) => figure.draw(area)?,
        }
        area.present()
    }

    fn error(&self, error: &dyn std::error::Error) -> FigureError {
        FigureError { figure: self.id().to_owned(), reason: error.to_string() }
    }
}

/// At most `limit` of `all`, spread evenly, the first and the last among them: a plan may be larger than a picture.
fn some_of(all: &[u32], limit: usize) -> Vec<u32> {
    if all.len() <= limit {
        return all.to_vec();
    }
    (0..limit).map(|i| all[i * (all.len() - 1) / (limit - 1)]).collect()
}

/// A remark on what [`some_of`] left out.
fn left_out(summary: &Summary, backends: &[u32], concurrency: &[u32]) -> &'static str {
    let all = summary.backends.len() == backends.len() && summary.concurrency.len() == concurrency.len();
    if all { "" } else { " Not every cell is drawn: the tables have all." }
}

/// Panels side by side.
fn columns(panels: usize) -> usize {
    match panels {
        0..=6 => panels.max(1),
        // In rows as even as can be.
        more => more.div_ceil(more.div_ceil(6)),
    }
}

fn backends_heading(backends: u32) -> String {
    format!("{backends} backend{}", if backends == 1 { "" } else { "s" })
}

fn legend(summary: &Summary, looks: &[(&str, Look)]) -> Vec<(String, Look)> {
    let name = |model: &str| match summary.family(model) {
        _ if model == DIRECT => format!("{model} (no balancer)"),
        Family::Threaded => format!("{model} (threaded)"),
        Family::Async => format!("{model} (async)"),
        Family::None => model.to_owned(),
    };
    looks.iter().map(|&(model, look)| (name(model), look)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::synthetic::Run;

    #[test]
    fn a_large_plan_is_thinned_out_and_says_so() {
        let many: Vec<u32> = (1..=100).collect();
        assert_eq!(some_of(&many, 6), [1, 20, 40, 60, 80, 100]);
        let mut run = Run::new().models(&["mio", "tokio"]).concurrency(&[2]).blocks(1).build();
        run.environment.plan.backends = many.clone();
        run.environment.plan.concurrency = many;
        for figure in of_run(&run, &Analysis::of(&run)) {
            assert!(figure.size().1 < 8_000, "{}: {:?}", figure.id(), figure.size());
            assert!(figure.caption().contains("Not every cell is drawn"), "{}", figure.id());
        }
    }
}
