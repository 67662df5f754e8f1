//! Pictures of lines, in SVG.

use std::fmt::Write as _;

/// A picture's size, and the space for its numbers at the left and below.
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 210.0;
const LEFT: f64 = 48.0;
const BELOW: f64 = 24.0;
const EDGE: f64 = 10.0;
/// With no more points than these each is shown.
const FEW: usize = 40;

/// One line: its name, its colour and its points.
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) colour: &'static str,
    pub(super) points: Vec<(f64, f64)>,
}

/// A picture.
pub(super) struct Plot {
    title: &'static str,
    lines: Vec<Line>,
    /// What stands below: where, and its text.
    below: Vec<(f64, String)>,
}

impl Plot {
    /// Seconds go to the right.
    pub(super) fn over_time(title: &'static str, lines: Vec<Line>) -> Self {
        let end = most(&lines, |point| point.0);
        let step = step(end, 6.0);
        let below =
            (0..=20).map(|n| f64::from(n) * step).take_while(|at| *at <= end).map(|at| (at, numbers(at) + " s"));
        Plot { title, below: below.collect(), lines }
    }

    /// Nines go to the right.
    pub(super) fn by_nines(title: &'static str, lines: Vec<Line>) -> Self {
        let names = ["p50", "p90", "p99", "p99.9", "p99.99"];
        let below = names.into_iter().zip(0u8..).map(|(name, at)| (f64::from(at), name.to_owned())).collect();
        Plot { title, lines, below }
    }

    /// Writes it; nothing, if it has no points.
    pub(super) fn write(&self, out: &mut String) {
        let Plot { title, lines, below } = self;
        if lines.iter().all(|line| line.points.is_empty()) {
            return;
        }
        let (right, top) = (most(lines, |point| point.0), most(lines, |point| point.1));
        let step = step(top, 5.0);
        let top = (top / step).ceil().max(1.0) * step;
        let x = |value: f64| LEFT + value / right * (WIDTH - LEFT - EDGE);
        let y = |value: f64| HEIGHT - BELOW - value / top * (HEIGHT - BELOW - EDGE);
        // Writing to a string cannot fail.
        let _ = writeln!(out, "<div class=\"plot\"><h2>{title}</h2>");
        for line in lines.iter().filter(|line| !line.points.is_empty()) {
            let Line { name, colour, .. } = line;
            let _ = write!(out, "<span class=\"key soft\"><i style=\"background:{colour}\"></i>{name}</span>");
        }
        let _ = writeln!(out, "\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">");
        for value in (0..=20).map(|n| f64::from(n) * step).take_while(|value| *value <= top * 1.001) {
            let (at, end) = (y(value), WIDTH - EDGE);
            let _ = writeln!(out, "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{end}\"/>");
            let (left, low) = (LEFT - 6.0, at + 4.0);
            let _ = writeln!(out, "<text x=\"{left}\" y=\"{low:.1}\" text-anchor=\"end\">{}</text>", numbers(value));
        }
        for (value, text) in below {
            // The last does not leave the picture.
            let (at, low) = (x(*value), HEIGHT - 6.0);
            let anchor = if at > WIDTH - 40.0 { "end" } else { "middle" };
            let _ = writeln!(out, "<text x=\"{at:.1}\" y=\"{low}\" text-anchor=\"{anchor}\">{text}</text>");
        }
        for Line { colour, points, .. } in lines.iter().filter(|line| !line.points.is_empty()) {
            let path: Vec<String> = points.iter().map(|(a, b)| format!("{:.1} {:.1}", x(*a), y(*b))).collect();
            let path = path.join("L");
            let _ = writeln!(
                out,
                "<path class=\"line\" d=\"M{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-linejoin=\"round\"/>"
            );
            for (a, b) in points.iter().filter(|_| points.len() <= FEW) {
                let _ = writeln!(out, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.5\" fill=\"{colour}\"/>", x(*a), y(*b));
            }
        }
        out.push_str("</svg></div>\n");
    }
}

fn most(lines: &[Line], of: fn(&(f64, f64)) -> f64) -> f64 {
    lines.iter().flat_map(|line| &line.points).map(of).fold(0.0, f64::max).max(1e-3)
}

/// One, two or five times a power of ten, so that there are about so many steps up to `most`.
fn step(most: f64, steps: f64) -> f64 {
    let rough = most / steps;
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= rough * 0.999).unwrap_or(10.0);
    factor * power
}

/// A number as short as it may be.
pub(super) fn numbers(value: f64) -> String {
    let text = match value {
        value if value >= 100.0 || value == 0.0 => return format!("{value:.0}"),
        value if value >= 1.0 => format!("{value:.2}"),
        value => format!("{value:.4}"),
    };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_few() {
        for (most, wanted) in [(4.0, 1.0), (97.0, 50.0), (500.0, 200.0), (0.03, 0.01), (60.0, 20.0), (1234.0, 500.0)] {
            assert!((step(most, 4.0) - wanted).abs() < wanted * 1e-6, "{most}: {}", step(most, 4.0));
        }
    }

    #[test]
    fn numbers_are_short() {
        let texts = [0.0, 1.5, 12.0, 250.4, 0.0205, 99.996].map(numbers);
        assert_eq!(texts, ["0", "1.5", "12", "250", "0.0205", "100"]);
    }

    #[test]
    fn lines_stay_within_the_picture() {
        let line = Line { name: "x", colour: "red", points: vec![(0.0, 0.0), (3.0, 7.0)] };
        let mut out = String::new();
        Plot::over_time("title", vec![line]).write(&mut out);
        assert!(out.contains("d=\"M48.0 186.0L550.0 32.0\""), "{out}");
        let mut nothing = String::new();
        Plot::over_time("title", Vec::new()).write(&mut nothing);
        assert!(nothing.is_empty());
    }
}
