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
use crate::plan::{Competitor, Family, Plan};
use crate::record::faults::StoredFaults;
use crate::report::metric::Metric;
use crate::report::summary::Summary;
use crate::report::verdicts::Verdicts;

/// A chart that could not be drawn: a fault of roundtable.
#[derive(Debug, Error)]
#[error("the chart {figure} could not be drawn ({reason}); please report this with the run's folder")]
pub struct ChartError {
    figure: String,
    reason: String,
}

/// Every chart that `summary` has data for, in the order of the report, ready to be drawn.
pub fn prepare(summary: &Summary, plan: &Plan, verdicts: &Verdicts) -> Vec<Chart> {
    let kinds = if plan.base.rate.is_none() { CLOSED } else { OPEN };
    kinds.par_iter().filter_map(|&kind| Chart::of(kind, summary, plan, verdicts)).collect()
}

/// The timeline of each model in a fault run that has a valid trial, ready to be drawn.
pub fn timelines(stored: &StoredFaults) -> Vec<Chart> {
    timeline::Timeline::of(stored).into_iter().map(|figure| Chart(Figure::Timeline(figure))).collect()
}

/// What the names of timelines begin with.
pub const TIMELINE: &str = "timeline-";

/// The names of all charts of a matrix that there can be.
pub const SLUGS: [&str; 7] =
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
pub struct Chart(Figure);

#[derive(Debug)]
enum Figure {
    Throughput(throughput::Throughput),
    Ratio(ratio::Ratio, Metric),
    Cpu(cpu::Cpu),
    Latency(latency::Latency),
    Timeline(timeline::Timeline),
}

impl Chart {
    /// `None` where no valid trial has what the chart shows.
    fn of(kind: Kind, summary: &Summary, plan: &Plan, verdicts: &Verdicts) -> Option<Self> {
        Some(Chart(match kind {
            Kind::Throughput => Figure::Throughput(throughput::Throughput::of(summary, plan)?),
            Kind::Ratio(metric) => {
                Figure::Ratio(ratio::Ratio::of(summary, plan, verdicts.on(metric)?)?, metric)
            }
            Kind::Cpu => Figure::Cpu(cpu::Cpu::of(summary, plan)?),
            Kind::Latency => Figure::Latency(latency::Latency::of(summary, plan)?),
        }))
    }

    /// Its file name, without the extension.
    pub fn slug(&self) -> &str {
        match &self.0 {
            Figure::Throughput(_) => "throughput",
            Figure::Ratio(_, Metric::Throughput) => "throughput-ratio",
            Figure::Ratio(_, Metric::P50) => "p50-ratio",
            Figure::Ratio(_, Metric::P99) => "p99-ratio",
            Figure::Ratio(_, Metric::BalancerCpu | Metric::AllCpu) => "cpu-ratio",
            Figure::Cpu(_) => "cpu",
            Figure::Latency(_) => "latency",
            Figure::Timeline(figure) => figure.slug(),
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
    pub fn svg(&self) -> Result<String, ChartError> {
        let mut svg = String::new();
        let area = SVGBackend::with_string(&mut svg, self.size()).into_drawing_area();
        self.draw_on(&area).map_err(|error| self.error(&error))?;
        drop(area);
        Ok(svg)
    }

    /// The drawing as a PNG file.
    pub fn png(&self) -> Result<Vec<u8>, ChartError> {
        let mut canvas = bitmap::Canvas::new(self.size());
        let area = canvas.backend().into_drawing_area();
        self.draw_on(&area).map_err(|error| self.error(&error))?;
        drop(area);
        canvas.png().map_err(|error| self.error(&error))
    }

    fn frame(&self) -> &Frame {
        match &self.0 {
            Figure::Throughput(figure) => figure.frame(),
            Figure::Ratio(figure, _) => figure.frame(),
            Figure::Cpu(figure) => figure.frame(),
            Figure::Latency(figure) => figure.frame(),
            Figure::Timeline(figure) => figure.frame(),
        }
    }

    fn draw_on<DB: DrawingBackend>(&self, area: &Area<DB>) -> Drawn<DB> {
        match &self.0 {
            Figure::Throughput(figure) => figure.draw(area)?,
            Figure::Ratio(figure, _) => figure.draw(area)?,
            Figure::Cpu(figure) => figure.draw(area)?,
            Figure::Latency(figure) => figure.draw(area)?,
            Figure::Timeline(figure) => figure.draw(area)?,
        }
        area.present()
    }

    fn error(&self, error: &dyn std::error::Error) -> ChartError {
        ChartError { figure: self.slug().to_owned(), reason: error.to_string() }
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

fn legend(summary: &Summary, looks: &[(&Competitor, Look)]) -> Vec<(String, Look)> {
    let name = |model: &Competitor| match summary.family(model) {
        _ if model.is_direct() => format!("{model} (no balancer)"),
        Family::Threaded => format!("{model} (threaded)"),
        Family::Async => format!("{model} (async)"),
        Family::None => model.to_string(),
    };
    looks.iter().map(|&(model, look)| (name(model), look)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use crate::plan::factor;
    use crate::report::synthetic::Run;

    #[test]
    fn a_large_plan_is_thinned_out_and_says_so() {
        let many: Vec<u32> = (1..=100).collect();
        assert_eq!(some_of(&many, 6), [1, 20, 40, 60, 80, 100]);
        let mut run = Run::new().models(&["mio", "tokio"]).concurrency(&[2]).blocks(1).build();
        let plan = fixtures::over(run.environment.plan, &factor::BACKENDS, &many[..64]);
        run.environment.plan = fixtures::over(plan, &factor::CONCURRENCY, &many);
        let summary = Summary::of(&run);
        let verdicts = Verdicts::of(&summary, &crate::report::bottleneck::Bottlenecks::of(&summary));
        for chart in prepare(&summary, &run.environment.plan, &verdicts) {
            assert!(chart.size().1 < 8_000, "{}: {:?}", chart.slug(), chart.size());
            assert!(chart.caption().contains("Not every cell is drawn"), "{}", chart.slug());
        }
    }
}
