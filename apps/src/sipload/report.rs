//! The report: one HTML file with its pictures in it, and nothing from outside; no script.

use super::live::Point;
use super::plot::{Line, Plot, numbers};
use super::summary::{QUANTILES, Summary, millis};
use rutil::stats::Snapshot;
use std::fmt::Write as _;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--line:#e1e6ec;--paper:#fff;--back:#f4f6f9;--bad:#b3261e;--good:#1a7f45}\
@media(prefers-color-scheme:dark){:root{--ink:#e6ebf2;--soft:#9aa6b5;--line:#2c3643;--paper:#19212b;--back:#10161d;--bad:#ff8a80;--good:#6fd198}}\
*{box-sizing:border-box}body{font:15px/1.45 system-ui,sans-serif;margin:0;color:var(--ink);background:var(--back)}\
main{max-width:1080px;margin:0 auto;padding:28px 20px 60px}h1{font-size:22px;margin:0 0 2px;overflow-wrap:anywhere}\
h2{font-size:15px;margin:0 0 6px}p{margin:0}.soft{color:var(--soft)}.missed,.held{margin:10px 0 0;padding:8px 12px;border-radius:6px;\
border-left:4px solid;background:var(--paper)}.missed{color:var(--bad)}.held{color:var(--good)}\
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:18px 0}\
.card,.plot,.box{background:var(--paper);border:1px solid var(--line);border-radius:8px;padding:12px 14px}\
.card b{display:block;font-size:20px;font-weight:600;white-space:nowrap;font-variant-numeric:tabular-nums}\
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:12px}.box{margin-top:12px;overflow-x:auto}\
svg{display:block;width:100%;height:auto}svg text{font:13px system-ui,sans-serif;fill:var(--soft);font-variant-numeric:tabular-nums}\
svg .grid{stroke:var(--line)}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\
td,th{text-align:right;padding:4px 10px;border-bottom:1px solid var(--line);white-space:nowrap}td:first-child,th:first-child{text-align:left}\
th{color:var(--soft);font-weight:500}td.cause{text-align:left;white-space:normal;width:99%}pre{margin:8px 0 0;overflow-x:auto;font-size:13px}\
.key{display:inline-block;margin-right:14px;font-size:13px}.key i{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:5px}";

/// The report. `missed` are the criteria that do not hold; none where none were stated.
pub(super) fn html(title: &str, run: &Summary, points: &[Point], missed: Option<&[String]>) -> String {
    let mut out = String::from("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "<meta name=\"viewport\" content=\"width=device-width\"><title>sipload: {}</title>",
        escaped(title)
    );
    let _ = writeln!(out, "<style>{STYLE}</style></head><body><main>\n<h1>{}</h1>", escaped(title));
    let length = format!("{:.1} s, sessions started for {:.1} s", run.took.as_secs_f64(), run.generated.as_secs_f64());
    let _ = writeln!(out, "<p class=\"soft\">{length}</p>");
    for missed in missed.into_iter().flatten() {
        let _ = writeln!(out, "<p class=\"missed\">{}</p>", escaped(missed));
    }
    if missed.is_some_and(<[_]>::is_empty) {
        let _ = writeln!(out, "<p class=\"held\">The criteria hold.</p>");
    }
    cards(&mut out, run);
    out.push_str("<div class=\"plots\">\n");
    plots(&mut out, run, points);
    out.push_str("</div>\n");
    times(&mut out, run);
    causes(&mut out, run);
    let text = escaped(&run.to_string());
    let _ = writeln!(out, "<div class=\"box\"><h2>As text</h2><pre>{text}</pre></div>\n</main></body></html>");
    out
}

/// The numbers that are looked for first.
fn cards(out: &mut String, run: &Summary) {
    let answered = |q| format!("{} ms", numbers(millis(run.answered.quantile(q))));
    let mut all = vec![
        ("started".to_owned(), run.started.to_string()),
        (format!("succeeded, {:.2} %", run.success() * 100.0), run.succeeded.to_string()),
        ("failed".to_owned(), run.failed.to_string()),
        ("started a second".to_owned(), numbers(run.rate())),
    ];
    if run.answered.count() > 0 {
        all.push(("median to the answer".to_owned(), answered(0.5)));
        all.push(("p99 to the answer".to_owned(), answered(0.99)));
    }
    out.push_str("<div class=\"cards\">\n");
    for (name, value) in all {
        let _ = writeln!(out, "<div class=\"card\"><b>{value}</b><span class=\"soft\">{name}</span></div>");
    }
    out.push_str("</div>\n");
}

const BLUE: &str = "#2f6fde";
const GREEN: &str = "#2a9d5c";
const RED: &str = "#d1453b";
const ORANGE: &str = "#dd8a1d";
const VIOLET: &str = "#8456c9";

fn plots(out: &mut String, run: &Summary, points: &[Point]) {
    let over = |name, colour, value: fn(&Point) -> f64| Line {
        name,
        colour,
        points: points.iter().map(|point| (point.at.as_secs_f64(), value(point))).collect(),
    };
    let rates = vec![
        over("started", BLUE, |p| p.started),
        over("succeeded", GREEN, |p| p.succeeded),
        over("failed", RED, |p| p.failed),
    ];
    Plot::over_time("Sessions a second", rates).write(out);
    Plot::over_time("Sessions in progress", vec![over("in progress", VIOLET, |p| p.in_progress as f64)]).write(out);
    let p99 = over("p99", ORANGE, |p| p.p99.as_secs_f64() * 1e3);
    Plot::over_time("99th percentile of the time to the answer so far, ms", vec![p99]).write(out);
    let quantiles = |name, colour, times: &Snapshot| Line {
        name,
        colour,
        // From the median to the last of ten thousand: each nine takes the same space.
        points: (0..=100)
            .map(|step| f64::from(step) / 25.0)
            .filter(|_| times.count() > 0)
            .map(|nines| (nines, millis(times.quantile(quantile(nines)))))
            .collect(),
    };
    let times = vec![
        quantiles("post-dial delay", BLUE, &run.ringing),
        quantiles("answered", GREEN, &run.answered),
        quantiles("bye", ORANGE, &run.bye),
    ];
    Plot::by_nines("Times by percentile, ms", times).write(out);
}

/// From the median at 0 to p99.99 at 4, with p90 at 1.
fn quantile(nines: f64) -> f64 {
    if nines < 1.0 { 0.5 + 0.4 * nines } else { 1.0 - 10f64.powf(-nines) }
}

fn times(out: &mut String, run: &Summary) {
    if run.times().next().is_none() {
        return;
    }
    out.push_str("<div class=\"box\"><h2>Times in milliseconds</h2><table><tr><th></th><th>count</th><th>mean</th>");
    for (name, _) in QUANTILES {
        let _ = write!(out, "<th>{}</th>", name.replace("p999", "p99.9"));
    }
    out.push_str("<th>longest</th></tr>\n");
    for (name, times) in run.times() {
        let _ = write!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{:.3}</td>",
            name.replace('_', " "),
            times.count(),
            millis(times.mean())
        );
        for (_, q) in QUANTILES {
            let _ = write!(out, "<td>{:.3}</td>", millis(times.quantile(q)));
        }
        let _ = writeln!(out, "<td>{:.3}</td></tr>", millis(times.max()));
    }
    out.push_str("</table></div>\n");
}

fn causes(out: &mut String, run: &Summary) {
    if run.causes.is_empty() {
        return;
    }
    let mut all: Vec<_> = run.causes.iter().collect();
    all.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    out.push_str(
        "<div class=\"box\"><h2>Why sessions failed</h2><table><tr><th>cause</th><th>count</th><th>of all</th></tr>\n",
    );
    for (cause, count) in all {
        let share = *count as f64 / run.started.max(1) as f64 * 100.0;
        let _ =
            writeln!(out, "<tr><td class=\"cause\">{}</td><td>{count}</td><td>{share:.2} %</td></tr>", escaped(cause));
    }
    out.push_str("</table></div>\n");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn report() -> String {
        let times = rutil::Histogram::new();
        (1..=100).for_each(|ms| times.record(Duration::from_millis(ms)));
        let causes = [("INVITE: 503 <Busy>".to_owned(), 7)].into();
        let run = Summary { what: "INVITE", started: 100, answered: times.snapshot(), causes, ..Summary::default() };
        let point = |second| Point {
            at: Duration::from_secs(second),
            started: 50.0,
            succeeded: 49.0,
            failed: 1.0,
            in_progress: second,
            p99: Duration::from_millis(99),
        };
        html("<sip:a@b> & co", &run, &[point(1), point(2)], Some(&["p99 is more".to_owned()]))
    }

    #[test]
    fn everything_is_in_one_file() {
        let html = report();
        assert!(!html.contains("http") && !html.contains("src=") && !html.contains("href="), "{html}");
        assert!(!html.contains("<script") && html.contains("<h1>&lt;sip:a@b&gt; &amp; co</h1>"));
        assert!(html.contains("INVITE: 100 in") && html.contains("<p class=\"missed\">p99 is more</p>"));
        assert!(html.contains("INVITE: 503 &lt;Busy&gt;</td><td>7</td><td>7.00 %</td>"), "{html}");
        assert_eq!((html.matches("<svg").count(), html.matches("</svg>").count()), (4, 4));
        assert!(!html.contains("NaN") && !html.contains("inf"), "{html}");
    }

    #[test]
    fn it_is_well_formed() {
        // Each element that is opened is closed; those that have no end are not elements of XML here.
        let html = report();
        let elements =
            ["html", "head", "body", "main", "style", "title", "h1", "h2", "pre", "svg", "text", "p", "div", "table"];
        for name in elements.into_iter().chain(["tr", "td", "th", "span", "b", "i"]) {
            let opened = html.matches(&format!("<{name}>")).count() + html.matches(&format!("<{name} ")).count();
            assert_eq!(opened, html.matches(&format!("</{name}>")).count(), "{name}");
        }
    }

    #[test]
    fn what_was_not_measured_is_not_drawn() {
        let html = |missed| html("nothing", &Summary::default(), &[], missed);
        let none = html(None);
        assert!(!none.contains("<svg") && !none.contains("<table") && !none.contains("criteria"), "{none}");
        assert!(html(Some(&[])).contains("The criteria hold."));
    }

    #[test]
    fn percentiles_go_on_from_the_median() {
        let all: Vec<f64> = [0.0, 1.0, 2.0, 3.0].map(quantile).to_vec();
        let wanted = [0.5, 0.9, 0.99, 0.999];
        assert!(all.iter().zip(wanted).all(|(one, other)| (one - other).abs() < 1e-9), "{all:?}");
    }
}
