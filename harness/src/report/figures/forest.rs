//! Figure: a row for each condition, with the ratio of async to threaded models in the metrics that the run was made for; where
//! a run has one family alone, of each model to the reference; of two runs, a row for each model.
//!
//! A mark is hollow, with an arrow, where the ratio is a bound; an interval that leaves the frame ends in an arrow. The grey
//! band is as wide as a model differed from itself.

use super::axis::Axis;
use super::frame::{Content, Entry, Frame, Medium, Panel};
use super::palette::{self, COOL, FAINT_INK, INK, Look, Marker, WARM};
use super::shape::{Group, Mark, Shape, Tags};
use super::{FOREST, Figure, Of, short, some_of, tagged};
use crate::analysis::Analysis;
use crate::analysis::difference::{Change, Difference};
use crate::analysis::families::FamiliesCell;
use crate::analysis::grid::Grid;
use crate::analysis::metric::Metric;
use crate::analysis::ratio::{Bound, Conclusion, Ratio};
use crate::analysis::verdicts::{Comparison, OfMetric};
use crate::plan::{Competitor, Condition};
use crate::report::prose;
use crate::report::section::Column;
use crate::report::value::{Value, noise_floor};

/// Height of a row, pixels.
const ROW: i32 = 36;
/// Rows that are drawn at most: a plan may be larger than a picture.
const MOST_ROWS: usize = 60;
/// The frame reaches by this factor beyond the ratios that are furthest out.
const BEYOND: f64 = 1.25;
/// How far the arrow of a bound reaches, pixels.
const BEYOND_A_BOUND: i32 = 60;
/// Half the height of an arrow's head, pixels.
const HEAD: i32 = 7;

/// Length of a dash, and of what is left free after it, pixels.
const DASH: i32 = 8;

/// What is tagged where families are compared.
const FAMILIES: &str = "async / threaded";

/// One line of the figure: a pair of rows of the run under one condition, or a row of two runs.
#[derive(Clone)]
struct Line<'a> {
    label: String,
    competitor: String,
    /// `None`: over all conditions.
    condition: Option<&'a Condition>,
    /// Of each metric.
    ratios: Vec<Option<Ratio>>,
}

/// What is drawn.
struct Drawing<'a> {
    title: String,
    /// What a mark's place is.
    place: &'static str,
    /// What stands under the title after how a mark is read.
    remark: String,
    sentence: Option<String>,
    grid: &'a Grid,
    metrics: Vec<Metric>,
    /// How far a model differs from itself in each metric, a log-ratio.
    floors: Vec<Option<f64>>,
    /// Where a change for the worse becomes a regression, a log-ratio.
    margin: Option<f64>,
    lines: Vec<Line<'a>>,
    medium: Medium,
}

/// Threaded against async, or each model against the reference.
pub(super) fn figure(of: &Of<'_>) -> Option<Figure> {
    let metrics = cpu_first(of.analysis.summary.load().main_metrics());
    let (title, lines) = compared(of.analysis, &metrics)?;
    draw(of_run(of, title, metrics, lines, None))
}

/// A model against itself.
pub(super) fn same_again(of: &Of<'_>) -> Option<Figure> {
    let metrics = cpu_first(of.analysis.summary.load().main_metrics());
    let on = of_metrics(of.analysis, &metrics)?;
    let all: Vec<&[Comparison]> = on.iter().map(|of| of.aa_pairs.as_slice()).collect();
    let lines = of_pairs(&of.analysis.summary.grid, &all);
    let title = "The same model measured twice (A/A)".to_owned();
    draw(of_run(of, title, metrics, lines, prose::findings::same_again(of.analysis)))
}

/// What decides between two runs: each model over all conditions, NEW over BASE.
pub(super) fn change(difference: &Difference, medium: Medium) -> Option<Figure> {
    let deciding = || difference.changes.iter().filter(|change| change.decides);
    let mut metrics: Vec<Metric> = deciding().map(|change| change.metric).collect();
    metrics.dedup();
    let metrics = cpu_first(&metrics);
    let mut models: Vec<&Competitor> = deciding().map(|change| &change.model).collect();
    models.sort_unstable();
    models.dedup();
    let line = |model: &Competitor| {
        let of = |&metric: &Metric| {
            let is_it = |change: &&Change| (change.metric, &change.model) == (metric, model);
            deciding().find(is_it).map(|change| change.ratio)
        };
        Line {
            label: prose::row(model),
            competitor: model.to_string(),
            condition: None,
            ratios: metrics.iter().map(of).collect(),
        }
    };
    let floor = |metric: &Metric| difference.floors.iter().find(|floor| floor.metric == *metric)?.all;
    let margin = difference.margin_percent;
    let figure = draw(Drawing {
        title: format!("{} over {}, all conditions", difference.new, difference.base),
        place: "ratio of geometric means over blocks",
        remark: format!("Dashed: a change of {margin} % for the worse."),
        sentence: None,
        grid: &difference.grid,
        floors: metrics.iter().map(floor).collect(),
        margin: Some((f64::from(margin) / 100.0).ln_1p()),
        lines: models.into_iter().map(line).collect(),
        metrics,
        medium,
    })?;
    Some(Figure { id: FOREST.into(), ..figure })
}

fn of_run<'a>(
    of: &Of<'a>,
    title: String,
    metrics: Vec<Metric>,
    lines: Vec<Line<'a>>,
    sentence: Option<String>,
) -> Drawing<'a> {
    let Of { analysis, medium, plan, .. } = *of;
    let floors = metrics.iter().map(|&metric| analysis.verdicts.on(metric).and_then(|of| of.floor));
    Drawing {
        title: prose::load::titled(&title, analysis.summary.load()),
        place: "geometric mean of the ratios within blocks",
        remark: prose::load::of_a_trial(plan),
        sentence,
        grid: &analysis.summary.grid,
        floors: floors.collect(),
        margin: None,
        metrics,
        lines,
        medium,
    }
}

fn draw(of: Drawing<'_>) -> Option<Figure> {
    let Drawing { title, place, remark, sentence, grid, metrics, floors, margin, lines: all, medium } = of;
    let lines = some_of(&all, MOST_ROWS);
    let left_out =
        if lines.len() == all.len() { "" } else { " Not every cell is drawn: the tables have all." };
    let lines = lines.as_slice();
    let ratios =
        || lines.iter().flat_map(|line| line.ratios.iter().flatten().map(|ratio| ratio.judged.ratio));
    // Where a regression begins is within the frame.
    let [low, high] = margin.map_or([0.9, 1.11], |margin| [0.9 * (-margin).exp(), 1.11 * margin.exp()]);
    let smallest = (ratios().reduce(f64::min)? / BEYOND).min(low);
    let largest = (ratios().reduce(f64::max)? * BEYOND).max(high);
    let rows = lines.len() as f64;
    let tick = |(index, line): (usize, &Line<'_>)| (rows - 1.0 - index as f64, line.label.clone());
    let frame = Frame::lay_out(
        Content {
            title,
            subtitle: subtitle(place, &metrics, &floors) + &remark + left_out,
            legend: legend(lines),
            y_title: String::new(),
            x_title: "ratio (log scale): 1 is no difference".into(),
            x: Axis::logarithmic(smallest, largest),
            y: Axis { from: -0.6, to: rows - 0.4, ticks: lines.iter().enumerate().map(tick).collect() },
            panels: metrics.iter().map(|&metric| panel_heading(metric)).collect(),
            columns: metrics.len(),
            page_width: 520,
            panel_height: ROW * lines.len() as i32,
            feet: 0,
        },
        medium,
    );
    let (mut under, mut marks) = (Vec::new(), Vec::new());
    for (index, &metric) in metrics.iter().enumerate() {
        let panel = frame.panel(index);
        let worse = margin.map(|margin| if metric.less_is_better() { margin } else { -margin });
        under.push(background(panel, floors[index], worse));
        for (row, line) in lines.iter().enumerate() {
            let Some(ratio) = line.ratios[index] else { continue };
            let y = panel.at(0.0, rows - 1.0 - row as f64).1;
            marks.push(mark(grid, line, metric, &ratio, (panel, y)));
        }
    }
    let columns = vec![
        Column::words("metric"),
        Column::numbers("ratio"),
        Column::numbers("low end of the interval"),
        Column::numbers("high end"),
        Column::words("verdict"),
    ];
    let figure = Figure { sentence, under, ..Figure::of(grid, frame, columns, marks) };
    // Nothing but the row tells marks over all conditions apart.
    let is_whole = lines.iter().all(|line| line.condition.is_none());
    Some(if is_whole { Figure { factors: Vec::new(), ..figure } } else { figure })
}

/// CPU first: it is the robust one.
fn cpu_first(metrics: &[Metric]) -> Vec<Metric> {
    let mut metrics = metrics.to_vec();
    metrics.sort_by_key(|metric| !metric.is_cpu());
    metrics
}

fn of_metrics<'a>(analysis: &'a Analysis, metrics: &[Metric]) -> Option<Vec<&'a OfMetric>> {
    metrics.iter().map(|&metric| analysis.verdicts.on(metric)).collect()
}

fn compared<'a>(analysis: &'a Analysis, metrics: &[Metric]) -> Option<(String, Vec<Line<'a>>)> {
    let grid = &analysis.summary.grid;
    if let Ok(families) = &analysis.families {
        let line = |cell: &'a FamiliesCell| Line {
            label: short(grid, &cell.condition),
            competitor: FAMILIES.into(),
            condition: Some(&cell.condition),
            ratios: metrics.iter().map(|metric| cell.ratios.get(metric).copied()).collect(),
        };
        return Some(("Async over threaded".into(), families.cells.iter().map(line).collect()));
    }
    let reference = analysis.summary.reference()?;
    let on = of_metrics(analysis, metrics)?;
    let all: Vec<&[Comparison]> = on.iter().map(|of| of.models.as_slice()).collect();
    Some((format!("Each model over {reference}"), of_pairs(grid, &all)))
}

/// A line for each comparison, which every metric has in the same order.
fn of_pairs<'a>(grid: &Grid, metrics: &[&'a [Comparison]]) -> Vec<Line<'a>> {
    let line = |(index, comparison): (usize, &'a Comparison)| Line {
        label: format!("{}, {}", prose::row(&comparison.row), short(grid, &comparison.condition)),
        competitor: comparison.row.to_string(),
        condition: Some(&comparison.condition),
        ratios: metrics.iter().map(|of| of.get(index).and_then(|of| of.ratio)).collect(),
    };
    metrics.first().into_iter().flat_map(|of| of.iter().enumerate()).map(line).collect()
}

fn panel_heading(metric: Metric) -> String {
    match metric {
        Metric::Throughput => "Requests per second (right: faster)".into(),
        Metric::BalancerCpu | Metric::AllCpu => "CPU time per request (left: cheaper)".into(),
        Metric::P50 => "p50 response time (left: quicker)".into(),
        Metric::P99 => "p99 response time (left: quicker)".into(),
    }
}

fn subtitle(place: &str, metrics: &[Metric], floors: &[Option<f64>]) -> String {
    let floors = metrics.iter().zip(floors).filter_map(|(metric, floor)| {
        floor.map(|floor| format!("{} in {}", noise_floor(floor), metric.name()))
    });
    let floors: Vec<_> = floors.collect();
    let band = if floors.is_empty() {
        "There is no grey band: this run does not tell how far a model differs from itself.".to_owned()
    } else {
        format!("Grey band: how far a model differed from itself, {}.", floors.join(" and "))
    };
    format!(
        "Marks: {place}; whiskers: the interval that the verdict was made from; an arrow: \
         it goes on. {band} "
    )
}

/// How a ratio is drawn, and what the legend calls it.
fn look(ratio: &Ratio) -> (Look, &'static str) {
    let look = |color, marker| Look { color, marker };
    match ratio.conclusion() {
        _ if ratio.is_at_least() => (look(INK, Marker::Ring), "a bound: the difference is at least that"),
        Conclusion::Above => (look(WARM, Marker::TriangleUp), "more"),
        Conclusion::Below => (look(COOL, Marker::Circle), "less"),
        Conclusion::Equivalent => (look(FAINT_INK, Marker::Square), "equivalent"),
        Conclusion::Unsettled | Conclusion::TooFewBlocks => (look(FAINT_INK, Marker::Cross), "unsettled"),
        Conclusion::ClientBound => (look(FAINT_INK, Marker::Plus), "the client was the limit and hides it"),
    }
}

fn legend(lines: &[Line<'_>]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for ratio in lines.iter().flat_map(|line| line.ratios.iter().flatten()) {
        let (look, name) = look(ratio);
        if entries.iter().all(|entry| entry.name != name) {
            entries.push(Entry { name: name.into(), look, competitor: None });
        }
    }
    entries
}

/// The band of noise, the line at 1, and where a change for the worse becomes a regression.
fn background(panel: Panel, floor: Option<f64>, worse: Option<f64>) -> Group {
    let mut shapes = Vec::new();
    if let Some(floor) = floor {
        let at = |ln: f64| panel.at(ln, 0.0).0.clamp(panel.left, panel.right);
        let corners = [(at(-floor), panel.top), (at(floor), panel.bottom)];
        shapes.push(Shape::Bar { corners, color: palette::BAND.into() });
    }
    let (one, _) = panel.at(0.0, 0.0);
    shapes.push(Shape::line([(one, panel.top), (one, panel.bottom)], palette::INK, 3));
    if let Some(worse) = worse {
        let (x, _) = panel.at(worse, 0.0);
        let dashes = (panel.top..panel.bottom).step_by(DASH as usize * 2);
        shapes.extend(
            dashes.map(|y| Shape::line([(x, y), (x, (y + DASH).min(panel.bottom))], palette::FAINT_INK, 2)),
        );
    }
    Group { class: "reference", shapes, ..Group::default() }
}

fn mark(grid: &Grid, line: &Line<'_>, metric: Metric, ratio: &Ratio, (panel, y): (Panel, i32)) -> Mark {
    let (look, _) = look(ratio);
    let at = |ratio: f64| panel.at(ratio.ln(), 0.0).0;
    let x = at(ratio.judged.ratio);
    let mut shapes = Vec::new();
    if let Some(interval) = ratio.judged.interval {
        for (end, outward) in [(at(interval.low), -1), (at(interval.high), 1)] {
            let within = end.clamp(panel.left + 4, panel.right - 4);
            shapes.push(Shape::line([(x, y), (within, y)], look.color, 4));
            shapes.push(if within == end {
                Shape::line([(end, y - HEAD), (end, y + HEAD)], look.color, 4)
            } else {
                arrow_head((within, y), outward, look)
            });
        }
    }
    if ratio.is_at_least() {
        // It may be as far as that and further.
        let outward = if ratio.bound == Bound::AtLeast { 1 } else { -1 };
        let end = (x + outward * BEYOND_A_BOUND).clamp(panel.left + 4, panel.right - 4);
        shapes.push(Shape::line([(x, y), (end, y)], look.color, 4));
        shapes.push(arrow_head((end, y), outward, look));
    }
    shapes.push(Shape::Marker { look, at: (x, y), radius: 9 });
    let word = prose::verdict(metric, ratio);
    let interval = ratio.judged.interval;
    let place =
        line.condition.map_or("all conditions".to_owned(), |condition| prose::grid::named(grid, condition));
    Mark {
        tags: Tags {
            competitor: line.competitor.clone(),
            condition: line.condition.map_or_else(Vec::new, |condition| tagged(grid, condition)),
            metric: Some(metric),
            series: Some(metric.name().into()),
        },
        says: format!(
            "{}, {}: {} {}",
            line.competitor,
            place,
            metric.name(),
            Value::concluded(ratio, word.as_str()).plain()
        ),
        rows: vec![vec![
            metric.name().into(),
            Value::figure(ratio.judged.ratio),
            Value::or_nothing(interval, |interval| Value::figure(interval.low)),
            Value::or_nothing(interval, |interval| Value::figure(interval.high)),
            word.into(),
        ]],
        shapes,
    }
}

fn arrow_head((x, y): (i32, i32), outward: i32, look: Look) -> Shape {
    let back = x - outward * 10;
    Shape::line([(back, y - HEAD - 1), (x, y), (back, y + HEAD + 1)], look.color, 4)
}
