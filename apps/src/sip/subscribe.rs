//! `sip subscribe`: follows an event package (RFC 6665).

use super::agent::{Agent, Ends, Identity, end_limit};
use super::args::SubscribeArgs;
use super::documents;
use super::escape;
use super::output::{Output, body};
use super::verdict::{Failure, Verdict};
use dum::subscription::{ClientSubscription, ClientSubscriptionHandler, ClientSubscriptionSet, SubscriptionEnd};
use dum::{Application, Dum, DumOptions, EventPackage, Handle};
use serde_json::json;
use stack::header::{MediaType, h};
use stack::message::Message;
use std::time::Duration;
use tokio::sync::mpsc::{Sender, channel};

/// NOTIFYs that wait to be shown; more are left out, and said so.
const WAITING: usize = 1024;
/// Room that is kept for the end.
const RESERVED: usize = 8;
/// How long the last NOTIFY may take, when the end was asked for.
const END_LIMIT: Duration = Duration::from_secs(5);

/// What happens to the subscription.
enum News {
    /// A NOTIFY, and how many before it were left out.
    Notify(Box<Message>, u64),
    /// One is over: why, the last NOTIFY or the refusal, and whether no other is left.
    Ended(SubscriptionEnd, Option<Box<Message>>, bool),
    /// There will be no other.
    Over,
    Failed(String),
}

struct Subscriber {
    told: Sender<News>,
    set: Option<Handle<ClientSubscriptionSet>>,
    /// Subscriptions: more than one, where the SUBSCRIBE forked.
    active: usize,
    left_out: u64,
}

impl Application for Subscriber {
    fn client_subscriptions(&mut self, _: &str) -> Option<&mut dyn ClientSubscriptionHandler> {
        Some(self)
    }
}

impl Subscriber {
    fn notified(&mut self, notify: &Message) {
        let news = News::Notify(Box::new(notify.clone()), self.left_out);
        if self.told.capacity() <= RESERVED || self.told.try_send(news).is_err() {
            self.left_out += 1;
        }
    }

    fn ended(&self, end: SubscriptionEnd, msg: Option<&Message>) {
        let _ = self.told.try_send(News::Ended(end, msg.map(|msg| Box::new(msg.clone())), self.active == 0));
    }
}

impl ClientSubscriptionHandler for Subscriber {
    fn on_new_subscription(
        &mut self,
        _: &mut Dum<'_>,
        _: Handle<ClientSubscriptionSet>,
        _: Handle<ClientSubscription>,
        _: &Message,
    ) {
        self.active += 1;
    }

    fn on_update_active(&mut self, _: &mut Dum<'_>, _: Handle<ClientSubscription>, notify: &Message) {
        self.notified(notify);
    }

    fn on_update_pending(&mut self, _: &mut Dum<'_>, _: Handle<ClientSubscription>, notify: &Message) {
        self.notified(notify);
    }

    fn on_update_extension(&mut self, _: &mut Dum<'_>, _: Handle<ClientSubscription>, notify: &Message) {
        self.notified(notify);
    }

    fn on_terminated(
        &mut self,
        _: &mut Dum<'_>,
        _: Handle<ClientSubscription>,
        end: SubscriptionEnd,
        msg: Option<&Message>,
    ) {
        self.active = self.active.saturating_sub(1);
        self.ended(end, msg);
    }

    fn on_failure(
        &mut self,
        _: &mut Dum<'_>,
        _: Handle<ClientSubscriptionSet>,
        end: SubscriptionEnd,
        response: Option<&Message>,
    ) {
        self.ended(end, response);
    }

    // Scripts try again by themselves.
    fn on_request_retry(
        &mut self,
        _: &mut Dum<'_>,
        _: Handle<ClientSubscriptionSet>,
        _: SubscriptionEnd,
        _: Option<Duration>,
    ) -> Option<Duration> {
        None
    }

    fn on_ended(&mut self, _: &mut Dum<'_>, _: Handle<ClientSubscriptionSet>) {
        let _ = self.told.try_send(News::Over);
    }
}

/// Subscribes.
pub(super) async fn run(args: SubscribeArgs, output: Output) -> Result<Verdict, Failure> {
    let (common, mut ends) = (&args.common, Ends::watch()?);
    let target = common.towards(&args.target)?;
    let first = common.first_hop(&target)?;
    let identity = Identity::new(common, None)?;
    let (told, mut news) = channel(WAITING);
    let mut options = DumOptions::default();
    let types = documents::types_of(&args.event).into_iter().map(|(main, sub)| MediaType::new(main, sub));
    let package = types.fold(EventPackage::new(&args.event), EventPackage::with_type);
    options.master.add_package(package);
    let agent =
        Agent::start(common, Some(&first), &[], options, Subscriber { told, set: None, active: 0, left_out: 0 })?;
    let (event, expires) = (args.event.clone(), args.expires);
    agent.command(move |subscriber, dum| {
        let profile = identity.profile(dum);
        let mut subscribe = dum.make_subscribe(&profile, &target, &event);
        subscribe.set(h::EXPIRES, &expires);
        match dum.send_subscribe(&profile, subscribe) {
            Ok(set) => subscriber.set = Some(set),
            Err(error) => drop(subscriber.told.try_send(News::Failed(error.to_string()))),
        }
    })?;
    let (mut course, mut limit) =
        (Course { output, verdict: Verdict::Silent, seen: 0, left_out: 0, ending: false }, common.timeout);
    loop {
        let waits = course.ending || course.seen == 0;
        let step = tokio::select! {
            news = news.recv() => Step::News(news),
            () = tokio::time::sleep(limit), if waits => Step::Time,
            () = ends.next() => Step::Signal,
        };
        match step {
            Step::Signal if course.ending => break,
            Step::Time => {
                if !course.ending {
                    output.problem(&format!("{first} does not answer"));
                }
                break;
            }
            Step::News(None) => break,
            Step::Signal => {
                if course.seen == 0 {
                    course.verdict = Verdict::Interrupted;
                }
            }
            Step::News(Some(news)) => {
                // dum waits for forks that may still be heard of; a script does not.
                if course.take(news, &first.to_string()) {
                    break;
                }
                if args.count.is_none_or(|count| course.seen < count) {
                    continue;
                }
            }
        }
        if !course.ending {
            (course.ending, limit) = (true, END_LIMIT);
            agent.command(|subscriber, dum| {
                let _ = subscriber.set.map(|set| set.end(dum));
            })?;
        }
    }
    if course.left_out > 0 {
        output.problem(&format!("{} NOTIFYs came faster than they could be shown", course.left_out));
    }
    agent.finish(end_limit(course.verdict)).await;
    Ok(course.verdict)
}

/// What the command waits for.
enum Step {
    News(Option<News>),
    Time,
    Signal,
}

/// How the subscription goes.
struct Course {
    output: Output,
    verdict: Verdict,
    /// NOTIFYs.
    seen: u64,
    left_out: u64,
    /// We end it: what comes still is not shown.
    ending: bool,
}

impl Course {
    /// Tells of news; whether nothing more is to come.
    fn take(&mut self, news: News, peer: &str) -> bool {
        match news {
            News::Notify(notify, left_out) => {
                self.left_out = left_out;
                self.notified(&notify);
                false
            }
            News::Ended(end, msg, last) => {
                if let Some(notify) = msg.as_deref().filter(|msg| msg.is_request()) {
                    self.notified(notify);
                }
                self.ended(end, msg.as_deref().filter(|msg| msg.is_response()), peer);
                last
            }
            News::Failed(error) => {
                self.output.problem(&error);
                self.verdict = Verdict::Network;
                true
            }
            News::Over => true,
        }
    }

    fn notified(&mut self, notify: &Message) {
        if self.ending {
            return;
        }
        self.seen += 1;
        self.verdict = Verdict::Done;
        let state = notify.header(h::SUBSCRIPTION_STATE).map_or_else(|_| "unknown".to_owned(), |s| s.to_string());
        let media = notify.header(h::CONTENT_TYPE).ok().map(|media| media.to_string());
        let mut text = format!("NOTIFY: {}", escape::line(&state));
        for line in documents::describe(media.as_deref(), notify.body()) {
            text.push_str(&format!("\n  {line}"));
        }
        let members = json!({"state": state, "content_type": media, "body": body(notify)});
        self.output.event("notify", format_args!("{text}"), members);
    }

    fn ended(&mut self, end: SubscriptionEnd, response: Option<&Message>, peer: &str) {
        let verdict = match (end, response) {
            _ if self.ending => return,
            (_, Some(response)) => Verdict::of(response),
            (SubscriptionEnd::Terminated(_) | SubscriptionEnd::Local, _) => Verdict::Done,
            (SubscriptionEnd::Refused(503), _) => Verdict::Network,
            (SubscriptionEnd::Timeout | SubscriptionEnd::Refused(_), _) => Verdict::Silent,
        };
        // What was told before counts, unless the subscription was refused later.
        self.verdict = if self.seen > 0 && verdict == Verdict::Silent { Verdict::Done } else { verdict };
        match response.and_then(|response| Some((response.status()?, response.reason()))) {
            Some((status, reason)) => {
                let text = format!("{status} {}", escape::line(reason));
                self.output.event("response", format_args!("{text}"), json!({"status": status, "reason": reason}));
            }
            None => match verdict {
                Verdict::Silent => self.output.problem(&format!("{peer} does not answer")),
                Verdict::Network => self.output.problem(&format!("{peer} cannot be reached: --verbose shows more")),
                _ => {
                    let what = format!("ended: {end:?}");
                    self.output.event("ended", format_args!("{what}"), json!({"what": what}));
                }
            },
        }
    }
}
