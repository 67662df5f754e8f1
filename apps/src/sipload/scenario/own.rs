//! Scenarios of our own, in TOML: what a writer names, and nothing of what the dialog says already.

use super::action::{Action, Check, Comparison, Operand, Operation, Other, Search, Within};
use super::error::{Wrong, line_of, wrong};
use super::helper::{self, Own, SESSION};
use super::program::{At, Expect, Length, Next, Pattern, Pause, Program, Send, Step, Value, What};
use super::text::{Names, Text};
use crate::arguments::time;
use regex::RegexBuilder;
use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// RFC 3261 §17.1.1.1
const T1: Duration = Duration::from_millis(500);
/// How long a message is waited for, if the scenario does not say it: 64·T1.
const TIMEOUT: Duration = Duration::from_secs(32);
/// How long a call that was answered here is still known, so that what comes again is answered again.
const LINGER: f64 = 4000.0;

type Table<'a> = DeTable<'a>;
type Item<'a> = Spanned<DeValue<'a>>;

/// Reads a scenario.
pub(super) fn read(text: &str, file: &str, keys: &HashMap<String, String>) -> Result<Program, Wrong> {
    let root = Table::parse(text)
        .map_err(|error| wrong(error.span().map_or(0, |span| span.start), error.message().to_owned()))?;
    let mut root = Keys::of(root.get_ref(), root.span(), "");
    let mut program = Program { file: file.to_owned(), strict: false, ..Program::default() };
    program.name = root.text("name", "the scenario's name")?.unwrap_or_default();
    if let Some((mut vars, _)) = root.table("vars")? {
        for (name, item) in std::mem::take(&mut vars.left) {
            let value = match item.get_ref() {
                DeValue::String(text) => Value::Text(text.to_string()),
                DeValue::Integer(_) | DeValue::Float(_) => Value::Number(number(item, &name, "a number")?),
                DeValue::Boolean(flag) => Value::Flag(*flag),
                _ => {
                    return Err(wrong(
                        item.span().start,
                        format!("vars.{name}: expected a text, a number, true or false"),
                    ));
                }
            };
            program.vars.push((name, value));
        }
    }
    let mut reader =
        OwnReader { text, keys, program, labels: HashMap::new(), open: Vec::new(), tail: Vec::new(), last_send: None };
    let steps = root.array("step", "steps, as [[step]]")?;
    root.done()?;
    if steps.is_empty() {
        return Err(wrong(0, "step: expected steps, as [[step]] with send, expect or pause"));
    }
    for step in steps {
        let DeValue::Table(table) = step.get_ref() else {
            return Err(wrong(step.span().start, "step: expected a table, as [[step]]"));
        };
        reader.step(Keys::of(table, step.span(), "step."))?;
    }
    reader.close()
}

/// The keys of a table, which are taken one after the other: what is left is not known.
struct Keys<'a> {
    left: Vec<(String, &'a Item<'a>)>,
    span: Range<usize>,
    path: &'static str,
}

impl<'a> Keys<'a> {
    fn of(table: &'a Table<'a>, span: Range<usize>, path: &'static str) -> Self {
        let mut left: Vec<_> =
            table.iter().map(|(name, item)| (name.span().start, name.get_ref().to_string(), item)).collect();
        // In the order of the file.
        left.sort_by_key(|(at, ..)| *at);
        Keys { left: left.into_iter().map(|(_, name, item)| (name, item)).collect(), span, path }
    }

    fn take(&mut self, name: &str) -> Option<&'a Item<'a>> {
        let at = self.left.iter().position(|(known, _)| known == name)?;
        Some(self.left.remove(at).1)
    }

    fn bad(&self, item: &Item<'_>, name: &str, expected: &str) -> Wrong {
        wrong(item.span().start, format!("{}{name}: expected {expected}", self.path))
    }

    fn text(&mut self, name: &str, expected: &str) -> Result<Option<String>, Wrong> {
        let Some(item) = self.take(name) else { return Ok(None) };
        item.get_ref().as_str().map(|text| Some(text.to_owned())).ok_or_else(|| self.bad(item, name, expected))
    }

    fn flag(&mut self, name: &str) -> Result<Option<bool>, Wrong> {
        let Some(item) = self.take(name) else { return Ok(None) };
        item.get_ref().as_bool().map(Some).ok_or_else(|| self.bad(item, name, "true or false"))
    }

    fn share(&mut self, name: &str) -> Result<Option<f64>, Wrong> {
        let Some(item) = self.take(name) else { return Ok(None) };
        let share = number(item, name, "a share from 0 to 1, as 0.05")?;
        if (0.0..=1.0).contains(&share) {
            Ok(Some(share))
        } else {
            Err(self.bad(item, name, "a share from 0 to 1, as 0.05"))
        }
    }

    fn time(&mut self, name: &str) -> Result<Option<Duration>, Wrong> {
        let Some(item) = self.take(name) else { return Ok(None) };
        duration(item, self.path, name).map(Some)
    }

    fn table(&mut self, name: &str) -> Result<Option<(Keys<'a>, Range<usize>)>, Wrong> {
        let Some(item) = self.take(name) else { return Ok(None) };
        match item.get_ref() {
            DeValue::Table(table) => Ok(Some((Keys::of(table, item.span(), ""), item.span()))),
            _ => Err(self.bad(item, name, "a table, as { name = \"value\" }")),
        }
    }

    /// The items of an array, or one that stands alone.
    fn array(&mut self, name: &str, expected: &str) -> Result<Vec<&'a Item<'a>>, Wrong> {
        let Some(item) = self.take(name) else { return Ok(Vec::new()) };
        match item.get_ref() {
            DeValue::Array(items) => Ok(items.iter().collect()),
            DeValue::Table(_) => Err(self.bad(item, name, expected)),
            _ => Ok(vec![item]),
        }
    }

    fn done(&self) -> Result<(), Wrong> {
        match self.left.first() {
            None => Ok(()),
            Some((name, item)) => Err(wrong(item.span().start, format!("{}{name}: is not known here", self.path))),
        }
    }
}

fn number(item: &Item<'_>, name: &str, expected: &str) -> Result<f64, Wrong> {
    let number = match item.get_ref() {
        DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str().parse().ok(),
        DeValue::Float(float) => float.as_str().parse().ok(),
        _ => None,
    };
    number
        .filter(|number: &f64| number.is_finite())
        .ok_or_else(|| wrong(item.span().start, format!("{name}: expected {expected}")))
}

fn duration(item: &Item<'_>, path: &str, name: &str) -> Result<Duration, Wrong> {
    let bad =
        || wrong(item.span().start, format!("{path}{name}: expected a time with its unit, as \"500ms\" or \"10s\""));
    item.get_ref().as_str().and_then(|text| time(text).ok()).ok_or_else(bad)
}

/// A status, a class of them (`"4xx"`), or a method.
fn pattern(text: &str) -> Option<Pattern> {
    if let Some(class) = text.strip_suffix("xx") {
        let class: u16 = class.parse().ok().filter(|class| (1..=6).contains(class))?;
        return Some(Pattern::Response(class * 100, class * 100 + 99));
    }
    if let Ok(code) = text.parse() {
        return (100..700).contains(&code).then_some(Pattern::Response(code, code));
    }
    let is_method = !text.is_empty() && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
    is_method.then(|| Pattern::Request(text.to_owned()))
}

const PATTERN: &str = "a status (200), a class of them (\"4xx\") or a method (\"INVITE\")";

fn pattern_of(item: &Item<'_>, name: &str) -> Result<Pattern, Wrong> {
    let text = match item.get_ref() {
        DeValue::Integer(code) => Some(code.as_str()),
        other => other.as_str(),
    };
    text.and_then(pattern).ok_or_else(|| wrong(item.span().start, format!("step.{name}: expected {PATTERN}")))
}

struct OwnReader<'a> {
    text: &'a str,
    keys: &'a HashMap<String, String>,
    program: Program,
    labels: HashMap<String, At>,
    /// Labels that are to be found: who goes there.
    open: Vec<(Goes, String, usize)>,
    /// What stands behind the last step: requests that are sent again with credentials, and what is expected then.
    tail: Vec<Again>,
    last_send: Option<At>,
}

/// Who goes to a label.
enum Goes {
    Next(At, usize),
    Timeout(At),
}

/// A request to be sent again, from the steps that expected its answer, from the one to the other.
struct Again {
    send: At,
    from: At,
    to: At,
}

impl OwnReader<'_> {
    fn step(&mut self, mut it: Keys<'_>) -> Result<(), Wrong> {
        let offset = it.span.start;
        if let Some(label) = it.text("label", "a name")?
            && self.labels.insert(label.clone(), self.program.steps.len()).is_some()
        {
            return Err(wrong(offset, format!("step.label: {label:?} is the label of another step too")));
        }
        let kinds = ["send", "expect", "pause", "goto", "set", "count", "log", "fail", "end"];
        let named: Vec<&str> = kinds.into_iter().filter(|kind| it.left.iter().any(|(name, _)| name == kind)).collect();
        match named[..] {
            ["send"] => self.send(&mut it)?,
            ["expect"] => self.expect(&mut it)?,
            ["pause"] => {
                let length = self.length(&mut it)?;
                self.push(offset, What::Pause(Pause { length, after_all: false }), Vec::new());
            }
            ["goto"] => self.goto(&mut it)?,
            ["set"] => {
                let Some((values, _)) = it.table("set")? else { return Ok(()) };
                let mut actions = Vec::new();
                for (name, item) in values.left {
                    let text = item.get_ref().as_str().map(str::to_owned);
                    let var = self.program.var(&name);
                    actions.push(match text {
                        Some(text) => Action::Assign(var, self.line(&text, item.span().start)?),
                        None => Action::Number(var, Operand::Number(number(item, &name, "a text or a number")?)),
                    });
                }
                self.push(offset, What::Nothing, actions);
            }
            ["count"] => {
                let name = it.text("count", "the name of a variable")?.unwrap_or_default();
                let var = self.program.var(&name);
                self.push(offset, What::Nothing, vec![Action::Calculate(var, Operation::Add, Operand::Number(1.0))]);
            }
            ["log"] => {
                let text = it.text("log", "a text")?.unwrap_or_default();
                let text = self.line(&text, offset)?;
                self.push(offset, What::Nothing, vec![Action::Log(text)]);
            }
            ["fail"] => {
                let text = it.text("fail", "the cause, a text")?.unwrap_or_default();
                let text = self.line(&text, offset)?;
                self.push(offset, What::End(Some(text)), Vec::new());
            }
            ["end"] => {
                it.flag("end")?;
                self.push(offset, What::End(None), Vec::new());
            }
            [] => return Err(wrong(offset, format!("step: expected one of {}", kinds.join(", ")))),
            [_, second, ..] => {
                return Err(wrong(offset, format!("step.{second}: expected one of {} in a step", kinds.join(", "))));
            }
            [_] => {}
        }
        it.done()
    }

    fn push(&mut self, offset: usize, what: What, actions: Vec<Action>) -> At {
        let line = line_of(self.text, offset);
        self.program.steps.push(Step { line, what, actions, next: Vec::new(), only: None });
        self.program.steps.len() - 1
    }

    fn line(&mut self, text: &str, offset: usize) -> Result<Text, Wrong> {
        let mut names = Names { keys: self.keys, program: &mut self.program };
        helper::text(text, &mut names).map_err(|what| wrong(offset, what))
    }

    fn send(&mut self, it: &mut Keys<'_>) -> Result<(), Wrong> {
        let offset = it.span.start;
        let Some(item) = it.take("send") else { return Ok(()) };
        let code = match item.get_ref() {
            DeValue::Integer(code) => code.as_str().parse::<u16>().ok().filter(|code| (100..700).contains(code)),
            _ => None,
        };
        let method = item.get_ref().as_str().filter(|text| matches!(pattern(text), Some(Pattern::Request(_))));
        let mut own = Own::default();
        let (uri, reason) = (it.text("uri", "a URI")?, it.text("reason", "a reason phrase")?);
        own.uri = if code.is_some() { reason } else { uri };
        if let Some((headers, _)) = it.table("headers")? {
            for (name, item) in headers.left {
                let value = match item.get_ref() {
                    DeValue::String(text) => Some(text.to_string()),
                    DeValue::Integer(number) => Some(number.as_str().to_owned()),
                    DeValue::Boolean(false) => None,
                    _ => {
                        return Err(wrong(
                            item.span().start,
                            format!("step.headers.{name}: expected a text, or false to leave it out"),
                        ));
                    }
                };
                own.headers.push((name, value));
            }
        }
        own.body = it.text("body", "a text")?;
        let content_type = it.text("content_type", "a media type, as \"text/plain\"")?;
        if it.flag("sdp")? == Some(true) {
            own.body = Some(SESSION.to_owned());
            own.headers.push(("Content-Type".into(), Some("application/sdp".into())));
        } else if let Some(content_type) = content_type {
            own.headers.push(("Content-Type".into(), Some(content_type)));
        }
        let again = it.flag("again")?;
        let lost = it.share("lost")?.unwrap_or(0.0);
        let mut names = Names { keys: self.keys, program: &mut self.program };
        let text = match (code, method) {
            (Some(code), _) => helper::response(code, &own, &mut names),
            (None, Some(method)) => helper::request(method, &own, &mut names),
            (None, None) => {
                return Err(wrong(item.span().start, "step.send: expected a method (\"INVITE\") or a status (180)"));
            }
        };
        let text = text.map_err(|what| wrong(offset, format!("step: {what}")))?;
        let usual = code.map_or(method != Some("ACK"), |code| code >= 200);
        let again = again.unwrap_or(usual).then_some(T1);
        let at = self.push(offset, What::Send(Send { text, again, lost, transaction: None }), Vec::new());
        if method.is_some_and(|method| method != "ACK") {
            self.last_send = Some(at);
        }
        Ok(())
    }

    fn expect(&mut self, it: &mut Keys<'_>) -> Result<(), Wrong> {
        let offset = it.span.start;
        let wanted = it.take("expect");
        let optional = it.array("optional", "a list, as [100, 180]")?;
        let timeout = it.time("timeout")?.unwrap_or(TIMEOUT);
        let on_timeout = it.text("on_timeout", "the label of a step")?;
        let authenticate = it.flag("authenticate")? == Some(true);
        let lost = it.share("lost")?.unwrap_or(0.0);
        let ways = it.table("or")?;
        let actions = self.captures(it)?;
        let expect = |what, optional| Expect {
            what,
            optional,
            routes: true,
            challenge: false,
            timeout: (!optional).then_some(timeout),
            on_timeout: None,
            lost,
            any_time: false,
            transaction: None,
        };
        let from = self.program.steps.len();
        for item in optional {
            let what = pattern_of(item, "optional")?;
            self.push(offset, What::Expect(expect(what, true)), Vec::new());
        }
        if authenticate {
            let Some(send) = self.last_send else {
                return Err(wrong(offset, "step.authenticate: expected a request that is sent before"));
            };
            for code in [401, 407] {
                let challenge = Expect { challenge: true, ..expect(Pattern::Response(code, code), true) };
                let at = self.push(offset, What::Expect(challenge), Vec::new());
                if let Some(step) = self.program.steps.get_mut(at) {
                    // To be found when the tail is written.
                    step.next.push(Next { to: at, test: None, chance: 1.0 });
                }
            }
            self.tail.push(Again { send, from, to: 0 });
        }
        for (name, item) in ways.map(|(ways, _)| ways.left).unwrap_or_default() {
            let bad = |expected: &str| wrong(item.span().start, format!("step.or.{name}: expected {expected}"));
            let what = pattern(&name).ok_or_else(|| bad(PATTERN))?;
            let label = item.get_ref().as_str().ok_or_else(|| bad("the label of a step"))?.to_owned();
            let at = self.push(offset, What::Expect(expect(what, true)), Vec::new());
            self.goes(at, label, item.span().start, None, 1.0);
        }
        let alternatives: Vec<&Item<'_>> = match wanted.map(|item| (item, item.get_ref())) {
            Some((_, DeValue::Array(items))) => items.iter().collect(),
            Some((item, _)) => vec![item],
            None => Vec::new(),
        };
        let (mut last, count) = (from, alternatives.len());
        if count == 0 {
            return Err(wrong(offset, format!("step.expect: expected {PATTERN}")));
        }
        let mut all = Vec::new();
        for (nth, item) in alternatives.into_iter().enumerate() {
            let what = pattern_of(item, "expect")?;
            last = self.push(offset, What::Expect(expect(what, nth + 1 < count)), actions.clone());
            all.push(last);
        }
        for at in &all {
            if let Some(step) = self.program.steps.get_mut(*at).filter(|_| *at != last) {
                step.next.push(Next { to: last + 1, test: None, chance: 1.0 });
            }
        }
        if let Some(label) = on_timeout {
            self.open.push((Goes::Timeout(last), label, offset));
        }
        if authenticate && let Some(again) = self.tail.last_mut() {
            again.to = last;
        }
        Ok(())
    }

    fn captures(&mut self, it: &mut Keys<'_>) -> Result<Vec<Action>, Wrong> {
        let mut actions = Vec::new();
        for (name, item) in it.table("capture")?.map(|(keys, _)| keys.left).unwrap_or_default() {
            let at = item.span().start;
            let DeValue::Table(table) = item.get_ref() else {
                return Err(wrong(
                    at,
                    format!(
                        "step.capture.{name}: expected {{ header = \"To\", regex = \"tag=([^;]+)\" }}, body or message"
                    ),
                ));
            };
            let mut keys = Keys::of(table, item.span(), "step.capture.");
            let header = keys.text("header", "a header's name")?;
            let regex = keys.text("regex", "a regular expression")?;
            let (body, message) = (keys.flag("body")?, keys.flag("message")?);
            let must = keys.flag("required")?.unwrap_or(true);
            keys.done()?;
            let within = match (header, body, message) {
                (Some(header), None, None) => Within::Header(header, 0, ""),
                (None, Some(true), None) => Within::Body,
                (None, None, Some(true)) => Within::Message,
                _ => {
                    return Err(wrong(
                        at,
                        format!(
                            "step.capture.{name}: expected one of header = \"NAME\", body = true and message = true"
                        ),
                    ));
                }
            };
            let text = regex.unwrap_or_else(|| "(.*)".to_owned());
            let regex = RegexBuilder::new(&text).size_limit(1 << 20).multi_line(true).build();
            let regex = regex.map_err(|error| wrong(at, format!("step.capture.{name}.regex: {error}")))?;
            let var = self.program.var(&name);
            // The first group, where there is one.
            let into = if regex.captures_len() > 1 { vec![self.program.var(""), var] } else { vec![var] };
            actions.push(Action::Search(Search {
                regex,
                within,
                check: Check { must, must_not: false },
                keeps: false,
                into,
            }));
        }
        Ok(actions)
    }

    fn length(&mut self, it: &mut Keys<'_>) -> Result<Length, Wrong> {
        let expected = "a time (\"2s\"), { uniform = [\"1s\", \"3s\"] }, { exponential = \"2s\" } or { variable = \"name\" } in milliseconds";
        let millis = |time: Duration| time.as_secs_f64() * 1000.0;
        let Some(item) = it.take("pause") else { return Ok(Length::Hold) };
        let bad = || wrong(item.span().start, format!("step.pause: expected {expected}"));
        match item.get_ref() {
            DeValue::String(_) => duration(item, "step.", "pause").map(|time| Length::Fixed(millis(time))),
            DeValue::Table(table) => {
                let mut keys = Keys::of(table, item.span(), "step.pause.");
                let uniform = keys.array("uniform", "two times")?;
                let exponential = keys.time("exponential")?;
                let variable = keys.text("variable", "the name of a variable")?;
                keys.done()?;
                match (&uniform[..], exponential, variable) {
                    ([from, to], None, None) => {
                        let (from, to) =
                            (duration(from, "step.pause.", "uniform")?, duration(to, "step.pause.", "uniform")?);
                        Ok(Length::Uniform(millis(from), millis(to)))
                    }
                    ([], Some(mean), None) => Ok(Length::Exponential(millis(mean))),
                    ([], None, Some(name)) => Ok(Length::Variable(self.program.var(&name))),
                    _ => Err(bad()),
                }
            }
            _ => Err(bad()),
        }
    }

    /// `goto = "label"`, with a `chance` or an `if`.
    fn goto(&mut self, it: &mut Keys<'_>) -> Result<(), Wrong> {
        let offset = it.span.start;
        let label = it.text("goto", "the label of a step")?.unwrap_or_default();
        let chance = it.share("chance")?.unwrap_or(1.0);
        let mut actions = Vec::new();
        let test = match it.take("if") {
            None => None,
            Some(item) => Some(self.condition(item, &mut actions)?),
        };
        let at = self.push(offset, What::Nothing, actions);
        self.goes(at, label, offset, test, chance);
        Ok(())
    }

    /// The variable that says whether a condition holds.
    fn condition(&mut self, item: &Item<'_>, actions: &mut Vec<Action>) -> Result<usize, Wrong> {
        let expected =
            "the name of a variable, or { variable = \"name\" } with one of is, matches, less_than and more_than";
        let bad = || wrong(item.span().start, format!("step.if: expected {expected}"));
        let table = match item.get_ref() {
            DeValue::String(name) => return Ok(self.program.var(name)),
            DeValue::Table(table) => table,
            _ => return Err(bad()),
        };
        let mut keys = Keys::of(table, item.span(), "step.if.");
        let name = keys.text("variable", "the name of a variable")?.ok_or_else(bad)?;
        let (var, holds) = (self.program.var(&name), self.program.var(" holds"));
        let (is, matches) = (keys.text("is", "a text")?, keys.text("matches", "a regular expression")?);
        let less = keys.take("less_than").map(|item| number(item, "step.if.less_than", "a number")).transpose()?;
        let more = keys.take("more_than").map(|item| number(item, "step.if.more_than", "a number")).transpose()?;
        keys.done()?;
        let compare = |comparison, than| {
            Action::Compare(holds, Operand::Variable(var), comparison, Operand::Number(than), Check::default())
        };
        match (is, matches, less, more) {
            (Some(text), None, None, None) => {
                let text = self.line(&text, item.span().start)?;
                actions.push(Action::CompareText(holds, var, Other::Text(text), Check::default()));
                actions.push(Action::Compare(
                    holds,
                    Operand::Variable(holds),
                    Comparison::Equal,
                    Operand::Number(0.0),
                    Check::default(),
                ));
            }
            (None, Some(regex), None, None) => {
                let regex = RegexBuilder::new(&regex).size_limit(1 << 20).build();
                let regex = regex.map_err(|error| wrong(item.span().start, format!("step.if.matches: {error}")))?;
                actions.push(Action::Search(Search {
                    regex,
                    within: Within::Variable(var),
                    check: Check::default(),
                    keeps: false,
                    into: vec![holds],
                }));
            }
            (None, None, Some(than), None) => actions.push(compare(Comparison::Less, than)),
            (None, None, None, Some(than)) => actions.push(compare(Comparison::Greater, than)),
            _ => return Err(bad()),
        }
        Ok(holds)
    }

    fn goes(&mut self, at: At, label: String, offset: usize, test: Option<usize>, chance: f64) {
        if let Some(step) = self.program.steps.get_mut(at) {
            step.next.push(Next { to: 0, test, chance });
            self.open.push((Goes::Next(at, step.next.len() - 1), label, offset));
        }
    }

    /// Finds the labels, and writes what stands behind the last step.
    fn close(mut self) -> Result<Program, Wrong> {
        for (goes, label, offset) in self.open {
            let Some(to) = self.labels.get(&label).copied() else {
                return Err(wrong(offset, format!("step: no step has the label {label:?}")));
            };
            match goes {
                Goes::Next(at, nth) => {
                    if let Some(next) = self.program.steps.get_mut(at).and_then(|step| step.next.get_mut(nth)) {
                        next.to = to;
                    }
                }
                Goes::Timeout(at) => {
                    if let Some(What::Expect(expect)) = self.program.steps.get_mut(at).map(|step| &mut step.what) {
                        expect.on_timeout = Some(to);
                    }
                }
            }
        }
        let called = self.program.is_called();
        let line = self.program.steps.last().map_or(1, |step| step.line);
        let end = |program: &mut Program| {
            let linger = Pause { length: Length::Fixed(LINGER), after_all: true };
            let what = if called { What::Pause(linger) } else { What::End(None) };
            program.steps.push(Step { line, what, actions: Vec::new(), next: Vec::new(), only: None });
            program.steps.push(Step { line, what: What::End(None), actions: Vec::new(), next: Vec::new(), only: None });
        };
        end(&mut self.program);
        for Again { send, from, to } in std::mem::take(&mut self.tail) {
            let begin = self.program.steps.len();
            let again: Vec<Step> = self
                .program
                .steps
                .get(send..=send)
                .into_iter()
                .chain(self.program.steps.get(from..=to))
                .flatten()
                .cloned()
                .collect();
            for step in self.program.steps.get_mut(from..=to).into_iter().flatten() {
                if matches!(&step.what, What::Expect(expect) if expect.challenge) {
                    step.next = vec![Next { to: begin, test: None, chance: 1.0 }];
                }
            }
            for (nth, mut step) in again.into_iter().enumerate() {
                // What asks for credentials a second time is expected by nothing.
                if matches!(&step.what, What::Expect(expect) if expect.challenge) {
                    continue;
                }
                if nth > 0 && step.next.is_empty() && !matches!(&step.what, What::Expect(expect) if expect.optional) {
                    step.next.push(Next { to: to + 1, test: None, chance: 1.0 });
                }
                self.program.steps.push(step);
            }
        }
        Ok(self.program)
    }
}
