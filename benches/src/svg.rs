//! Pictures of measurements: diagrams with lines, one above the other, as one SVG.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 70.0;
const COLOURS: [&str; 6] = ["#1b6ca8", "#c8553d", "#3d8c40", "#8a5fb5", "#b8860b", "#555555"];

/// A line of a diagram.
pub struct Line {
    /// What stands beside it.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
}

/// A diagram.
pub struct Diagram {
    /// What goes upwards, with its unit.
    pub title: String,
    /// What goes to the right, with its unit.
    pub along: &'static str,
    /// Its lines.
    pub lines: Vec<Line>,
}

/// Draws diagrams below a heading.
pub fn draw(heading: &str, diagrams: &[Diagram]) -> String {
    let mut out = String::new();
    let height = (HEIGHT + 50.0) * diagrams.len() as f64 + 20.0;
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"860\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"18\">{heading}</text>\n"
    );
    for (at, diagram) in diagrams.iter().enumerate() {
        diagram.draw(&mut out, 40.0 + (HEIGHT + 50.0) * at as f64);
    }
    out.push_str("</svg>\n");
    out
}

impl Diagram {
    fn draw(&self, out: &mut String, top: f64) {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let most_x = points().map(|(x, _)| *x).fold(1.0, f64::max);
        let most_y = points().map(|(_, y)| *y).fold(1.0, f64::max) * 1.1;
        let (x, y) = (|v: f64| LEFT + v / most_x * WIDTH, |v: f64| top + HEIGHT - v / most_y * HEIGHT);
        let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"{}\">{}</text>", top - 6.0, self.title);
        for step in 0..=4 {
            let (at, to) = (most_y * f64::from(step) / 4.0, most_x * f64::from(step) / 4.0);
            let decimals = if most_y < 20.0 { 1 } else { 0 };
            let _ = write!(
                out,
                "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\" stroke=\"#ddd\"/>\n\
                 <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{at:.decimals$}</text>\n\
                 <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{to:.0}</text>\n",
                LEFT + WIDTH,
                LEFT - 6.0,
                y(at) + 4.0,
                x(to),
                top + HEIGHT + 16.0,
                y = y(at),
            );
        }
        for ((at, line), colour) in self.lines.iter().enumerate().zip(COLOURS.iter().cycle()) {
            let path: Vec<String> =
                line.points.iter().map(|(at, value)| format!("{:.1},{:.1}", x(*at), y(*value))).collect();
            let _ = writeln!(
                out,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n\
                 <text x=\"{}\" y=\"{}\" fill=\"{colour}\" text-anchor=\"end\">{}</text>",
                path.join(" "),
                LEFT + WIDTH,
                top + 14.0 + 15.0 * at as f64,
                line.name
            );
            for (at, value) in &line.points {
                let _ =
                    writeln!(out, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>", x(*at), y(*value));
            }
        }
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            LEFT + WIDTH,
            top + HEIGHT + 32.0,
            self.along
        );
    }
}
