//! The text of a message: lines with places for what differs from call to call, as SIPp writes them: `[call_id]`.

use super::program::{Program, Var};
use super::text_of;
use std::collections::HashMap;
use std::path::Path;

/// Keywords within keywords, as [authentication password=[field0 line=[$n]]], at most.
const MOST_DEEP: usize = 3;
/// What stands between the call's own Call-ID and what a scenario writes before it, as with SIPp.
pub(super) const PREFIXED: &str = "///";
/// The most characters of a keyword that is shown in an error.
const SHOWN: usize = 60;

/// A text with places.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Text {
    pub(crate) lines: Vec<Vec<Piece>>,
}

/// A piece of a line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Piece {
    Literal(String),
    Keyword(Keyword),
}

/// What stands in a place. A number is added to what is there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Keyword {
    Service,
    RemoteIp,
    RemotePort(i64),
    Transport,
    LocalIp,
    LocalIpType,
    LocalPort(i64),
    MediaIp,
    MediaIpType,
    MediaPort(i64),
    CallNumber,
    /// Of this message, or of one so many messages before.
    Branch(i64),
    CallId,
    Cseq(i64),
    Len(i64),
    Pid,
    PeerTagParam,
    Routes,
    NextUrl,
    /// All lines of a header of the last message, with its name.
    Last(String),
    LastMessage,
    LastRequestUri,
    LastCseqNumber(i64),
    Variable(Var),
    /// The line that answers the challenge, with a name and a password of its own or the user's.
    Authentication(Option<Box<Text>>, Option<Box<Text>>),
    /// A field of the call's line of a file, or of the line with this number.
    Field {
        table: usize,
        nth: usize,
        line: Option<Box<Text>>,
    },
    MsgIndex,
    ClockTick,
    /// The wall clock: date, time of day, seconds since 1970.
    Timestamp,
    /// This program's own version.
    Version,
    /// So many characters as the variable says, of this text over and over.
    Fill(Var, String),
    /// What a file holds.
    File(String),
    /// What a request outside of dialogs is for.
    Target,
    /// What a request of the dialog is for: the peer's Contact, before it is known the target.
    RemoteTarget,
    User,
    Domain,
    /// From and To of a request of ours.
    LocalParty,
    RemoteParty,
    LocalTag,
    /// The address for a Contact.
    ContactUri,
    /// The lines that answer a challenge, where there was one.
    Credentials,
    /// All lines of a header of the request that is answered; To has our tag.
    Answered(String),
    /// The value of a header of the last message.
    LastValue(String),
    /// CSeq's number and the branch of our INVITE.
    InviteCseq,
    InviteBranch,
}

/// Keys of the command line, and the variables that are there.
pub(crate) struct Names<'a> {
    pub(crate) keys: &'a HashMap<String, String>,
    pub(crate) program: &'a mut Program,
}

impl Text {
    /// The text of SIPp's CDATA: leading blanks of each line do not count, nor do blank lines before and behind all.
    pub(crate) fn of_cdata(cdata: &str, names: &mut Names<'_>) -> Result<Self, String> {
        let trimmed = cdata.trim();
        let lines: Result<_, _> = trimmed.lines().map(|line| line_of(line.trim(), names, 0)).collect();
        Ok(Text { lines: lines? })
    }

    /// One line.
    pub(crate) fn of_line(text: &str, names: &mut Names<'_>) -> Result<Self, String> {
        Self::within(text, names, 0)
    }

    /// One line that stands within so many keywords.
    fn within(text: &str, names: &mut Names<'_>, depth: usize) -> Result<Self, String> {
        let lines: Result<_, _> = text.split('\n').map(|line| line_of(line, names, depth)).collect();
        Ok(Text { lines: lines? })
    }

    /// What can be read at once: the method or status that a message begins with.
    pub(crate) fn first_word(&self) -> Option<&str> {
        match self.lines.first()?.first()? {
            Piece::Literal(text) => text.split_whitespace().next(),
            Piece::Keyword(_) => None,
        }
    }
}

fn line_of(line: &str, names: &mut Names<'_>, depth: usize) -> Result<Vec<Piece>, String> {
    let (mut pieces, mut rest) = (Vec::new(), line);
    let mut literal = String::new();
    while let Some(open) = rest.find('[') {
        plain(&rest[..open], &mut literal)?;
        let inside = &rest[open + 1..];
        let Some(close) = closing(inside) else {
            literal.push('[');
            rest = inside;
            continue;
        };
        // An address of IPv6, or the like, has keywords within its brackets.
        let word = &inside[..close];
        if word.starts_with('[') || word.is_empty() || !word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '$')
        {
            literal.push('[');
            rest = inside;
            continue;
        }
        match names.keys.get(word) {
            Some(value) => literal.push_str(value),
            None => {
                names.program.prefixed |= word == "call_id" && literal.ends_with(PREFIXED);
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                }
                pieces.push(Piece::Keyword(keyword(word, names, depth)?));
            }
        }
        rest = &inside[close + 1..];
    }
    plain(rest, &mut literal)?;
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(pieces)
}

/// Text as it is; `\x5b` is a bracket that begins no keyword.
fn plain(text: &str, out: &mut String) -> Result<(), String> {
    let mut parts = text.split("\\x");
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let octet = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let octet = octet.filter(u8::is_ascii).ok_or("\\x: expected two hexadecimal digits behind it, 00 to 7f")?;
        out.push(char::from(octet));
        out.push_str(&part[2..]);
    }
    Ok(())
}

/// Where the bracket closes, behind those that open within.
fn closing(inside: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in inside.char_indices() {
        match c {
            '[' => depth += 1,
            ']' if depth == 0 => return Some(at),
            ']' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn keyword(word: &str, names: &mut Names<'_>, depth: usize) -> Result<Keyword, String> {
    let shown: String = word.chars().take(SHOWN).collect();
    if depth == MOST_DEEP {
        return Err(format!("[{shown}]: keywords within keywords are too deep: expected {MOST_DEEP} at most"));
    }
    if let Some(name) = word.strip_prefix('$') {
        return Ok(Keyword::Variable(names.program.var(name)));
    }
    if let Some(parameters) = word.strip_prefix("authentication") {
        return authentication(parameters, names, depth + 1);
    }
    match word.split_once(char::is_whitespace) {
        Some(("fill", rest)) => return fill(rest, names).map_err(|what| format!("[{shown}]: {what}")),
        Some(("file", rest)) => return file(rest).map_err(|what| format!("[{shown}]: {what}")),
        _ => {}
    }
    let (name, plus) = offset(word);
    if let Some(header) = word.strip_prefix("last_") {
        return Ok(match (header, name) {
            ("message", _) => Keyword::LastMessage,
            ("Request_URI", _) => Keyword::LastRequestUri,
            (_, "last_cseq_number") => Keyword::LastCseqNumber(plus),
            _ => Keyword::Last(header.trim_end_matches(':').trim().to_owned()),
        });
    }
    if let Some(field) = word.strip_prefix("field") {
        return of_file(field, names, depth + 1).map_err(|what| format!("[{shown}]: {what}"));
    }
    Ok(match (name, plus) {
        ("service", 0) => Keyword::Service,
        ("remote_ip" | "remote_host", 0) => Keyword::RemoteIp,
        ("remote_port", plus) => Keyword::RemotePort(plus),
        ("transport", 0) => Keyword::Transport,
        ("local_ip" | "server_ip", 0) => Keyword::LocalIp,
        ("local_ip_type", 0) => Keyword::LocalIpType,
        ("local_port", plus) => Keyword::LocalPort(plus),
        ("media_ip", 0) => Keyword::MediaIp,
        ("media_ip_type", 0) => Keyword::MediaIpType,
        ("media_port" | "auto_media_port", plus) => Keyword::MediaPort(plus),
        ("call_number", 0) => Keyword::CallNumber,
        ("branch", plus) => Keyword::Branch(plus),
        ("call_id", 0) => Keyword::CallId,
        ("cseq", plus) => Keyword::Cseq(plus),
        ("len", plus) => Keyword::Len(plus),
        ("pid", 0) => Keyword::Pid,
        ("peer_tag_param", 0) => Keyword::PeerTagParam,
        ("routes", 0) => Keyword::Routes,
        ("next_url", 0) => Keyword::NextUrl,
        ("msg_index", 0) => Keyword::MsgIndex,
        ("clock_tick", 0) => Keyword::ClockTick,
        ("timestamp", 0) => Keyword::Timestamp,
        ("sipp_version", 0) => Keyword::Version,
        _ => {
            return Err(format!(
                "[{shown}]: not supported: expected a keyword, as [call_id], or a name of --key NAME=VALUE"
            ));
        }
    })
}

/// A number behind a name: `len-3`.
fn offset(word: &str) -> (&str, i64) {
    let Some(at) = word.rfind(['+', '-']) else { return (word, 0) };
    match (word.get(..at), word.get(at..).map(str::parse)) {
        (Some(name), Some(Ok(plus))) => (name, plus),
        _ => (word, 0),
    }
}

/// `name=value name="value"`; a value may be a keyword with blanks of its own.
fn parameters(text: &str) -> Result<Vec<(&str, &str)>, String> {
    let (mut all, mut rest) = (Vec::new(), text.trim());
    while let Some((name, value)) = rest.split_once('=') {
        let end = match value.strip_prefix('"') {
            Some(quoted) => quoted.find('"').map(|end| end + 2),
            None => {
                let mut depth = 0_i32;
                let ends = |c: char| {
                    depth += i32::from(c == '[') - i32::from(c == ']');
                    depth <= 0 && c.is_whitespace()
                };
                Some(value.find(ends).unwrap_or(value.len()))
            }
        };
        let end = end.ok_or_else(|| format!("{}: expected a quote at its end", name.trim()))?;
        all.push((name.trim(), value[..end].trim_matches('"')));
        rest = value[end..].trim();
    }
    if rest.is_empty() { Ok(all) } else { Err(format!("{rest}: expected NAME=VALUE")) }
}

/// `username=joe password=[field1]`
fn authentication(text: &str, names: &mut Names<'_>, depth: usize) -> Result<Keyword, String> {
    let (mut user, mut password) = (None, None);
    for (name, value) in parameters(text).map_err(|what| format!("[authentication]: {what}"))? {
        let text = Some(Box::new(Text::within(value, names, depth)?));
        match name {
            "username" => user = text,
            "password" => password = text,
            other => return Err(format!("[authentication]: {other}: not supported: expected username and password")),
        }
    }
    Ok(Keyword::Authentication(user, password))
}

/// `variable=n text="ab"`
fn fill(text: &str, names: &mut Names<'_>) -> Result<Keyword, String> {
    let (mut variable, mut over) = (None, "X");
    for (name, value) in parameters(text)? {
        match name {
            "variable" => variable = Some(names.program.var(value)),
            "text" if !value.is_empty() => over = value,
            "text" => return Err("text is empty".to_owned()),
            other => return Err(format!("{other}: not supported: expected variable and text")),
        }
    }
    let variable = variable.ok_or("variable is missing: expected the one that says how many characters")?;
    Ok(Keyword::Fill(variable, over.to_owned()))
}

/// `name="body.txt"`
fn file(text: &str) -> Result<Keyword, String> {
    match parameters(text)?.as_slice() {
        [("name", name)] if name.contains('[') => {
            Err("a name that differs from call to call is not supported".to_owned())
        }
        [("name", name)] => text_of(Path::new(name)).map(Keyword::File).map_err(|error| error.to_string()),
        _ => Err("expected name=FILE and nothing else".to_owned()),
    }
}

/// `0 file="users.csv" line=[$n]`: a field of a file, of the call's line or of another.
fn of_file(text: &str, names: &mut Names<'_>, depth: usize) -> Result<Keyword, String> {
    let (number, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let nth = number.parse().map_err(|_| "expected a number, as [field0]")?;
    let (mut table, mut line) = (0, None);
    for (name, value) in parameters(rest)? {
        match name {
            "file" => table = names.program.table(value),
            "line" => line = Some(Box::new(Text::within(value, names, depth)?)),
            other => return Err(format!("{other}: not supported: expected file and line")),
        }
    }
    names.program.needs_fields |= table == 0;
    Ok(Keyword::Field { table, nth, line })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Text, String> {
        let keys = [("domain".to_owned(), "example.com".to_owned())].into();
        Text::of_cdata(text, &mut Names { keys: &keys, program: &mut Program::default() })
    }

    #[test]
    fn keywords_stand_in_brackets_and_keys_are_filled() {
        let text =
            parse("\n   INVITE sip:[service]@[domain] SIP/2.0\n  Content-Length: [len-2]\n\n  x\n ").expect("good");
        let literal = |text: &str| Piece::Literal(text.to_owned());
        assert_eq!(
            text.lines[0],
            [literal("INVITE sip:"), Piece::Keyword(Keyword::Service), literal("@example.com SIP/2.0")]
        );
        assert_eq!(text.lines[1], [literal("Content-Length: "), Piece::Keyword(Keyword::Len(-2))]);
        assert_eq!((text.lines.len(), text.first_word()), (4, Some("INVITE")));
    }

    #[test]
    fn brackets_that_are_no_keywords_stay() {
        let text = parse("Via: SIP/2.0/UDP [[local_ip]]:5060 [::1] [").expect("good");
        assert_eq!(text.lines[0][1], Piece::Keyword(Keyword::LocalIp));
        assert_eq!(text.lines[0][2], Piece::Literal("]:5060 [::1] [".into()));
    }

    #[test]
    fn what_a_keyword_says_besides() {
        let one = |text: &str| parse(text).map(|text| text.lines[0][0].clone());
        assert_eq!(one("[last_Via:]"), Ok(Piece::Keyword(Keyword::Last("Via".into()))));
        assert_eq!(one("[last_cseq_number+1]"), Ok(Piece::Keyword(Keyword::LastCseqNumber(1))));
        let field = |table, nth| Piece::Keyword(Keyword::Field { table, nth, line: None });
        assert_eq!(one("[field12]"), Ok(field(0, 12)));
        assert_eq!(one("[field1 file=\"a b.csv\"]"), Ok(field(1, 1)));
        let Ok(Piece::Keyword(Keyword::Field { nth: 0, line: Some(_), .. })) = one("[field0 file=x line=[$n]]") else {
            panic!("it says the line")
        };
        let Ok(Piece::Keyword(Keyword::Authentication(Some(_), Some(password)))) =
            one("[authentication username=joe password=[field1 file=\"x\"]]")
        else {
            panic!("both are there")
        };
        assert_eq!(password.lines[0], [field(1, 1)]);
        for (wrong, wanted) in [
            ("[tdmmap]", "[tdmmap]: not supported"),
            ("[field0 colour=\"x\"]", "expected file and line"),
            ("[field0 file=\"x]", "a quote at its end"),
            ("[fieldx]", "[fieldx]: expected a number"),
            ("[authentication joe]", "joe: expected NAME=VALUE"),
            ("[authentication aka_K=1]", "aka_K"),
        ] {
            assert!(one(wrong).expect_err("it is not supported").contains(wanted), "{wrong}");
        }
    }

    #[test]
    fn keywords_within_keywords_are_so_deep_and_no_deeper() {
        let deep = |many: usize| parse(&format!("{}x{}", "[authentication username=".repeat(many), "]".repeat(many)));
        assert!(deep(MOST_DEEP).is_ok());
        for many in [MOST_DEEP + 1, 10_000] {
            let error = deep(many).expect_err("it is too deep");
            assert!(error.contains("too deep: expected 3 at most") && error.len() < 200, "{error}");
        }
    }
}
