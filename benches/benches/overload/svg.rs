//! The curve as a picture: offered load against goodput, and against the 99th percentile of the set-up time.

use crate::{Curve, Point};
use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 70.0;
const COLOURS: [&str; 2] = ["#1b6ca8", "#c8553d"];

/// Draws two diagrams, one above the other.
pub(crate) fn draw(curves: &[Curve], share: u32) -> String {
    let mut out = String::new();
    let height = 2.0 * HEIGHT + 110.0;
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"860\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"18\">Each proxy on {share} of 1000 parts of a processor; UDP, loopback</text>\n"
    );
    let goodput = |point: &Point| point.goodput;
    diagram(&mut out, curves, 40.0, "calls completed, per second", goodput);
    let p99 = |point: &Point| point.p99.as_secs_f64() * 1000.0;
    diagram(&mut out, curves, HEIGHT + 90.0, "set-up of those, 99th percentile, ms", p99);
    out.push_str("</svg>\n");
    out
}

fn diagram(out: &mut String, curves: &[Curve], top: f64, title: &str, value: fn(&Point) -> f64) {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let most_x = points().map(|p| f64::from(p.rate)).fold(1.0, f64::max);
    let most_y = points().map(value).fold(1.0, f64::max) * 1.1;
    let (x, y) = (|v: f64| LEFT + v / most_x * WIDTH, |v: f64| top + HEIGHT - v / most_y * HEIGHT);
    let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"{}\">{title}</text>", top - 6.0);
    for step in 0..=4 {
        let (at, to) = (most_y * f64::from(step) / 4.0, most_x * f64::from(step) / 4.0);
        let _ = write!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\" stroke=\"#ddd\"/>\n\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{at:.0}</text>\n\
             <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{to:.0}</text>\n",
            LEFT + WIDTH,
            LEFT - 6.0,
            y(at) + 4.0,
            x(to),
            top + HEIGHT + 16.0,
            y = y(at),
        );
    }
    for ((at, curve), colour) in curves.iter().enumerate().zip(COLOURS) {
        let line: Vec<String> =
            curve.points.iter().map(|p| format!("{:.1},{:.1}", x(f64::from(p.rate)), y(value(p)))).collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n\
             <text x=\"{}\" y=\"{}\" fill=\"{colour}\" text-anchor=\"end\">{}</text>",
            line.join(" "),
            LEFT + WIDTH,
            top + 14.0 + 15.0 * at as f64,
            curve.name
        );
        for point in &curve.points {
            let (cx, cy) = (x(f64::from(point.rate)), y(value(point)));
            let _ = writeln!(out, "<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"3\" fill=\"{colour}\"/>");
        }
    }
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{}\">offered, calls per second</text>",
        LEFT + WIDTH - 140.0,
        top + HEIGHT + 32.0
    );
}
