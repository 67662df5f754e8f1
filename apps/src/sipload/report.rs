//! The report: one HTML file with its pictures in it, and nothing from outside.

use super::live::Point;
use super::summary::Summary;
use std::fmt::Write as _;

/// A picture's size, and the space for its numbers at the left, above and below.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 60.0;
const EDGE: f64 = 24.0;

/// One line of a picture: its name, its colour and its points.
struct Line<'a> {
    name: &'a str,
    colour: &'a str,
    points: Vec<(f64, f64)>,
}

/// The report.
pub(super) fn html(title: &str, run: &Summary, points: &[Point], missed: &[String]) -> String {
    let mut out = String::from(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>sipload</title><style>\
         body{font:15px sans-serif;margin:2em auto;max-width:800px}pre{background:#f4f4f4;padding:1em}\
         svg{display:block;margin:1em 0}text{font:11px sans-serif;fill:#444}.missed{color:#b00}</style></head><body>\n",
    );
    // Writing to a string cannot fail.
    let _ = writeln!(out, "<h1>{}</h1>", escaped(title));
    for missed in missed {
        let _ = writeln!(out, "<p class=\"missed\">{}</p>", escaped(missed));
    }
    let _ = writeln!(out, "<pre>{}</pre>", escaped(&run.to_string()));
    let over = |name, colour, value: fn(&Point) -> f64| Line {
        name,
        colour,
        points: points.iter().map(|point| (point.at.as_secs_f64(), value(point))).collect(),
    };
    let rates = [
        over("started/s", "#1f77b4", |p| p.started),
        over("succeeded/s", "#2ca02c", |p| p.succeeded),
        over("failed/s", "#d62728", |p| p.failed),
    ];
    picture(&mut out, "Rate", "s", &rates);
    picture(&mut out, "In progress", "s", &[over("sessions", "#9467bd", |p| p.in_progress as f64)]);
    picture(
        &mut out,
        "p99 of the time to the answer, so far (ms)",
        "s",
        &[over("p99", "#ff7f0e", |p| p.p99.as_secs_f64() * 1e3)],
    );
    let quantiles = |name, colour, times: &rutil::stats::Snapshot| Line {
        name,
        colour,
        // From the median to the last of ten thousand: each nine takes the same space.
        points: (0..=100)
            .map(|step| f64::from(step) / 25.0)
            .filter(|_| times.count() > 0)
            .map(|nines| (nines, times.quantile(1.0 - 10f64.powf(-nines)).as_secs_f64() * 1e3))
            .collect(),
    };
    let times = [
        quantiles("post-dial delay", "#1f77b4", &run.ringing),
        quantiles("answered", "#2ca02c", &run.answered),
        quantiles("bye", "#ff7f0e", &run.bye),
    ];
    picture(&mut out, "Times (ms) by nines: 1 is p90, 2 is p99, 3 is p99.9", "nines", &times);
    out.push_str("</body></html>\n");
    out
}

fn picture(out: &mut String, title: &str, unit: &str, lines: &[Line<'_>]) {
    let all = || lines.iter().flat_map(|line| &line.points);
    if all().next().is_none() {
        return;
    }
    let most = |of: fn(&(f64, f64)) -> f64| all().map(of).fold(0.0, f64::max).max(1e-3);
    let (right, top) = (most(|point| point.0), most(|point| point.1));
    let x = |value: f64| LEFT + value / right * (WIDTH - LEFT - EDGE);
    let y = |value: f64| HEIGHT - EDGE - value / top * (HEIGHT - 2.0 * EDGE);
    let _ = writeln!(out, "<h2>{title}</h2><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" role=\"img\">");
    for step in 0..=4 {
        let share = f64::from(step) / 4.0;
        let (value, second) = (top * share, right * share);
        let (at, left) = (y(value), x(second));
        let end = WIDTH - EDGE;
        let _ = writeln!(out, "<path d=\"M{LEFT} {at:.1}H{end}\" stroke=\"#ddd\"/>");
        let _ = writeln!(out, "<text x=\"4\" y=\"{:.1}\">{}</text>", at + 4.0, short(value));
        let _ = writeln!(out, "<text x=\"{left:.1}\" y=\"{:.1}\">{} {unit}</text>", HEIGHT - 6.0, short(second));
    }
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| !line.points.is_empty()) {
        let Line { name, colour, points } = line;
        let path: Vec<String> = points.iter().map(|(a, b)| format!("{:.1} {:.1}", x(*a), y(*b))).collect();
        let path = path.join("L");
        let _ = writeln!(out, "<path d=\"M{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>");
        let _ =
            writeln!(out, "<text x=\"{:.0}\" y=\"14\" style=\"fill:{colour}\">{name}</text>", LEFT + at as f64 * 120.0);
    }
    out.push_str("</svg>\n");
}

/// A number as short as it may be.
fn short(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn report() -> String {
        let times = rutil::Histogram::new();
        (1..=100).for_each(|ms| times.record(Duration::from_millis(ms)));
        let run = Summary { what: "INVITE", started: 100, answered: times.snapshot(), ..Summary::default() };
        let point = |second| Point {
            at: Duration::from_secs(second),
            started: 50.0,
            succeeded: 49.0,
            failed: 1.0,
            in_progress: second,
            p99: Duration::from_millis(99),
        };
        html("<sip:a@b> & co", &run, &[point(1), point(2)], &["p99 is more".to_owned()])
    }

    #[test]
    fn everything_is_in_one_file() {
        let html = report();
        assert!(!html.contains("http") && !html.contains("src=") && !html.contains("href="), "{html}");
        assert!(html.contains("<h1>&lt;sip:a@b&gt; &amp; co</h1>") && html.contains("INVITE: 100 in"));
        assert!(html.contains("<p class=\"missed\">p99 is more</p>"));
        assert_eq!((html.matches("<svg").count(), html.matches("</svg>").count()), (4, 4));
        assert!(!html.contains("NaN") && !html.contains("inf"), "{html}");
    }

    #[test]
    fn it_is_well_formed() {
        // Each element that is opened is closed; those that have no end are not elements of XML here.
        let html = report();
        for name in ["html", "head", "body", "style", "title", "h1", "h2", "pre", "svg", "text", "p"] {
            let opened = html.matches(&format!("<{name}>")).count() + html.matches(&format!("<{name} ")).count();
            assert_eq!(opened, html.matches(&format!("</{name}>")).count(), "{name}");
        }
    }

    #[test]
    fn what_was_not_measured_is_not_drawn() {
        let html = html("nothing", &Summary::default(), &[], &[]);
        assert!(!html.contains("<svg"), "{html}");
    }
}
