//! Messages whose writer names only what is his: the rest is what the dialog says (RFC 3261 §12.2.1.1, §8.2.6.2).

use super::program::Program;
use super::text::{Keyword, Names, Piece, Text};
use stack::message::reason_phrase;
use std::collections::HashMap;

/// What a message has besides.
#[derive(Clone, Debug, Default)]
pub(super) struct Own {
    /// The Request-URI, or the reason phrase.
    pub(super) uri: Option<String>,
    /// Headers, in their order; one without a text is left out.
    pub(super) headers: Vec<(String, Option<String>)>,
    pub(super) body: Option<String>,
}

/// The headers of a request, in their order. ACK and CANCEL belong to their INVITE.
fn request_lines(method: &str, uri: &str) -> Vec<(&'static str, String)> {
    let branch = if method == "CANCEL" { "{invite_branch}" } else { "{branch}" };
    let cseq = if matches!(method, "ACK" | "CANCEL") { "{invite_cseq}" } else { "{cseq}" };
    vec![
        ("", format!("{method} {uri} SIP/2.0")),
        ("Via", format!("SIP/2.0/{{transport}} {{local_ip}}:{{local_port}};branch={branch};rport")),
        ("Route", "{routes}".into()),
        ("Max-Forwards", "70".into()),
        ("From", "{local_party}".into()),
        ("To", if method == "REGISTER" { "<sip:{user}@{domain}>".into() } else { "{remote_party}".into() }),
        ("Call-ID", "{call_id}".into()),
        ("CSeq", format!("{cseq} {method}")),
        ("Contact", "<{contact}>".into()),
        ("Authorization", "{credentials}".into()),
    ]
}

fn response_lines(code: u16, reason: &str) -> Vec<(&'static str, String)> {
    let copied = |name: &str| format!("{{answered {name}}}");
    let mut lines = vec![("", format!("SIP/2.0 {code} {reason}"))];
    lines.extend(["Via", "Record-Route", "From", "To", "Call-ID", "CSeq"].map(|name| (name, copied(name))));
    lines.push(("Contact", "<{contact}>".into()));
    lines
}

/// A request.
pub(super) fn request(method: &str, own: &Own, names: &mut Names<'_>) -> Result<Text, String> {
    let uri = own.uri.as_deref().unwrap_or("{remote_target}");
    assemble(request_lines(method, uri), own, names)
}

/// A response to the latest request.
pub(super) fn response(code: u16, own: &Own, names: &mut Names<'_>) -> Result<Text, String> {
    assemble(response_lines(code, own.uri.as_deref().unwrap_or(reason_phrase(code))), own, names)
}

fn assemble(lines: Vec<(&'static str, String)>, own: &Own, names: &mut Names<'_>) -> Result<Text, String> {
    let mut text = Text::default();
    let said = |name: &str| own.headers.iter().any(|(said, _)| said.eq_ignore_ascii_case(name));
    for (name, value) in lines.iter().filter(|(name, _)| !said(name)) {
        text.lines.push(line(name, value, names)?);
    }
    for (name, value) in &own.headers {
        if let Some(value) = value {
            text.lines.push(line(name, value, names)?);
        }
    }
    if !said("Content-Length") {
        text.lines.push(line("Content-Length", "{length}", names)?);
    }
    if let Some(body) = &own.body {
        text.lines.push(Vec::new());
        for one in body.lines() {
            text.lines.push(braces(one, names)?);
        }
    }
    Ok(text)
}

fn line(name: &str, value: &str, names: &mut Names<'_>) -> Result<Vec<Piece>, String> {
    let mut pieces = braces(value, names)?;
    // These say their own names.
    let whole = matches!(pieces[..], [Piece::Keyword(Keyword::Routes | Keyword::Credentials | Keyword::Answered(_))]);
    if !name.is_empty() && !whole {
        pieces.insert(0, Piece::Literal(format!("{name}: ")));
    }
    Ok(pieces)
}

/// A text whose places are in braces, and name variables or what a call has; `{{` is a brace.
pub(super) fn text(text: &str, names: &mut Names<'_>) -> Result<Text, String> {
    Ok(Text { lines: text.split('\n').map(|line| braces(line, names)).collect::<Result<_, _>>()? })
}

fn braces(line: &str, names: &mut Names<'_>) -> Result<Vec<Piece>, String> {
    let (mut pieces, mut rest, mut literal) = (Vec::new(), line, String::new());
    while let Some(open) = rest.find('{') {
        literal.push_str(&rest[..open]);
        rest = &rest[open + 1..];
        if let Some(after) = rest.strip_prefix('{') {
            literal.push('{');
            rest = after;
            continue;
        }
        let (word, after) = rest
            .split_once('}')
            .ok_or_else(|| format!("{line:?}: a brace is not closed; expected {{name}}, or {{{{ for a brace"))?;
        match names.keys.get(word) {
            Some(value) => literal.push_str(value),
            None => {
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                }
                pieces.push(Piece::Keyword(place(word, names)?));
            }
        }
        rest = after;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(pieces)
}

fn place(word: &str, names: &Names<'_>) -> Result<Keyword, String> {
    if let Some(var) = names.program.vars.iter().position(|(name, _)| name == word) {
        return Ok(Keyword::Variable(var));
    }
    if let Some(name) = word.strip_prefix("answered ") {
        return Ok(Keyword::Answered(name.to_owned()));
    }
    if let Some(name) = word.strip_prefix("last ") {
        return Ok(Keyword::LastValue(name.to_owned()));
    }
    Ok(match word {
        "user" => Keyword::User,
        "domain" => Keyword::Domain,
        "target" => Keyword::Target,
        "remote_target" => Keyword::RemoteTarget,
        "local_party" => Keyword::LocalParty,
        "remote_party" => Keyword::RemoteParty,
        "local_tag" => Keyword::LocalTag,
        "contact" => Keyword::ContactUri,
        "credentials" => Keyword::Credentials,
        "routes" => Keyword::Routes,
        "number" => Keyword::CallNumber,
        "call_id" => Keyword::CallId,
        "cseq" => Keyword::Cseq(0),
        "branch" => Keyword::Branch(0),
        "invite_cseq" => Keyword::InviteCseq,
        "invite_branch" => Keyword::InviteBranch,
        "length" => Keyword::Len(0),
        "transport" => Keyword::Transport,
        "local_ip" => Keyword::LocalIp,
        "local_port" => Keyword::LocalPort(0),
        "remote_ip" => Keyword::RemoteIp,
        "remote_port" => Keyword::RemotePort(0),
        "media_ip" => Keyword::MediaIp,
        "ip_version" => Keyword::LocalIpType,
        _ => {
            return Err(format!(
                "{{{word}}}: expected a variable (of [vars] or of a capture before), user, domain, target, number, call_id, \
                 contact, local_ip, local_port, remote_ip, remote_port, transport, local_tag or \"last HEADER\""
            ));
        }
    })
}

/// BYE, within whatever dialog there is.
pub(super) fn bye() -> Text {
    let (keys, mut program) = (HashMap::new(), Program::default());
    // It names nothing that is not there.
    request("BYE", &Own::default(), &mut Names { keys: &keys, program: &mut program }).unwrap_or_default()
}

/// A session description with one stream of audio.
pub(super) const SESSION: &str = "v=0\no=- {number} 1 IN IP{ip_version} {media_ip}\ns=-\nc=IN IP{ip_version} {media_ip}\nt=0 0\n\
                                  m=audio 6000 RTP/AVP 0\na=rtpmap:0 PCMU/8000";
