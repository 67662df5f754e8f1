//! What a step does with variables.

use super::program::{Length, Value, Var};
use super::text::Text;
use regex::Regex;

/// What is done when a step is.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// Searches, and assigns what was found: the whole, then the groups.
    Search(Search),
    Assign(Var, Text),
    /// Assigns a number to the first: its own and the operand, together.
    Calculate(Var, Operation, Operand),
    Number(Var, Operand),
    ToNumber(Var, Var),
    Trim(Var),
    /// A number of a distribution.
    Sample(Var, Length),
    /// Whether a comparison holds, and whether it has to.
    Compare(Var, Operand, Comparison, Operand, Check),
    /// Compares texts: less than nothing, nothing or more; and whether they have to be the same.
    CompareText(Var, Var, Other, Check),
    /// Writes what may not stand in a URI as octets in hexadecimal digits.
    Escape(Var),
    /// Reads that.
    Unescape(Var),
    /// The line of a file of fields whose first field is this; -1 where there is none.
    Look(Var, usize, Text),
    /// Whether the Authorization of the message is of this name and password.
    Verify(Var, Text, Text),
    /// The wall clock: seconds since 1970, and microseconds.
    Clock(Var, Var),
    /// What is sent from now on goes to this host and port, by this transport.
    Destination(Text, Text, Text),
    /// Tells people.
    Log(Text),
    /// The call has failed, for this reason, and no more calls are started.
    Error(Text),
    /// Goes on at a step.
    Jump(Operand),
    /// The call is over, in good order.
    StopCall,
    /// No more calls are started; or all end at once.
    StopAll,
}

/// A search.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    pub(crate) regex: Regex,
    pub(crate) within: Within,
    pub(crate) check: Check,
    /// A variable for which nothing is found stays as it was, as with SIPp.
    pub(crate) keeps: bool,
    pub(crate) into: Vec<Var>,
}

/// What the call fails for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Check {
    /// It does not hold.
    pub(crate) must: bool,
    /// It holds.
    pub(crate) must_not: bool,
}

impl Check {
    /// What was wrong with what does not pass.
    pub(crate) fn told(self) -> &'static str {
        if self.must { "they are not as they have to be" } else { "they are as they may not be" }
    }

    pub(crate) fn passes(self, holds: bool) -> bool {
        if holds { !self.must_not } else { !self.must }
    }
}

/// What a variable is compared with.
#[derive(Clone, Debug)]
pub(crate) enum Other {
    Text(Text),
    Variable(Var),
}

/// What is searched.
#[derive(Clone, Debug)]
pub(crate) enum Within {
    Message,
    Body,
    /// A header's value, its so many-th, with this before it.
    Header(String, usize, &'static str),
    Variable(Var),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Operand {
    Number(f64),
    Variable(Var),
}

impl Operation {
    pub(crate) fn of(self, a: f64, b: f64) -> f64 {
        match self {
            Operation::Add => a + b,
            Operation::Subtract => a - b,
            Operation::Multiply => a * b,
            Operation::Divide => a / b,
        }
    }
}

impl Comparison {
    /// By SIPp's names.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "equal" => Comparison::Equal,
            "not_equal" => Comparison::NotEqual,
            "greater_than" => Comparison::Greater,
            "less_than" => Comparison::Less,
            "greater_than_equal" => Comparison::GreaterOrEqual,
            "less_than_equal" => Comparison::LessOrEqual,
            _ => return None,
        })
    }

    pub(crate) fn holds(self, a: f64, b: f64) -> bool {
        match self {
            Comparison::Equal => a == b,
            Comparison::NotEqual => a != b,
            Comparison::Greater => a > b,
            Comparison::Less => a < b,
            Comparison::GreaterOrEqual => a >= b,
            Comparison::LessOrEqual => a <= b,
        }
    }
}

impl Search {
    /// Searches `text`, and assigns; whether the call may go on. In a header that is not there nothing is found that must be.
    pub(crate) fn run(&self, text: Option<&str>, vars: &mut [Value]) -> bool {
        let found = self.regex.captures(text.unwrap_or_default()).filter(|_| text.is_some() || !self.check.must);
        // The first is the whole; where there is one variable for what has groups, SIPp gives it the whole.
        for (nth, var) in self.into.iter().enumerate() {
            let value = found.as_ref().and_then(|found| found.get(nth));
            if let Some(place) = vars.get_mut(*var).filter(|_| value.is_some() || !self.keeps) {
                *place = value.map_or(Value::None, |value| Value::Text(value.as_str().to_owned()));
            }
        }
        self.check.passes(found.is_some())
    }
}
