//! A scenario as it is run: steps, made of a file of TOML or of SIPp's XML.

use super::action::Action;
use super::text::Text;
use regex::Regex;
use std::time::Duration;

/// A variable's place in a call.
pub(crate) type Var = usize;
/// A step's number.
pub(crate) type At = usize;

/// A scenario.
#[derive(Clone, Debug, Default)]
pub(crate) struct Program {
    /// What it calls itself.
    pub(crate) name: String,
    /// The file that it was read from.
    pub(crate) file: String,
    pub(crate) steps: Vec<Step>,
    /// What is done once, before the first call: it gives the variables of all calls their values.
    pub(crate) init: Vec<Step>,
    /// The variables' names, and the value that each call begins with.
    pub(crate) vars: Vec<(String, Value)>,
    /// As SIPp has it: what no step expects ends the call, and nothing is sent that the scenario does not say.
    pub(crate) strict: bool,
    /// It has steps whose messages may come at any later time.
    pub(crate) any_time: bool,
    /// The variables that all calls share.
    pub(crate) globals: Vec<Var>,
    /// The names of transactions.
    pub(crate) transactions: Vec<String>,
    /// The files of fields that it names, besides the first of the command line.
    pub(crate) tables: Vec<String>,
    /// Its Call-IDs have something of their own before the call's: `abc///[call_id]`.
    pub(crate) prefixed: bool,
    /// It has fields of the command line's first file.
    pub(crate) needs_fields: bool,
}

/// The value of a variable.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Value {
    /// Nothing was ever assigned, or what was searched was not found.
    #[default]
    None,
    Number(f64),
    Text(String),
    Flag(bool),
}

impl Value {
    /// Whether a test of it holds: it was assigned something, and neither `false` nor 0.
    pub(crate) fn is_set(&self) -> bool {
        !matches!(self, Value::None | Value::Flag(false)) && *self != Value::Number(0.0)
    }

    /// As SIPp writes it: a number with six digits behind its point, and 0 not at all.
    pub(crate) fn text_of_sipp(&self) -> String {
        match self {
            Value::Number(0.0) => String::new(),
            Value::Number(number) => format!("{number:.6}"),
            other => other.text(),
        }
    }

    /// The number that it is, or that its text is.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Value::Number(number) => Some(*number),
            Value::Text(text) => text.trim().parse().ok(),
            Value::Flag(flag) => Some(f64::from(u8::from(*flag))),
            Value::None => None,
        }
    }

    /// As it stands in a message: a whole number without a point.
    pub(crate) fn text(&self) -> String {
        match self {
            Value::None => String::new(),
            Value::Number(number) => number.to_string(),
            Value::Text(text) => text.clone(),
            Value::Flag(flag) => flag.to_string(),
        }
    }
}

/// One step.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// Its line in the file.
    pub(crate) line: usize,
    pub(crate) what: What,
    /// What is done when it is: for a message, with it.
    pub(crate) actions: Vec<Action>,
    /// Where it goes on, if not with the next; the first that holds.
    pub(crate) next: Vec<Next>,
    /// It is passed over unless this variable is set; or, with `false`, when it is.
    pub(crate) only: Option<(Var, bool)>,
}

/// What a step is.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Send(Send),
    Expect(Expect),
    Pause(Pause),
    /// A command to the other controller of a third-party call, or one from it.
    SendCommand(Text),
    ExpectCommand,
    /// Only its actions and where it goes on.
    Nothing,
    /// The call is over: it has failed, with this cause, or done all that it should.
    End(Option<Text>),
}

/// A message that is sent.
#[derive(Clone, Debug)]
pub(crate) struct Send {
    pub(crate) text: Text,
    /// Over UDP it is sent again after so long, and again, until something that is expected comes.
    pub(crate) again: Option<Duration>,
    /// The share of them that is not sent at all.
    pub(crate) lost: f64,
    /// The transaction that it begins.
    pub(crate) transaction: Option<usize>,
}

/// A message that is waited for.
#[derive(Clone, Debug)]
pub(crate) struct Expect {
    pub(crate) what: Pattern,
    /// It need not come: what the next step expects will do.
    pub(crate) optional: bool,
    /// It may come at any later time.
    pub(crate) any_time: bool,
    /// The transaction that it belongs to.
    pub(crate) transaction: Option<usize>,
    /// Its Record-Route and Contact are where the dialog's requests go.
    pub(crate) routes: bool,
    /// It is a challenge, which is kept for the next request with credentials.
    pub(crate) challenge: bool,
    /// How long it is waited for; and where it goes on then, if the call does not fail.
    pub(crate) timeout: Option<Duration>,
    pub(crate) on_timeout: Option<At>,
    /// The share of them that is taken as lost on the way.
    pub(crate) lost: f64,
}

/// Which messages a step expects.
#[derive(Clone, Debug)]
pub(crate) enum Pattern {
    /// Responses with a status from here to there.
    Response(u16, u16),
    /// Requests with this method.
    Request(String),
    /// Requests whose method the expression matches.
    RequestLike(Regex),
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Pattern::Response(from, to) if from == to => write!(f, "{from}"),
            Pattern::Response(from, _) => write!(f, "{}xx", from / 100),
            Pattern::Request(method) => f.write_str(method),
            Pattern::RequestLike(regex) => write!(f, "{regex}"),
        }
    }
}

/// Where a step goes on.
#[derive(Clone, Debug)]
pub(crate) struct Next {
    pub(crate) to: At,
    /// Only when this variable is set.
    pub(crate) test: Option<Var>,
    /// How often.
    pub(crate) chance: f64,
}

/// A time in which nothing is expected.
#[derive(Clone, Debug)]
pub(crate) struct Pause {
    pub(crate) length: Length,
    /// The call has done all that it should, and only answers what comes again.
    pub(crate) after_all: bool,
}

/// How long a pause is, in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Length {
    /// What the command line says.
    Hold,
    Fixed(f64),
    Uniform(f64, f64),
    Exponential(f64),
    /// Mean and deviation.
    Normal(f64, f64),
    /// Mean and deviation of its logarithm.
    LogNormal(f64, f64),
    /// Scale and shape.
    Weibull(f64, f64),
    /// Shape and the least.
    Pareto(f64, f64),
    Variable(Var),
}

impl Program {
    /// Whether it waits for calls, and makes none.
    pub(crate) fn is_called(&self) -> bool {
        let first = self.steps.iter().find(|step| !matches!(step.what, What::Nothing));
        matches!(first.map(|step| &step.what), Some(What::Expect(Expect { what, .. })) if !matches!(what, Pattern::Response(..)))
    }

    /// Whether its calls are begun by commands of another controller.
    pub(crate) fn is_commanded(&self) -> bool {
        let first = self.steps.iter().find(|step| !matches!(step.what, What::Nothing));
        matches!(first.map(|step| &step.what), Some(What::ExpectCommand))
    }

    /// Where a step stands.
    pub(crate) fn place(&self, at: At) -> String {
        self.steps.get(at).map_or_else(|| self.file.clone(), |step| format!("{}:{}", self.file, step.line))
    }

    /// The place of a variable, which is there from now on.
    pub(crate) fn var(&mut self, name: &str) -> Var {
        let known = self.vars.iter().position(|(known, _)| known == name);
        known.unwrap_or_else(|| {
            self.vars.push((name.to_owned(), Value::None));
            self.vars.len() - 1
        })
    }

    /// The number of a file of fields; the first of the command line has 0, whatever it is called.
    pub(crate) fn table(&mut self, name: &str) -> usize {
        let known = self.tables.iter().position(|known| known == name);
        known.unwrap_or_else(|| {
            self.tables.push(name.to_owned());
            self.tables.len() - 1
        }) + 1
    }
}
