//! Scenarios of SIPp (3.6): the elements and attributes that signalling needs. What is not known is refused with its place.

use super::action::{Action, Check, Comparison, Operand, Operation, Other, Search, Within};
use super::document::Element;
use super::error::{Wrong, line_of, wrong};
use super::program::{At, Expect, Length, Next, Pattern, Pause, Program, Send, Step, Var, What};
use super::text::{Names, Text};
use regex::{Regex, RegexBuilder};
use std::collections::HashMap;
use std::time::Duration;

/// Reads a scenario.
pub(super) fn read(text: &str, file: &str, keys: &HashMap<String, String>) -> Result<Program, Wrong> {
    let mut root = Element::parse(text)?;
    if root.name != "scenario" {
        return Err(wrong(root.offset, format!("<{}>: expected <scenario>", root.name)));
    }
    let name = root.take("name").unwrap_or_default();
    root.done()?;
    let program = Program { name, file: file.to_owned(), strict: true, ..Program::default() };
    let mut reader = XmlReader { text, keys, program, labels: HashMap::new(), open: Vec::new() };
    let children = std::mem::take(&mut root.children);
    for child in children {
        reader.element(child)?;
    }
    reader.close()
}

struct XmlReader<'a> {
    text: &'a str,
    keys: &'a HashMap<String, String>,
    program: Program,
    labels: HashMap<String, At>,
    /// Labels that were named before they were there: by which step, which of its ways on, and where.
    open: Vec<Open>,
}

struct Open {
    step: At,
    label: String,
    offset: usize,
    /// Where it goes on in time; else its `next`.
    on_timeout: bool,
}

impl XmlReader<'_> {
    fn element(&mut self, mut it: Element) -> Result<(), Wrong> {
        let what = match it.name.as_str() {
            "send" => self.send(&mut it)?,
            "recv" => self.recv(&mut it)?,
            "pause" | "timewait" => {
                What::Pause(Pause { length: self.length(&mut it)?, after_all: it.name == "timewait" })
            }
            "nop" => What::Nothing,
            "sendCmd" => {
                if it.take("dest").is_some() {
                    return Err(wrong(
                        it.offset,
                        "<sendCmd>: attribute dest is not supported: there is one other controller",
                    ));
                }
                What::SendCommand(self.cdata(&it)?)
            }
            "recvCmd" => {
                if it.take("src").is_some() {
                    return Err(wrong(
                        it.offset,
                        "<recvCmd>: attribute src is not supported: there is one other controller",
                    ));
                }
                What::ExpectCommand
            }
            "label" => {
                let id = it.need("id", "a name")?;
                it.done()?;
                if self.labels.insert(id.clone(), self.program.steps.len()).is_some() {
                    return Err(it.bad("id", &id, "a name that no other label has"));
                }
                return Ok(());
            }
            "init" => return self.init(it),
            "Global" => {
                let names = it.need("variables", "names, with commas between them")?;
                it.done()?;
                for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                    let var = self.program.var(name);
                    if !self.program.globals.contains(&var) {
                        self.program.globals.push(var);
                    }
                }
                return Ok(());
            }
            // What SIPp's statistics are to look like, and which variables are used on purpose.
            "ResponseTimeRepartition" | "CallLengthRepartition" | "Reference" => return Ok(()),
            _ => return Err(it.unsupported("scenario")),
        };
        self.step(it, what)
    }

    /// What is done once, with labels of its own.
    fn init(&mut self, mut it: Element) -> Result<(), Wrong> {
        it.done()?;
        let init = std::mem::take(&mut self.program.init);
        let steps = std::mem::replace(&mut self.program.steps, init);
        let (labels, open) = (std::mem::take(&mut self.labels), std::mem::take(&mut self.open));
        for child in std::mem::take(&mut it.children) {
            match child.name.as_str() {
                "nop" | "label" => self.element(child)?,
                _ => return Err(child.unsupported("init")),
            }
        }
        self.find_labels()?;
        (self.labels, self.open) = (labels, open);
        self.program.init = std::mem::replace(&mut self.program.steps, steps);
        Ok(())
    }

    /// What all steps may have, and what is in them.
    fn step(&mut self, mut it: Element, what: What) -> Result<(), Wrong> {
        // Times are measured by what is sent and received, whatever has a number; a blank line is for SIPp's screen.
        for statistics in ["rtd", "start_rtd", "repeat_rtd", "counter", "crlf", "hide", "display"] {
            it.take(statistics);
        }
        let (only, inverse) = (it.take("condexec"), it.flag("condexec_inverse")?);
        if only.is_none() && inverse {
            return Err(wrong(it.offset, format!("<{}>: condexec_inverse without condexec", it.name)));
        }
        let only = only.map(|name| (self.program.var(name.trim()), !inverse));
        let (next, test, chance) = (it.take("next"), it.take("test"), it.number("chance")?);
        it.done()?;
        let at = self.program.steps.len();
        let test = test.map(|name| self.program.var(&name));
        let chance = chance.unwrap_or(1.0);
        if !(0.0..=1.0).contains(&chance) {
            return Err(it.bad("chance", &chance.to_string(), "a share from 0 to 1"));
        }
        let mut goes = Vec::new();
        match next {
            Some(label) => {
                self.open.push(Open { step: at, label, offset: it.offset, on_timeout: false });
                goes.push(Next { to: 0, test, chance });
            }
            None if test.is_some() => return Err(wrong(it.offset, format!("<{}>: test without next", it.name))),
            None => {}
        }
        let mut actions = Vec::new();
        for mut child in std::mem::take(&mut it.children) {
            if child.name != "action" {
                return Err(child.unsupported(&it.name));
            }
            for action in std::mem::take(&mut child.children) {
                self.action(action, &mut actions)?;
            }
        }
        let line = line_of(self.text, it.offset);
        self.program.steps.push(Step { line, what, actions, next: goes, only });
        Ok(())
    }

    fn send(&mut self, it: &mut Element) -> Result<What, Wrong> {
        let again = it.number("retrans")?.filter(|millis| *millis > 0.0);
        let again = again.map(|millis| Duration::from_secs_f64(millis.clamp(1.0, 1e6) / 1000.0));
        let lost = it.number("lost")?.unwrap_or(0.0) / 100.0;
        let transaction = it.take("start_txn").map(|name| self.begins(name));
        if let Some(name) = it.take("ack_txn") {
            self.began(it, "ack_txn", &name)?;
        }
        let text = self.cdata(it)?;
        if text.first_word().is_none() {
            return Err(wrong(it.offset, "<send>: expected a message in CDATA, that begins with a method or SIP/2.0"));
        }
        Ok(What::Send(Send { text, again, lost, transaction }))
    }

    fn recv(&mut self, it: &mut Element) -> Result<What, Wrong> {
        let (response, request) = (it.take("response"), it.take("request"));
        let like = it.flag("regexp_match")?;
        let what = match (response, request) {
            (Some(code), None) => {
                let number = code.parse().ok().filter(|code| (100..700).contains(code));
                let number = number.ok_or_else(|| it.bad("response", &code, "a status code"))?;
                Pattern::Response(number, number)
            }
            (None, Some(method)) if like => Pattern::RequestLike(self.regex(it, "request", &method)?),
            (None, Some(method)) => Pattern::Request(method),
            _ => return Err(wrong(it.offset, "<recv>: expected one of response and request")),
        };
        let timeout = it.number("timeout")?.filter(|millis| *millis > 0.0);
        let timeout = timeout.map(|millis| Duration::from_secs_f64(millis.clamp(1.0, 1e9) / 1000.0));
        let on_timeout = it.take("ontimeout");
        if let Some(label) = on_timeout {
            self.open.push(Open { step: self.program.steps.len(), label, offset: it.offset, on_timeout: true });
        }
        let lost = it.number("lost")?.unwrap_or(0.0) / 100.0;
        let (optional, any_time) = match it.take("optional").as_deref() {
            None | Some("false") => (false, false),
            Some("true") => (true, false),
            Some("global") => (true, true),
            Some(other) => return Err(it.bad("optional", other, "true, false or global")),
        };
        self.program.any_time |= any_time;
        let (routes, challenge) = (it.flag("rrs")?, it.flag("auth")?);
        it.flag("ignoresdp")?;
        let of = it.take("response_txn");
        let transaction = of.map(|name| self.began(it, "response_txn", &name)).transpose()?;
        let on_timeout = None;
        Ok(What::Expect(Expect { what, optional, any_time, transaction, routes, challenge, timeout, on_timeout, lost }))
    }

    /// The number of a transaction that begins with this name.
    fn begins(&mut self, name: String) -> usize {
        let names = &mut self.program.transactions;
        names.iter().position(|known| *known == name).unwrap_or_else(|| {
            names.push(name);
            names.len() - 1
        })
    }

    /// The number of a transaction that was begun before.
    fn began(&self, it: &Element, attribute: &str, name: &str) -> Result<usize, Wrong> {
        let known = self.program.transactions.iter().position(|known| known == name);
        known.ok_or_else(|| it.bad(attribute, name, &format!("the name of a <send start_txn={name:?}> before it")))
    }

    fn cdata(&mut self, it: &Element) -> Result<Text, Wrong> {
        let mut names = Names { keys: self.keys, program: &mut self.program };
        Text::of_cdata(&it.text, &mut names).map_err(|what| wrong(it.offset, format!("<{}>: {what}", it.name)))
    }

    fn line(&mut self, it: &Element, text: &str) -> Result<Text, Wrong> {
        let mut names = Names { keys: self.keys, program: &mut self.program };
        Text::of_line(text, &mut names).map_err(|what| wrong(it.offset, format!("<{}>: {what}", it.name)))
    }

    fn length(&mut self, it: &mut Element) -> Result<Length, Wrong> {
        let distribution = it.take("distribution");
        it.flag("sanity_check")?;
        let need = |it: &mut Element, name: &str| {
            let number = it.number(name)?;
            number.ok_or_else(|| wrong(it.offset, format!("<{}>: {name} is missing: expected a number", it.name)))
        };
        Ok(match distribution.as_deref() {
            None => match (it.number("milliseconds")?, it.take("variable")) {
                (Some(millis), None) => Length::Fixed(millis),
                (None, Some(name)) => Length::Variable(self.program.var(&name)),
                (None, None) if it.name == "timewait" => {
                    return Err(wrong(it.offset, "<timewait>: milliseconds is missing"));
                }
                (None, None) => Length::Hold,
                (Some(_), Some(_)) => {
                    return Err(wrong(it.offset, "<pause>: expected one of milliseconds and variable"));
                }
            },
            Some("fixed") => Length::Fixed(need(it, "value")?),
            Some("uniform") => Length::Uniform(need(it, "min")?, need(it, "max")?),
            Some("exponential") => Length::Exponential(need(it, "mean")?),
            Some("normal") => Length::Normal(need(it, "mean")?, need(it, "stdev")?),
            Some("lognormal") => Length::LogNormal(need(it, "mean")?, need(it, "stdev")?),
            Some("weibull") => Length::Weibull(need(it, "lambda")?, need(it, "k")?),
            Some("pareto") => Length::Pareto(need(it, "k")?, need(it, "x_m")?),
            Some(other) => {
                let known = "fixed, uniform, exponential, normal, lognormal, weibull or pareto";
                return Err(it.bad("distribution", other, known));
            }
        })
    }

    /// A regular expression as POSIX has it: a dot is a line's end too.
    fn regex(&self, it: &Element, name: &str, text: &str) -> Result<Regex, Wrong> {
        let mut builder = RegexBuilder::new(text);
        let built = builder.dot_matches_new_line(true).size_limit(1 << 20).build();
        built.map_err(|error| it.bad(name, text, &format!("a regular expression: {error}")))
    }

    fn variable(&mut self, it: &mut Element, name: &str) -> Result<Var, Wrong> {
        let name = it.need(name, "a variable")?;
        Ok(self.program.var(name.trim()))
    }

    /// `value`, or `variable`.
    fn operand(&mut self, it: &mut Element, variable: &str) -> Result<Operand, Wrong> {
        match (it.number("value")?, it.take(variable)) {
            (Some(number), None) => Ok(Operand::Number(number)),
            (None, Some(name)) => Ok(Operand::Variable(self.program.var(&name))),
            _ => Err(wrong(it.offset, format!("<{}>: expected one of value and {variable}", it.name))),
        }
    }

    fn action(&mut self, mut it: Element, into: &mut Vec<Action>) -> Result<(), Wrong> {
        let operation = match it.name.as_str() {
            "add" => Some(Operation::Add),
            "subtract" => Some(Operation::Subtract),
            "multiply" => Some(Operation::Multiply),
            "divide" => Some(Operation::Divide),
            _ => None,
        };
        into.push(match it.name.as_str() {
            "ereg" => Action::Search(self.search(&mut it)?),
            "log" | "warning" => {
                let message = it.need("message", "a text")?;
                Action::Log(self.line(&it, &message)?)
            }
            "error" => {
                let message = it.need("message", "a text")?;
                Action::Error(self.line(&it, &message)?)
            }
            "index" => {
                let here = self.program.steps.len() as f64;
                Action::Number(self.variable(&mut it, "assign_to")?, Operand::Number(here))
            }
            "assign" => Action::Number(self.variable(&mut it, "assign_to")?, self.operand(&mut it, "variable")?),
            "assignstr" => {
                let (var, value) = (self.variable(&mut it, "assign_to")?, it.need("value", "a text")?);
                Action::Assign(var, self.line(&it, &value)?)
            }
            "todouble" => Action::ToNumber(self.variable(&mut it, "assign_to")?, self.variable(&mut it, "variable")?),
            "trim" => Action::Trim(self.variable(&mut it, "assign_to")?),
            "urlencode" => Action::Escape(self.variable(&mut it, "variable")?),
            "urldecode" => Action::Unescape(self.variable(&mut it, "variable")?),
            "sample" => {
                let var = self.variable(&mut it, "assign_to")?;
                Action::Sample(var, self.length(&mut it)?)
            }
            "test" => {
                let into = self.variable(&mut it, "assign_to")?;
                let one = Operand::Variable(self.variable(&mut it, "variable")?);
                let compare = it.need("compare", "equal")?;
                let known = "equal, not_equal, greater_than, less_than, greater_than_equal or less_than_equal";
                let comparison = Comparison::from_name(&compare).ok_or_else(|| it.bad("compare", &compare, known))?;
                let other = self.operand(&mut it, "variable2")?;
                Action::Compare(into, one, comparison, other, check(&mut it)?)
            }
            "strcmp" => {
                let (into, one) = (self.variable(&mut it, "assign_to")?, self.variable(&mut it, "variable")?);
                let other = match (it.take("value"), it.take("variable2")) {
                    (Some(value), None) => Other::Text(self.line(&it, &value)?),
                    (None, Some(name)) => Other::Variable(self.program.var(name.trim())),
                    _ => return Err(wrong(it.offset, "<strcmp>: expected one of value and variable2")),
                };
                Action::CompareText(into, one, other, check(&mut it)?)
            }
            "lookup" => {
                let (var, key) = (self.variable(&mut it, "assign_to")?, it.need("key", "a text")?);
                let file = it.need("file", "a file of --fields")?;
                let table = self.program.table(&file);
                Action::Look(var, table, self.line(&it, &key)?)
            }
            "verifyauth" => {
                let var = self.variable(&mut it, "assign_to")?;
                let (name, password) = (it.need("username", "a name")?, it.need("password", "a password")?);
                Action::Verify(var, self.line(&it, &name)?, self.line(&it, &password)?)
            }
            "gettimeofday" => {
                let names = it.need("assign_to", "two variables")?;
                let Some((seconds, micros)) = names.split_once(',').filter(|(_, micros)| !micros.contains(',')) else {
                    return Err(it.bad("assign_to", &names, "two variables, with a comma between them"));
                };
                Action::Clock(self.program.var(seconds.trim()), self.program.var(micros.trim()))
            }
            "setdest" => {
                let texts = ["host", "port", "protocol"].map(|name| {
                    let text = it.need(name, "a text")?;
                    self.line(&it, &text)
                });
                let [host, port, protocol] = texts;
                Action::Destination(host?, port?, protocol?)
            }
            "jump" => Action::Jump(self.operand(&mut it, "variable")?),
            "exec" => match it.take("int_cmd").as_deref() {
                Some("stop_call") => Action::StopCall,
                Some("stop_gracefully" | "stop_now") => Action::StopAll,
                Some(other) => return Err(it.bad("int_cmd", other, "stop_call, stop_gracefully or stop_now")),
                None => {
                    // What it is to do instead.
                    it.done()?;
                    return Err(wrong(it.offset, "<exec>: int_cmd is missing: expected stop_call or stop_now"));
                }
            },
            _ => match operation {
                Some(operation) => Action::Calculate(
                    self.variable(&mut it, "assign_to")?,
                    operation,
                    self.operand(&mut it, "variable")?,
                ),
                None => return Err(it.unsupported("action")),
            },
        });
        it.done()
    }

    fn search(&mut self, it: &mut Element) -> Result<Search, Wrong> {
        let text = it.need("regexp", "a regular expression")?;
        let regex = self.regex(it, "regexp", &text)?;
        // It is said of a header's name, and those are found in any case.
        it.flag("case_indep")?;
        let nth = it.number("occurrence")?.map_or(0, |nth| (nth as usize).saturating_sub(1));
        it.flag("start_line")?;
        let within = match it.take("search_in").as_deref() {
            None | Some("msg") => Within::Message,
            Some("body") => Within::Body,
            Some("hdr") => {
                let name = it.need("header", "a header's name")?;
                // SIPp searches what stands behind the name that it is given.
                let before = if name.contains(':') { " " } else { ": " };
                Within::Header(name.trim().trim_end_matches(':').trim().to_owned(), nth, before)
            }
            Some("var") => Within::Variable(self.variable(it, "variable")?),
            Some(other) => return Err(it.bad("search_in", other, "msg, hdr, body or var")),
        };
        let check = check(it)?;
        let into = it.take("assign_to").unwrap_or_default();
        let into =
            into.split(',').map(str::trim).filter(|name| !name.is_empty()).map(|name| self.program.var(name)).collect();
        Ok(Search { regex, within, check, keeps: true, into })
    }

    fn close(mut self) -> Result<Program, Wrong> {
        self.find_labels()?;
        if self.program.steps.is_empty() {
            return Err(wrong(0, "<scenario>: it has no steps"));
        }
        Ok(self.program)
    }

    fn find_labels(&mut self) -> Result<(), Wrong> {
        for Open { step, label, offset, on_timeout } in std::mem::take(&mut self.open) {
            let Some(to) = self.labels.get(&label).copied() else {
                return Err(wrong(offset, format!("label {label:?} is nowhere: expected <label id={label:?}/>")));
            };
            let Some(step) = self.program.steps.get_mut(step) else { continue };
            match &mut step.what {
                What::Expect(expect) if on_timeout => expect.on_timeout = Some(to),
                _ => step.next.iter_mut().for_each(|next| next.to = to),
            }
        }
        Ok(())
    }
}

/// What a test is for beside its variable.
fn check(it: &mut Element) -> Result<Check, Wrong> {
    Ok(Check { must: it.flag("check_it")?, must_not: it.flag("check_it_inverse")? })
}
