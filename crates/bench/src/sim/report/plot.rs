//! Lines in SVG.

use std::path::Path;

use plotters::prelude::*;

/// A line with its name.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// A plot of several lines; both axes begin at the least value, the horizontal one is logarithmic.
pub(crate) struct Plot<'a> {
    pub(crate) title: &'a str,
    pub(crate) x: &'a str,
    pub(crate) y: &'a str,
    pub(crate) lines: Vec<Line>,
}

impl Plot<'_> {
    /// Writes it; an existing file is replaced.
    pub(crate) fn draw(&self, path: &Path) -> anyhow::Result<()> {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let least = points().map(|point| point.0).fold(f64::INFINITY, f64::min).max(0.1);
        let most = points().map(|point| point.0).fold(least * 1.01, f64::max);
        let top = points().map(|point| point.1).fold(1.0, f64::max);
        let root = SVGBackend::new(path, (760, 420)).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .caption(self.title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(52)
            .build_cartesian_2d((least..most).log_scale(), 0.0..top * 1.05)?;
        let number = |value: &f64| if *value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") };
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .x_desc(self.x)
            .y_desc(self.y)
            .x_label_formatter(&number)
            .y_label_formatter(&number)
            .draw()?;
        for (at, line) in self.lines.iter().enumerate() {
            let colour = Palette99::pick(at).stroke_width(2);
            let series = LineSeries::new(line.points.iter().map(|&(x, y)| (x.max(least), y)), colour);
            chart
                .draw_series(series)?
                .label(&line.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .draw()?;
        root.present()?;
        Ok(())
    }
}
