//! What steps do beside sending and receiving: variables, texts, lengths of pauses.

use super::super::credentials;
use super::action::{Action, Operand, Operation, Other, Within};
use super::machine::{Machine, Out};
use super::program::{At, Length, Value, Var};
use super::render::Renderer;
use super::text::Text;
use crate::percent::{escaped, unescaped};
use rutil::Time;
use stack::message::Message;
use stack::transport::TransportType;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

impl Machine<'_> {
    pub(super) fn act(&mut self, action: &Action, message: Option<&Message>) -> Result<Option<At>, ()> {
        let number = |vars: &[Value], operand: &Operand| match operand {
            Operand::Number(number) => *number,
            Operand::Variable(var) => vars.get(*var).and_then(Value::number).unwrap_or(0.0),
        };
        let (mut set, mut jump) = (None, None);
        match action {
            Action::Search(search) => {
                let text = self.searched(&search.within, message);
                if !search.run(text.as_deref(), &mut self.call.vars) {
                    let place = self.setup.program.place(self.call.at);
                    self.fail(format!(
                        "{place}: {:?} {}",
                        search.regex.as_str(),
                        if search.check.must { "is not there" } else { "is there" }
                    ));
                    return Err(());
                }
            }
            Action::Assign(var, text) => set = Some((*var, Value::Text(self.render(text)))),
            Action::Number(var, operand) => set = Some((*var, Value::Number(number(&self.call.vars, operand)))),
            Action::Calculate(var, operation, operand) => {
                let (own, other) =
                    (number(&self.call.vars, &Operand::Variable(*var)), number(&self.call.vars, operand));
                if operation == &Operation::Divide && other == 0.0 {
                    self.out.push(Out::Log(format!("{}: a division by zero changes nothing", self.here())));
                } else {
                    set = Some((*var, Value::Number(operation.of(own, other))));
                }
            }
            Action::ToNumber(var, from) => match self.call.vars.get(*from).and_then(Value::number) {
                Some(number) => set = Some((*var, Value::Number(number))),
                None => {
                    self.out.push(Out::Log(format!("{}: todouble: what is no number changes nothing", self.here())))
                }
            },
            Action::Trim(var) => {
                let text = self.call.vars.get(*var).map(Value::text).unwrap_or_default();
                set = Some((*var, Value::Text(text.trim().to_owned())));
            }
            Action::Sample(var, length) => set = Some((*var, Value::Number(self.sample(length)))),
            Action::Compare(var, a, comparison, b, check) => {
                let (a, b) = (number(&self.call.vars, a), number(&self.call.vars, b));
                let holds = comparison.holds(a, b);
                set = Some((*var, Value::Flag(holds)));
                if !check.passes(holds) {
                    self.fail(format!("{}: test of {a} and {b}: {}", self.here(), check.told()));
                    return Err(());
                }
            }
            Action::CompareText(var, one, other, check) => {
                let text = |vars: &[Value], var: &Var| vars.get(*var).map(Value::text).unwrap_or_default();
                let other = match other {
                    Other::Text(other) => self.render(other),
                    Other::Variable(other) => text(&self.call.vars, other),
                };
                let one = text(&self.call.vars, one);
                let order = one.cmp(&other);
                set = Some((*var, Value::Number(f64::from(order as i8))));
                if !check.passes(order.is_eq()) {
                    self.fail(format!("{}: strcmp of {one:?} and {other:?}: {}", self.here(), check.told()));
                    return Err(());
                }
            }
            Action::Escape(var) | Action::Unescape(var) => {
                let text = self.call.vars.get(*var).map(Value::text).unwrap_or_default();
                let text = if matches!(action, Action::Escape(_)) { escaped(&text) } else { unescaped(&text) };
                set = Some((*var, Value::Text(text)));
            }
            Action::Look(var, table, key) => {
                let key = self.render(key);
                let setup = self.setup;
                let lines = setup.fields.get(*table).map_or(&[][..], |table| &table.lines);
                let found = lines.iter().position(|line| line.first().is_some_and(|text| self.render(text) == key));
                set = Some((*var, Value::Number(found.map_or(-1.0, |line| line as f64))));
            }
            Action::Verify(var, name, password) => {
                let (name, password) = (self.render(name), self.render(password));
                let message = message.or(self.call.last.as_deref());
                let is_right = message.is_some_and(|request| credentials::is_right(request, &name, &password));
                set = Some((*var, Value::Flag(is_right)));
            }
            Action::Clock(seconds, micros) => {
                let now = self.setup.epoch + self.now.since(Time::ZERO);
                let values = [(seconds, now.as_secs() as f64), (micros, f64::from(now.subsec_micros()))];
                for (var, value) in values {
                    self.call.vars.get_mut(*var).into_iter().for_each(|place| *place = Value::Number(value));
                }
            }
            Action::Destination(host, port, transport) => {
                let [host, port, transport] = [host, port, transport].map(|text| self.render(text));
                match self.destination(&host, &port, &transport) {
                    Ok(peer) => self.out.push(Out::Destination(peer)),
                    Err(why) => {
                        let place = self.setup.program.place(self.call.at);
                        self.fail(format!("{place}: setdest: {why}"));
                        return Err(());
                    }
                }
            }
            Action::Log(text) => {
                let text = self.render(text);
                self.out.push(Out::Log(text));
            }
            Action::Error(text) => {
                let text = self.render(text);
                self.out.push(Out::StopAll);
                self.fail(format!("{}: {text}", self.here()));
                return Err(());
            }
            Action::Jump(operand) => jump = Some(number(&self.call.vars, operand).max(0.0) as usize),
            Action::StopCall => {
                self.end(Out::Succeeded);
                return Err(());
            }
            Action::StopAll => self.out.push(Out::StopAll),
        }
        if let Some((var, value)) = set
            && let Some(place) = self.call.vars.get_mut(var)
        {
            *place = value;
        }
        Ok(jump)
    }

    /// Where a call goes from now on. Names are not looked up: a call does not wait for that.
    fn destination(&self, host: &str, port: &str, transport: &str) -> Result<SocketAddr, String> {
        let kind = self.setup.kind;
        if !matches!(kind, TransportType::Udp | TransportType::Tcp) || !kind.as_param().eq_ignore_ascii_case(transport)
        {
            return Err(format!(
                "protocol {transport:?} for a call over {kind}: expected that of the call, UDP or TCP"
            ));
        }
        let ip: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        let ip = ip.ok_or_else(|| format!("host {host:?}: expected an IP address"))?;
        if ip.is_ipv4() != self.call.local.is_ipv4() {
            return Err(format!("host {host:?}: the call is from {}", self.call.local.ip()));
        }
        // A variable may be a number with a point.
        let number = Value::Text(port.to_owned()).number().filter(|port| (1.0..=65535.0).contains(port));
        let port = number.ok_or_else(|| format!("port {port:?}: expected 1 to 65535"))?;
        Ok(SocketAddr::new(ip, port as u16))
    }

    fn here(&self) -> String {
        self.setup.program.place(self.call.at)
    }

    /// What is searched; nothing where a header is not there.
    fn searched(&self, within: &Within, message: Option<&Message>) -> Option<String> {
        let message = message.or(self.call.last.as_deref());
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        Some(match (within, message) {
            (Within::Variable(var), _) => self.call.vars.get(*var).map(Value::text).unwrap_or_default(),
            (_, None) => String::new(),
            (Within::Message, Some(message)) => text(&message.to_bytes()),
            (Within::Body, Some(message)) => text(message.body()),
            (Within::Header(name, nth, before), Some(message)) => {
                (*before).to_owned() + &text(message.raw_values(name).nth(*nth)?)
            }
        })
    }

    pub(super) fn render(&mut self, text: &Text) -> String {
        self.renderer(self.call.at).line(text)
    }

    pub(super) fn renderer(&mut self, at: At) -> Renderer<'_> {
        Renderer { setup: self.setup, call: &*self.call, rng: &mut *self.rng, now: self.now, at }
    }

    pub(super) fn length(&mut self, length: &Length) -> Duration {
        let millis = match length {
            Length::Hold => return self.setup.hold,
            other => self.sample(other),
        };
        Duration::try_from_secs_f64((millis / 1000.0).max(0.0)).unwrap_or(Duration::ZERO)
    }

    /// A number of a distribution.
    pub(super) fn sample(&mut self, length: &Length) -> f64 {
        // Above 0 and below 1.
        let mut unit = || (self.rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64 + f64::EPSILON / 4.0;
        // Box and Muller.
        let mut normal = || (-2.0 * unit().ln()).sqrt() * (std::f64::consts::TAU * unit()).cos();
        match length {
            Length::Hold => self.setup.hold.as_secs_f64() * 1000.0,
            Length::Fixed(millis) => *millis,
            Length::Normal(mean, deviation) => mean + deviation * normal(),
            Length::LogNormal(mean, deviation) => (mean + deviation * normal()).exp(),
            Length::Uniform(from, to) => from + (to - from) * unit(),
            Length::Exponential(mean) => -mean * unit().ln(),
            Length::Weibull(scale, shape) => scale * (-unit().ln()).powf(1.0 / shape),
            Length::Pareto(shape, least) => least / unit().powf(1.0 / shape),
            Length::Variable(var) => self.call.vars.get(*var).and_then(Value::number).unwrap_or(0.0),
        }
    }
}
