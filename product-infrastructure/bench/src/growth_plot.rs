//! What a call costs, by the size of the catalogue: lines over a logarithmic axis, in an SVG.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::growth::{Point, Series};

const WIDTH: i32 = 720;
const HEIGHT: i32 = 380;
const LEFT: i32 = 80;
const RIGHT: i32 = 210;
const TOP: i32 = 52;
const BOTTOM: i32 = 52;

const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);

type Line = (&'static str, RGBColor, fn(&Point) -> f64);

const LINES: [Line; 3] = [
    ("the function's CPU", RGBColor(0x2b, 0x6c, 0xb0), |point| point.cpu_us),
    ("without the engine", RGBColor(0x2f, 0x85, 0x5a), |point| point.own_us),
    ("the engine", RGBColor(0x9a, 0xa5, 0xb1), |point| point.engine_us),
];

/// Draws one call.
pub fn write(series: &Series, path: &Path) -> Result<()> {
    let mut svg = String::new();
    draw(series, &mut svg).map_err(|error| anyhow!("failed to draw {}: {error}", series.name))?;
    std::fs::write(path, svg).with_context(|| format!("failed to write {}", path.display()))
}

fn draw(series: &Series, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::with_string(svg, (u32::try_from(WIDTH)?, u32::try_from(HEIGHT)?)).into_drawing_area();
    area.fill(&WHITE)?;
    let style = |size: i32, horizontal: HPos| {
        ("sans-serif", size).into_font().color(&INK).pos(Pos::new(horizontal, VPos::Center))
    };
    let title = format!("{}: µs for a {}", series.name, series.per);
    area.draw(&Text::new(title, (LEFT, 24), style(16, HPos::Left)))?;

    let sizes = series.points.iter().map(|point| (point.size.max(1) as f64).log10());
    let (first, last) = sizes.fold((f64::MAX, f64::MIN), |(low, high), size| (low.min(size), high.max(size)));
    let highest = series.points.iter().flat_map(|point| LINES.map(|(_, _, figure)| figure(point))).fold(1.0, f64::max);
    let step = nice(highest / 4.0);
    let top = (highest / step).ceil() * step;
    let x = |size: usize| {
        let part = if last > first { ((size.max(1) as f64).log10() - first) / (last - first) } else { 0.5 };
        LEFT + (part * f64::from(WIDTH - LEFT - RIGHT)) as i32
    };
    let y = |value: f64| HEIGHT - BOTTOM - (value / top * f64::from(HEIGHT - TOP - BOTTOM)) as i32;

    for number in 0..=(top / step).round() as u32 {
        let value = f64::from(number) * step;
        area.draw(&PathElement::new(vec![(LEFT, y(value)), (WIDTH - RIGHT, y(value))], GRID))?;
        area.draw(&Text::new(format!("{value:.0}"), (LEFT - 8, y(value)), style(13, HPos::Right)))?;
    }
    for point in &series.points {
        let text = Text::new(thousands(point.size), (x(point.size), HEIGHT - BOTTOM + 16), style(13, HPos::Center));
        area.draw(&text)?;
    }
    let middle = (LEFT + WIDTH - RIGHT) / 2;
    area.draw(&Text::new(series.of, (middle, HEIGHT - 14), style(13, HPos::Center)))?;
    let lines = LINES.iter().filter(|(_, _, figure)| series.points.iter().any(|point| figure(point) > 0.0));
    for (place, (name, colour, figure)) in lines.enumerate() {
        let at = |point: &Point| (x(point.size), y(figure(point)));
        area.draw(&PathElement::new(series.points.iter().map(at).collect::<Vec<_>>(), colour.stroke_width(2)))?;
        for point in &series.points {
            area.draw(&Circle::new(at(point), 3, colour.filled()))?;
        }
        let line = TOP + i32::try_from(place)? * 22;
        let legend = WIDTH - RIGHT + 20;
        area.draw(&PathElement::new(vec![(legend, line), (legend + 22, line)], colour.stroke_width(2)))?;
        area.draw(&Text::new(*name, (legend + 30, line), style(13, HPos::Left)))?;
    }
    area.present()?;
    Ok(())
}

/// The next of 1, 2, 5, 10, …
fn nice(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(f64::MIN_POSITIVE).log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|factor| factor * power).find(|step| *step >= value).unwrap_or(10.0 * power)
}

fn thousands(number: usize) -> String {
    match number {
        1_000_000.. => format!("{} M", number / 1_000_000),
        1_000.. => format!("{} k", number / 1_000),
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::growth::example;

    #[test]
    fn draws_each_line_over_its_sizes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("growth.svg");
        write(&example([200.0, 210.0], [100.0, 300.0]), &path).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("get: µs for a call"), "{svg}");
        assert!(svg.contains("1 k") && svg.contains("100 k") && svg.contains("the engine"), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 6);
        // Where no engine answers, there is no line for it.
        write(&example([200.0, 210.0], [0.0, 0.0]), &path).unwrap();
        assert!(!std::fs::read_to_string(&path).unwrap().contains("the engine<"));
    }

    #[test]
    fn steps_are_round() {
        assert_eq!((nice(0.9), nice(3.0), nice(51.0), nice(1_000.0)), (1.0, 5.0, 100.0, 1_000.0));
        assert_eq!(
            (thousands(500), thousands(10_000), thousands(1_000_000)),
            ("500".into(), "10 k".into(), "1 M".into())
        );
    }
}
