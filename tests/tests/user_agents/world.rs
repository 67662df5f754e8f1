//! Phones, and the network between them.

use crate::hops::Judge;
use crate::phone::{HashSet, Phone};
use bytes::Bytes;
use dum::invite::Session as _;
use dum::{DialogUsageManager, Dum, DumOptions, UserProfile};
use repro::processors::Processors;
use repro::provisioning::{Place, Records as Users};
use repro::{Config, Provisioning, Proxy, Server};
use rutil::{Rng, Time};
use stack::StackOptions;
use stack::contents::sdp::{Direction, Format, Local, Sdp, Stream};
use stack::header::{HeaderValue, Method, NameAddr, h};
use stack::helper;
use stack::message::Message;
use stack::selector::records::{Query, RecordType, Records};
use stack::selector::resolver::{Answer, DnsError, Lookup};
use stack::transport::{TransportError, TransportType};
use stack::tu::{TransactionUser, TuOptions};
use stack::wiring::TuFactory;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tests::played::Played;

/// The way from one to another.
pub(crate) const LATENCY: Duration = Duration::from_millis(10);

pub(crate) const ALICE: usize = 0;
pub(crate) const BOB: usize = 1;
pub(crate) const CAROL: usize = 2;
/// Who serves others: music, parked calls.
pub(crate) const DAVE: usize = 3;
/// Who forks, in a world that has it.
pub(crate) const PROXY: usize = 4;
/// Who is between the others and the proxy, in a world that has that.
pub(crate) const MIDDLE: usize = 5;
pub(crate) const NAMES: [&str; 6] = ["alice", "bob", "carol", "dave", "proxy", "middle"];
/// Those with an application.
pub(crate) const PHONES: usize = 4;

pub(crate) fn address(node: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, node as u8 + 1], 5060))
}

/// The name that others call it by.
pub(crate) fn aor(node: usize) -> NameAddr<'static> {
    NameAddr::parse(&format!("<sip:{}@{}>", NAMES[node], address(node))).unwrap().into_owned()
}

/// The name that leads to Bob and to Carol, by the proxy.
pub(crate) fn both() -> NameAddr<'static> {
    at_proxy("both")
}

/// A name that leads to a user by the proxy.
pub(crate) fn at_proxy(user: &str) -> NameAddr<'static> {
    NameAddr::parse(&format!("<sip:{user}@example.com>")).unwrap().into_owned()
}

/// A description of one audio stream. The port tells offers and answers of a test apart.
pub(crate) fn sdp(port: u16) -> Sdp {
    directed(port, Direction::SendRecv)
}

pub(crate) fn directed(port: u16, direction: Direction) -> Sdp {
    let local = Local { username: "-", session_id: 1, version: 1, address: [192, 0, 2, 99].into(), name: "" };
    let formats = [Format { format: "0", rtpmap: None, fmtp: None }];
    Sdp::offer(&local, &[Stream { kind: "audio", port, proto: "RTP/AVP", formats: &formats, direction }]).unwrap()
}

/// Each line of a trace once, as they came first.
pub(crate) fn once(trace: Vec<String>) -> Vec<String> {
    trace.iter().enumerate().filter(|(at, line)| !trace[..*at].contains(line)).map(|(_, line)| line.clone()).collect()
}

pub(crate) fn port(sdp: &Sdp) -> u16 {
    sdp.media().next().map_or(0, |media| media.line().port)
}

/// A user agent that the test can look into.
#[derive(Clone)]
struct Shared(Arc<Mutex<DialogUsageManager<Phone>>>);

impl TransactionUser for Shared {
    fn name(&self) -> &'static str {
        "dum"
    }
    fn process(&mut self, event: stack::tu::TuEvent, stack: &mut stack::tu::TuContext<'_>) {
        self.0.lock().unwrap().process(event, stack);
    }
    fn deadline(&self) -> Option<Time> {
        self.0.lock().unwrap().deadline()
    }
    fn wake(&mut self, stack: &mut stack::tu::TuContext<'_>) {
        self.0.lock().unwrap().wake(stack);
    }
    fn drained(&self) -> bool {
        self.0.lock().unwrap().drained()
    }
}

struct Packet {
    at: Time,
    from: usize,
    to: usize,
    bytes: Bytes,
}

/// A message that was sent.
#[derive(Clone)]
pub(crate) struct Shown {
    at: Time,
    pub(crate) from: usize,
    pub(crate) to: Option<usize>,
    /// Where the receiver sees it come from.
    pub(crate) source: SocketAddr,
    pub(crate) bytes: Bytes,
    pub(crate) lost: bool,
}

impl Shown {
    /// `INVITE+`
    fn what(&self) -> String {
        show(&self.bytes)
    }

    /// `a-b INVITE+`
    fn way(&self) -> String {
        let name = |node: usize| &NAMES[node][..1];
        format!("{}-{} {}", name(self.from), self.to.map_or("?", name), self.what())
    }
}

type Filter = Box<dyn FnMut(&str) -> bool>;

pub(crate) struct World {
    nodes: Vec<Played>,
    /// When each has something to do: most have nothing at most moments.
    due: Vec<Option<Time>>,
    /// Where each is.
    places: [SocketAddr; NAMES.len()],
    users: Vec<Shared>,
    pub(crate) now: Time,
    packets: Vec<Packet>,
    trace: Vec<Shown>,
    /// Those before the trace.
    challenges: Vec<Shown>,
    lose: Option<Filter>,
    /// What the name servers know.
    names: Vec<(Query, Records)>,
    /// The network loses, repeats and delays.
    disturbed: Option<Rng>,
    /// Nothing comes to it, and nothing from it.
    /// Somebody is in the middle who is no proxy.
    middle: bool,
    judge: Judge,
    cut: Option<usize>,
    /// Nothing can be sent to this one, nor by him.
    refused: Option<usize>,
    /// The calls of which something could not be sent.
    unsent: HashSet<String>,
}

impl World {
    /// Alice, Bob and Carol.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// With a change of what they can do.
    pub(crate) fn with(change: impl Fn(&mut DumOptions)) -> Self {
        Self::of(|_, options| change(options))
    }

    /// With a change of what each can do.
    pub(crate) fn of(mut change: impl FnMut(usize, &mut DumOptions)) -> Self {
        let (mut nodes, mut users) = (Vec::new(), Vec::new());
        for (node, name) in NAMES.into_iter().enumerate().take(PHONES) {
            let mut options = DumOptions::default();
            change(node, &mut options);
            let mut profile = options.master.user_profile();
            profile.set_from(Arc::new(aor(node)));
            options.master.user_mut().set_from(Arc::new(aor(node)));
            let profile = Arc::new(profile);
            let mut by_proxy = UserProfile::on(&profile);
            let proxy = NameAddr::parse(&format!("<sip:{};lr>", address(PROXY))).unwrap().into_owned();
            by_proxy.set_outbound_proxy(Some(Arc::new(proxy)));
            let phone = Phone::new(name, profile, Arc::new(by_proxy));
            let manager = DialogUsageManager::new(phone, options, &mut Rng::from_seed(node as u64));
            let shared = Shared(Arc::new(Mutex::new(manager)));
            let user = shared.clone();
            let make: TuFactory = Box::new(move |_| Box::new(user.clone()));
            let tu = DialogUsageManager::<Phone>::tu_options();
            let on = [(TransportType::Udp, address(node))];
            nodes.push(Played::new(&StackOptions::default(), &on, &mut [(tu, make)], node as u64 + 1));
            users.push(shared);
        }
        World {
            due: vec![None; nodes.len()],
            nodes,
            places: std::array::from_fn(address),
            users,
            now: Time::ZERO,
            packets: Vec::new(),
            trace: Vec::new(),
            challenges: Vec::new(),
            lose: None,
            names: Vec::new(),
            disturbed: None,
            middle: false,
            judge: Judge::default(),
            cut: None,
            refused: None,
            unsent: HashSet::default(),
        }
    }

    /// The proxy is there from now on, with a change of its configuration.
    pub(crate) fn add_proxy(&mut self, change: impl FnOnce(&mut Config)) {
        self.add_proxy_of(&Processors::standard(), change);
    }

    /// The same with processors of its own.
    pub(crate) fn add_proxy_of(&mut self, processors: &Processors, change: impl FnOnce(&mut Config)) {
        self.proxy_at(PROXY, processors, change);
    }

    /// The one in the middle is a proxy too, behind the first one.
    pub(crate) fn add_second_proxy(&mut self, processors: &Processors, change: impl FnOnce(&mut Config)) {
        self.proxy_at(MIDDLE, processors, change);
    }

    fn proxy_at(&mut self, node: usize, processors: &Processors, change: impl FnOnce(&mut Config)) {
        let mut config = Config::parse(&format!("listen = [\"udp:{}\"]", address(node)), "here").unwrap();
        config.domains = vec!["example.com".parse().unwrap()];
        config.trusted_peers = vec!["192.0.2.0/24".parse().unwrap()];
        change(&mut config);
        let mut rng = Rng::from_seed(1);
        let chains = processors.chains(&config.chains).unwrap();
        let server = Arc::new(Server::new(config, chains, &mut rng));
        let make: TuFactory = Box::new(move |shard| Box::new(Proxy::new(server.clone(), shard, &mut rng)));
        self.add(node, Proxy::options(), make);
    }

    /// Somebody is between the others and the proxy from now on.
    pub(crate) fn add_middle(&mut self, options: TuOptions, make: TuFactory) {
        self.middle = true;
        self.add(MIDDLE, options, make);
    }

    fn add(&mut self, node: usize, options: TuOptions, make: TuFactory) {
        assert_eq!(self.nodes.len(), node, "one after the other");
        let on = [(TransportType::Udp, address(node))];
        self.nodes.push(Played::new(&StackOptions::default(), &on, &mut [(options, make)], 95 + node as u64));
        self.due.push(None);
    }

    /// What the proxy knows of its users: records of that kind.
    pub(crate) fn provision(&mut self, records: &[(&str, serde_json::Value)]) {
        self.provision_at(PROXY, records);
    }

    /// The same of one of two proxies.
    pub(crate) fn provision_at(&mut self, node: usize, records: &[(&str, serde_json::Value)]) {
        let mut all = Users::default();
        for (kind, record) in records {
            all.add(kind, record.clone(), Place::Store).unwrap();
        }
        let provisioning = Provisioning::compile(&all, &mut Rng::from_seed(3)).unwrap();
        assert!(self.nodes[node].post(0, Box::new(Arc::new(provisioning)), self.now));
        self.due[node] = Some(self.now);
        self.settle();
    }

    /// A name has these records, for everybody; other names have none.
    pub(crate) fn add_name(&mut self, name: &str, record: RecordType, records: Records) {
        self.names.push((Query::new(name, record), records));
    }

    /// Bob and Carol are both whom [`both`] leads to, for an hour; nothing of that is lost.
    pub(crate) fn register_both(&mut self, cseq: u32) {
        for node in [BOB, CAROL] {
            self.register(node, &both(), 1.0, cseq);
        }
    }

    /// A name leads to somebody, by the proxy, for an hour, with this preference; nothing of that is lost.
    pub(crate) fn register(&mut self, node: usize, to: &NameAddr<'_>, q: f32, cseq: u32) {
        self.register_at(PROXY, node, to, q, cseq);
    }

    /// The same at one of two proxies.
    pub(crate) fn register_at(&mut self, proxy: usize, node: usize, to: &NameAddr<'_>, q: f32, cseq: u32) {
        let id = format!("{}{}", NAMES[node], to.uri);
        let mut msg = helper::make_request(&Method::Register, &to.uri, &aor(node).with("tag", "1"), to, &id, cseq);
        msg.append_line("Contact", &format!("{};q={q:.1}", aor(node)));
        msg.set(h::EXPIRES, &3600);
        let via = format!("Via: SIP/2.0/UDP {};branch=z9hG4bK{}{cseq}", address(node), id.len());
        let text = String::from_utf8(msg.to_bytes().to_vec()).unwrap().replacen("\r\n", &format!("\r\n{via}\r\n"), 1);
        self.nodes[proxy].receive(0, address(node), 0, text.into(), self.now);
        self.nodes[proxy].settle(self.now);
        let answered = self.nodes[proxy].take_sent(self.now);
        self.due[proxy] = Some(self.now);
        assert!(answered.iter().any(|sent| sent.bytes.starts_with(b"SIP/2.0 200")), "{answered:?}");
    }

    /// From now on somebody is found elsewhere, and no longer where he was.
    pub(crate) fn move_to(&mut self, node: usize, place: SocketAddr) {
        self.places[node] = place;
    }

    /// From now on messages are lost for which this says so; it sees what the trace shows of them.
    pub(crate) fn lose(&mut self, which: impl FnMut(&str) -> bool + 'static) {
        self.lose = Some(Box::new(which));
    }

    /// From now on a tenth of the messages is lost, some come twice, and each takes its own time.
    pub(crate) fn disturb(&mut self, rng: Rng) {
        self.disturbed = Some(rng);
    }

    /// From now on nothing comes to somebody, and nothing from him; or everything does again.
    pub(crate) fn cut(&mut self, node: Option<usize>) {
        self.cut = node;
    }

    /// From now on what is sent to somebody, and what he sends, fails at once; or nothing does any more.
    pub(crate) fn refuse(&mut self, node: Option<usize>) {
        self.refused = node;
    }

    /// The calls, and whatever else has a Call-ID, of which something could not be sent.
    pub(crate) fn unsent(&mut self) -> HashSet<String> {
        for node in 0..PHONES {
            let away = self.act(node, |phone, _| std::mem::take(&mut phone.away));
            self.unsent.extend(away);
        }
        self.unsent.clone()
    }

    /// The network is well again.
    pub(crate) fn calm(&mut self) {
        (self.disturbed, self.cut, self.refused) = (None, None, None);
    }

    /// When the copies of a message arrive.
    fn arrivals(&mut self) -> Vec<Time> {
        let Some(rng) = &mut self.disturbed else { return vec![self.now + LATENCY] };
        let copies = 1 + u32::from(rng.chance(0.05)) - u32::from(rng.chance(0.1));
        (0..copies).map(|_| self.now + Duration::from_millis(5 + rng.range(60))).collect()
    }

    /// An application does something, at this moment.
    pub(crate) fn act<R: Send + 'static>(
        &mut self,
        node: usize,
        what: impl FnOnce(&mut Phone, &mut Dum<'_>) -> R + Send + 'static,
    ) -> R {
        let result = Arc::new(Mutex::new(None));
        let slot = result.clone();
        let command = dum::posted::<Phone>(move |phone, dum| *slot.lock().unwrap() = Some(what(phone, dum)));
        assert!(self.nodes[node].post(0, command, self.now));
        self.due[node] = Some(self.now);
        self.settle();
        result.lock().unwrap().take().expect("the command was not run")
    }

    /// Alice or another calls Bob, with an offer of this port.
    pub(crate) fn call(&mut self, from: usize, to: usize, offer: Option<u16>) {
        self.act(from, move |phone, dum| {
            let profile = phone.profile.clone();
            let invite = dum.make_invite(&profile, &aor(to), offer.map(sdp).as_ref());
            phone.calls.push(dum.send_invite(&profile, invite).unwrap().session());
        });
    }

    /// Bob rings, answers with this port, and both have the call.
    pub(crate) fn answer(&mut self, node: usize, answer: u16) {
        self.act(node, move |phone, dum| {
            phone.incoming().provisional(dum, 180).unwrap();
            phone.incoming().provide_answer(dum, &sdp(answer)).unwrap();
            phone.incoming().accept(dum).unwrap();
        });
    }

    /// An established call from Alice (1000) to Bob (2000), with nothing in trace and ears.
    pub(crate) fn established() -> Self {
        let mut world = World::new();
        world.call(ALICE, BOB, Some(1000));
        world.run(100);
        world.answer(BOB, 2000);
        world.run(100);
        world.trace();
        (0..PHONES).for_each(|node| drop(world.heard(node)));
        world
    }

    fn settle(&mut self) {
        for node in 0..self.nodes.len() {
            if self.due[node].is_some_and(|at| at <= self.now) {
                self.settle_one(node);
            }
        }
    }

    /// One does what it has to do; what it sends is on its way, or lost.
    fn settle_one(&mut self, from: usize) {
        self.nodes[from].settle(self.now);
        while self.look_up(from) {
            self.nodes[from].settle(self.now);
        }
        self.due[from] = self.nodes[from].deadline();
        for sent in self.nodes[from].take_sent(self.now) {
            let to = (0..self.nodes.len()).find(|to| self.places[*to] == sent.peer);
            let what = |bytes| format!("{} {}", &NAMES[from][..1], show(bytes));
            let lost = self.lose.as_mut().is_some_and(|lose| lose(&what(&sent.bytes)));
            let is_of = |node| node == from || to == Some(node);
            let refused = self.refused.is_some_and(is_of);
            let lost = lost || refused || self.cut.is_some_and(is_of);
            if refused {
                let msg = Message::parse(sent.bytes.clone()).ok();
                let call_id = msg.as_ref().and_then(|msg| msg.header(h::CALL_ID).ok());
                self.unsent.extend(call_id.map(|id| id.as_str().to_owned()));
                if let Some(notify) = sent.notify {
                    self.nodes[from].fail(notify, TransportError::Refused, self.now);
                    self.due[from] = Some(self.now);
                }
            }
            let arrivals = if lost { Vec::new() } else { self.arrivals() };
            let lost = arrivals.is_empty();
            let source = self.places[from];
            self.trace.push(Shown { at: self.now, from, to, source, bytes: sent.bytes.clone(), lost });
            if let Some(to) = to {
                let packet = |at| Packet { at, from, to, bytes: sent.bytes.clone() };
                self.packets.extend(arrivals.into_iter().map(packet));
            }
        }
    }

    /// The name servers answer one at once, if it has asked.
    fn look_up(&mut self, node: usize) -> bool {
        let asked = self.nodes[node].resolver.take_waiting();
        let any = !asked.is_empty();
        for Lookup { query, token, .. } in asked {
            let known = self.names.iter().find(|(name, _)| *name == query);
            let known = known.map(|(_, records)| (records.clone(), 3600));
            let known = known.or_else(|| Some((self.back(&query)?, 5)));
            let (result, ttl) = known.map_or((Err(DnsError::NotFound), 5), |(records, ttl)| (Ok(records), ttl));
            self.nodes[node].answer(Answer { token, result, ttl: Some(Duration::from_secs(ttl)) }, self.now);
        }
        any
    }

    /// What [`crate::unsent::nowhere`] leads to while the network is well.
    fn back(&self, query: &Query) -> Option<Records> {
        let is_it = |node: &usize| *query == Query::new(format!("{}.example.net", NAMES[*node]), RecordType::A);
        let node = (0..PHONES).find(is_it).filter(|_| self.disturbed.is_none())?;
        Some(Records::Addresses([address(node).ip()].into()))
    }

    /// Lets so many milliseconds pass.
    pub(crate) fn run(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        loop {
            self.settle();
            let timers = self.due.iter().flatten().copied();
            let Some(next) = timers.chain(self.packets.iter().map(|p| p.at)).min().filter(|at| *at <= end) else {
                break;
            };
            self.now = self.now.max(next);
            // In the order in which they were sent.
            while let Some(at) = self.packets.iter().position(|packet| packet.at <= self.now) {
                let Packet { from, to, bytes, .. } = self.packets.remove(at);
                assert!(self.nodes[to].receive(0, self.places[from], 0, bytes, self.now), "there is room");
                self.due[to] = Some(self.now);
            }
        }
        self.now = end;
        self.settle();
    }

    /// From now on the trace begins anew, but for what [`World::said`] says of challenges.
    pub(crate) fn forget(&mut self) {
        let challenges = [&b"SIP/2.0 401"[..], b"SIP/2.0 407"];
        let is_one = |shown: &Shown| challenges.iter().any(|start| shown.bytes.starts_with(start));
        self.challenges.extend(std::mem::take(&mut self.trace).into_iter().filter(is_one));
    }

    /// What carries the messages is judged (`hops.rs`), but where somebody is in the middle who is no proxy.
    fn take_trace(&mut self) -> Vec<Shown> {
        let trace = std::mem::take(&mut self.trace);
        if !self.middle {
            self.judge.judge(&trace);
        }
        trace
    }

    /// The messages since the last call: who sent it, method or status, `+` for a body.
    pub(crate) fn trace(&mut self) -> Vec<String> {
        let show = |shown: Shown| {
            let lost = if shown.lost { " lost" } else { "" };
            format!("{} {}{lost}", &NAMES[shown.from][..1], shown.what())
        };
        self.take_trace().into_iter().map(show).collect()
    }

    /// The same with those that they were sent to, and without 100s: `a-b INVITE+`.
    pub(crate) fn flow(&mut self) -> Vec<String> {
        let seen = self.take_trace().into_iter().filter(|shown| !shown.what().starts_with("100"));
        seen.map(|shown| shown.way()).collect()
    }

    /// The responses with these statuses that the trace still has: `407 BYE`.
    pub(crate) fn responses(&self, statuses: &[&str]) -> Vec<String> {
        let whats = self.trace.iter().map(Shown::what);
        whats.filter(|what| statuses.iter().any(|status| what.starts_with(status))).collect()
    }

    /// All messages of a call that the trace still has, with their times and numbers.
    pub(crate) fn said(&self, call_id: &str) -> String {
        let of_it = self.challenges.iter().chain(&self.trace).filter_map(|shown| {
            let msg = Message::parse(shown.bytes.clone()).ok()?;
            let number = msg.header(h::CSEQ).ok()?.number;
            let lost = if shown.lost { " lost" } else { "" };
            (msg.header(h::CALL_ID).ok()?.as_str() == call_id)
                .then(|| format!("{:?} {} {number}{lost}\n", shown.at, shown.way()))
        });
        of_it.collect()
    }

    /// Has the trace judged up to the last message that [`World::flow`] would show so, with a change of that.
    pub(crate) fn judged_with(&self, way: &str, edit: fn(&mut Message)) {
        let at = self.trace.iter().rposition(|shown| shown.way() == way).unwrap_or_else(|| panic!("no {way}"));
        let (before, last) = (&self.trace[..at], &self.trace[at]);
        let mut msg = self.message(way);
        edit(&mut msg);
        let mut judge = Judge::default();
        judge.judge(before);
        judge.judge(&[Shown { bytes: msg.to_bytes(), ..last.clone() }]);
    }

    /// The last message that [`World::flow`] would show so.
    pub(crate) fn message(&self, way: &str) -> Message {
        let sent = self.trace.iter().rev().find(|shown| shown.way() == way);
        Message::parse(sent.unwrap_or_else(|| panic!("no {way}")).bytes.clone()).unwrap()
    }

    /// Whether a shutdown has nothing more to wait for.
    pub(crate) fn drained(&self, node: usize) -> bool {
        self.nodes[node].drained()
    }

    pub(crate) fn heard(&mut self, node: usize) -> Vec<String> {
        self.users[node].0.lock().unwrap().application_mut().take_heard()
    }

    /// Long after everything, nothing is left anywhere.
    pub(crate) fn ends_clean(mut self) {
        self.run(200_000);
        for (node, user) in self.users.iter().enumerate() {
            assert_eq!(user.0.lock().unwrap().counts(), dum::Counts::default(), "{}", NAMES[node]);
        }
    }
}

/// `INVITE+`, `200+ INVITE`, `ACK`; what else there is keeps a flow alive.
fn show(bytes: &Bytes) -> String {
    let Ok(msg) = Message::parse(bytes.clone()) else { return "keep-alive".to_owned() };
    let body = if msg.body().is_empty() { "" } else { "+" };
    let method = msg.method().map_or(String::new(), |method| method.as_str().to_owned());
    match msg.status() {
        Some(code) => format!("{code}{body} {method}"),
        None => format!("{method}{body}"),
    }
}
