//! `sip register`: bindings of an address-of-record, added, removed and listed (RFC 3261 §10.2).

use super::agent::{Agent, Ends, Identity, end_limit};
use super::args::RegisterArgs;
use super::asker::{Answered, ask, asker};
use super::escape;
use super::output::Output;
use super::verdict::{Failure, Verdict};
use dum::{Dum, DumOptions, UserProfile};
use serde_json::{Value, json};
use stack::header::{Contact, Method, NameAddr, h, p};
use stack::message::Message;
use stack::uri::{SipUri, Uri};
use std::sync::Arc;

/// What is to become of the bindings.
#[derive(Clone, Debug)]
struct Wanted {
    aor: NameAddr<'static>,
    registrar: NameAddr<'static>,
    add: Vec<NameAddr<'static>>,
    remove: Vec<NameAddr<'static>>,
    remove_all: bool,
    expires: u32,
}

/// Adds, removes and lists.
pub(super) async fn run(args: RegisterArgs, output: Output) -> Result<Verdict, Failure> {
    let (common, mut ends) = (&args.common, Ends::watch()?);
    let Some(aor) = args.aor.uri.sip() else {
        return Err(Failure::Argument(format!("{} is no SIP URI: only those have a registrar", args.aor.uri)));
    };
    // The domain alone (RFC 3261 §10.2).
    let domain = SipUri { user: None, password: None, ..aor.clone() };
    let registrar = common.towards(&NameAddr::new(Uri::Sip(domain)))?;
    let first = common.first_hop(&registrar)?;
    let identity = Identity::new(common, Some(&args.aor))?;
    let mut wanted = Wanted {
        aor: args.aor.clone(),
        registrar,
        add: args.contact.clone(),
        remove: args.remove.clone(),
        remove_all: args.remove_all,
        expires: args.expires,
    };
    let (app, mut answers) = asker();
    let agent = Agent::start(common, Some(&first), &[], DumOptions::default(), app)?;
    let mut send = async |wanted: Wanted| {
        let identity = identity.clone();
        ask(&agent, &mut answers, &mut ends, common.timeout, move |dum| {
            let profile = identity.profile(dum);
            let msg = request(dum, &profile, &wanted);
            (profile, msg)
        })
        .await
    };
    let mut answered = send(wanted.clone()).await?;
    if let Answered::Response(response, _) = &answered
        && let (Some(423), Ok(least)) = (response.status(), response.header(h::MIN_EXPIRES))
        && let Ok(least) = least.to_string().parse::<u32>()
        && least > wanted.expires
    {
        // RFC 3261 §10.2.8.
        wanted.expires = least;
        answered = send(wanted.clone()).await?;
    }
    answered.tell(&first.to_string(), output);
    if let (Answered::Response(response, _), Verdict::Done) = (&answered, answered.verdict()) {
        list(&wanted.aor, response, output);
    }
    agent.finish(end_limit(answered.verdict())).await;
    Ok(answered.verdict())
}

fn request(dum: &mut Dum<'_>, profile: &Arc<UserProfile>, wanted: &Wanted) -> Message {
    let mut msg = dum.make_request(profile, &Method::Register, &wanted.registrar);
    msg.set(h::TO, &wanted.aor);
    if wanted.remove_all {
        msg.push_back(h::CONTACTS, "*");
        msg.set(h::EXPIRES, &0);
    }
    for contact in &wanted.add {
        msg.push_back(h::CONTACTS, &contact.clone().with(p::EXPIRES, wanted.expires));
    }
    for contact in &wanted.remove {
        msg.push_back(h::CONTACTS, &contact.clone().with(p::EXPIRES, 0));
    }
    msg
}

/// A table of the bindings that the registrar lists.
fn list(aor: &NameAddr<'_>, response: &Message, output: Output) {
    let default = response.header(h::EXPIRES).ok().and_then(|expires| expires.to_string().parse::<u32>().ok());
    let contacts = response.header(h::CONTACTS).filter_map(|contact| contact.ok().and_then(Contact::into_addr));
    let rows: Vec<Row> = contacts.map(|contact| Row::of(&contact, default)).collect();
    let width = rows.iter().map(|row| row.contact.chars().count()).max().unwrap_or(0).max("contact".len());
    let mut text = match rows.len() {
        0 => format!("no bindings of {}", escape::line(&aor.uri.to_string())),
        _ => format!("{:<width$}  {:>7}  {:>5}  more", "contact", "expires", "q"),
    };
    for Row { contact, expires, q, more } in &rows {
        let expires = expires.map_or_else(String::new, |seconds| seconds.to_string());
        let (contact, more) = (escape::line(contact), escape::line(more));
        text.push_str(&format!("\n{contact:<width$}  {expires:>7}  {:>5}  {more}", q.as_deref().unwrap_or_default()));
    }
    let bindings: Vec<Value> = rows
        .iter()
        .map(|row| json!({"contact": row.contact, "expires": row.expires, "q": row.q, "params": row.more}))
        .collect();
    let members = json!({"aor": aor.uri.to_string(), "bindings": bindings});
    output.event(
        "bindings",
        format_args!("{}", text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")),
        members,
    );
}

/// A binding.
struct Row {
    contact: String,
    expires: Option<u32>,
    q: Option<String>,
    more: String,
}

impl Row {
    fn of(contact: &NameAddr<'_>, default: Option<u32>) -> Self {
        let (mut expires, mut q, mut more) = (default, None, Vec::new());
        for param in contact.params.iter() {
            match (param.name.to_ascii_lowercase().as_str(), param.value) {
                ("expires", Some(value)) => expires = value.parse().ok(),
                ("q", Some(value)) => q = Some(escape::line(value).into_owned()),
                (_, Some(value)) => more.push(format!("{}={value}", param.name)),
                (_, None) => more.push(param.name.to_owned()),
            }
        }
        Row { contact: contact.uri.to_string(), expires, q, more: more.join(";") }
    }
}
