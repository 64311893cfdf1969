//! Figure: the balancer's CPU time a request, user and system stacked, a bar a model.

use plotters::backend::DrawingBackend;
use plotters::style::Color;

use super::axis::Axis;
use super::frame::{Area, Content, Drawn, Frame, bar, mark, whisker};
use super::palette::{self, Look};
use super::{PANELS, backends_heading, columns, left_out, legend, some_of};
use crate::plan::{Competitor, Plan};
use crate::report::summary::{Measured, Summary};
use crate::report::words;
use crate::statistics::Spread;

/// How much of a model's colour its user time has.
const USER_TINT: f64 = 0.38;
/// Share of a group's width that its bars fill.
const FILLED: f64 = 0.84;

/// One bar.
#[derive(Debug, Clone, Copy)]
struct Stack {
    look: Look,
    user: f64,
    system: f64,
    total: Spread,
}

/// The figure's data.
#[derive(Debug)]
pub(super) struct Cpu {
    frame: Frame,
    models: usize,
    /// For each panel, for each concurrency, for each model: its bar.
    panels: Vec<Vec<Vec<Option<Stack>>>>,
}

impl Cpu {
    pub(super) fn of(summary: &Summary, plan: &Plan) -> Option<Self> {
        let backends = some_of(&summary.backends, PANELS);
        let looks: Vec<_> =
            palette::looks(summary).into_iter().filter(|(model, _)| !model.is_direct()).collect();
        let stack = |backends, concurrency, &(model, look): &(&Competitor, Look)| {
            let cell = summary.cell(model, backends, concurrency);
            Some(Stack {
                look,
                user: cell.spread(|m| m.user_us)?.median,
                system: cell.spread(|m| m.system_us)?.median,
                total: cell.spread(Measured::cpu_us)?,
            })
        };
        let panel = |&b: &u32| -> Vec<Vec<_>> {
            let group = |&c: &u32| looks.iter().map(|look| stack(b, c, look)).collect();
            summary.concurrency.iter().map(group).collect()
        };
        let panels: Vec<_> = backends.iter().map(panel).collect();
        let highest = panels
            .iter()
            .flatten()
            .flatten()
            .flatten()
            .map(|stack| stack.total.max.max(stack.user + stack.system))
            .reduce(f64::max)?;
        let content = Content {
            title: words::titled("CPU time of the balancer per request", plan),
            subtitle: format!(
                "Pale: user mode; full colour: kernel; each a median over {}. Whiskers: smallest to largest sum in a \
                 block. The time of client and backends is not in it. {}",
                words::blocks(summary),
                words::load(plan)
                    + words::empty_cells(summary)
                    + left_out(summary, &backends, &summary.concurrency)
            ),
            legend: legend(summary, &looks),
            y_title: "CPU time per request (µs, user + system)".into(),
            x_title: format!("concurrency ({})", words::concurrency(plan)),
            x: Axis::of_groups(&summary.concurrency),
            y: Axis::from_zero(highest),
            panels: backends.iter().map(|&b| backends_heading(b)).collect(),
            columns: columns(backends.len()),
            panel_height: 420,
            feet: 24,
        };
        Some(Cpu { frame: Frame::lay_out(content), models: looks.len(), panels })
    }

    pub(super) fn frame(&self) -> &Frame {
        &self.frame
    }

    pub(super) fn draw<DB: DrawingBackend>(&self, area: &Area<DB>) -> Drawn<DB> {
        self.frame.draw(area)?;
        for (index, groups) in self.panels.iter().enumerate() {
            let panel = self.frame.panel(index);
            for (group, stacks) in groups.iter().enumerate() {
                for (place, stack) in stacks.iter().enumerate() {
                    let Some(stack) = stack else { continue };
                    let width = FILLED / self.models as f64;
                    let left = group as f64 - FILLED / 2.0 + place as f64 * width;
                    let (l, base) = panel.at(left, 0.0);
                    let (r, between) = panel.at(left + width, stack.user);
                    // A gap of paper between neighbours; a bar however thin is still drawn.
                    let (r, middle) = ((r - 3).max(l + 2), (l + r - 3) / 2);
                    let (_, top) = panel.at(left, stack.user + stack.system);
                    bar(area, [(l, between), (r, base)], lightened(stack.look))?;
                    bar(area, [(l, top), (r, between)], stack.look.color.to_rgba())?;
                    let (low, high) = (panel.at(0.0, stack.total.min).1, panel.at(0.0, stack.total.max).1);
                    whisker(area, middle, (low, high), palette::INK)?;
                    mark(area, stack.look, (middle, base + 16), 7.min((r - l) / 2).max(3))?;
                }
            }
        }
        Ok(())
    }
}

fn lightened(look: Look) -> plotters::style::RGBAColor {
    look.color.mix(USER_TINT)
}
