//! The report.
pub mod charts;
pub mod summary;
mod words;
#[cfg(test)]
pub(crate) mod synthetic;

#[cfg(test)]
mod eyes {
    use super::*;
    #[test]
    #[ignore]
    fn look() {
        let run = synthetic::Run::new().blocks(5).invalid("mio", 2, 5, 0).build();
        let summary = summary::Summary::of(&run);
        for chart in charts::draw(&summary, &run.environment.plan).unwrap() {
            std::fs::write(format!("/tmp/eyes-{}.svg", chart.slug), chart.svg).unwrap();
            std::fs::write(format!("/tmp/eyes-{}.png", chart.slug), chart.png).unwrap();
        }
    }
}
