//! The figures as bars, in an SVG: its text is text, so no font is needed to draw it.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::metric::Metric;
use crate::report::Report;
use crate::subject::PYTHON;

const PANELS: [(&str, Metric); 4] = [
    ("Init, ms", Metric::InitMs),
    ("First call over TLS, ms", Metric::FirstCallMs),
    ("Warm call, median, µs", Metric::WarmP50Us),
    ("Memory, MB", Metric::RssMb),
];

const WIDTH: u32 = 960;
const ROW: u32 = 26;
const HEAD: u32 = 44;
/// Width of the program names, left of the bars.
const NAMES: i32 = 132;
/// Room for the figure, right of the longest bar.
const FIGURES: i32 = 64;

const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
const FUNCTION: RGBColor = RGBColor(0x2b, 0x6c, 0xb0);
const FLOOR: RGBColor = RGBColor(0x9a, 0xa5, 0xb1);

/// Draws the figures of a run.
pub fn write(report: &Report, path: &Path) -> Result<()> {
    let mut svg = String::new();
    draw(report, &mut svg).map_err(|error| anyhow!("failed to draw the figures: {error}"))?;
    std::fs::write(path, svg).with_context(|| format!("failed to write {}", path.display()))
}

fn draw(report: &Report, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let rows = u32::try_from(report.programs.len())?;
    let panel = HEAD + rows * ROW + ROW / 2;
    let area = SVGBackend::with_string(svg, (WIDTH, panel * 2)).into_drawing_area();
    area.fill(&WHITE)?;
    for (part, (title, metric)) in area.split_evenly((2, 2)).into_iter().zip(PANELS) {
        let style = |size: i32, horizontal: HPos| {
            ("sans-serif", size).into_font().color(&INK).pos(Pos::new(horizontal, VPos::Center))
        };
        part.draw(&Text::new(title, (NAMES, 24), style(16, HPos::Left)))?;
        let median = |place: usize| report.programs[place].metrics.get(&metric).map(|summary| summary.median);
        // Python's bar would leave a pixel to the others; it is cut off where the longest of them ends.
        let compared = (0..report.programs.len()).filter(|place| report.programs[*place].name != PYTHON);
        let longest = compared.filter_map(median).fold(f64::MIN_POSITIVE, f64::max);
        let (width, _) = part.dim_in_pixel();
        let room = f64::from(i32::try_from(width)? - NAMES - FIGURES);
        for (place, program) in report.programs.iter().enumerate() {
            let top = i32::try_from(HEAD + u32::try_from(place)? * ROW)?;
            let middle = top + 9;
            part.draw(&Text::new(program.name.clone(), (NAMES - 8, middle), style(13, HPos::Right)))?;
            let Some(value) = median(place) else {
                part.draw(&Text::new("not measured", (NAMES + 4, middle), style(13, HPos::Left)))?;
                continue;
            };
            let end = NAMES + ((value / longest).min(1.0) * room) as i32;
            let figure = if value > longest { format!("… {}", metric.format(value)) } else { metric.format(value) };
            let colour = if place == 0 { FLOOR } else { FUNCTION };
            part.draw(&Rectangle::new([(NAMES, top), (end, top + 18)], colour.filled()))?;
            part.draw(&Text::new(figure, (end + 6, middle), style(13, HPos::Left)))?;
        }
    }
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Samples;
    use crate::report::{Machine, Measured};

    #[test]
    fn draws_a_bar_for_each_program_in_each_panel() {
        let program = |name: &str, init: f64| {
            let mut samples = Samples::default();
            samples.add(Metric::InitMs, init);
            Measured { name: name.to_owned(), metrics: samples.summaries() }
        };
        let report = Report {
            machine: Machine::read(None),
            rounds: 1,
            programs: vec![program("floor", 1.0), program("get-product", 2.5), program(PYTHON, 300.0)],
            not_measured: vec![],
            budgets: None,
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("figures.svg");
        write(&report, &path).unwrap();
        let svg = std::fs::read_to_string(path).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert_eq!(svg.matches("get-product").count(), 4);
        assert!(svg.contains("2.50") && svg.contains("Warm call, median, µs"), "{svg}");
        assert!(svg.contains("… 300.00"), "{svg}");
        assert_eq!(svg.matches("not measured").count(), 9);
    }
}
