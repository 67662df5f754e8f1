//! RFC 3665 §3.5: a call through a SIP ALG, which is on Alice's side: the first hop of all that she sends, a proxy that stays in
//! the way and has the media go through it. The proxy of Bob's domain is behind it, and out of the way once the call is there.
//! It asks for a password: where the figure begins Alice has answered that, in an INVITE with the same Call-ID. What follows
//! it in the call has it too (RFC 3261 §22.3), which the figure does not show.

use crate::world::{ALICE, BOB, MIDDLE, PROXY, World, address, at_proxy, port, sdp};
use dum::UserProfile;
use dum::auth::Credential;
use dum::invite::Session;
use serde_json::json;
use stack::auth::{Hash, ha1};
use stack::contents::sdp::Sdp;
use stack::header::{HeaderValue, MaxForwards, NameAddr, h};
use stack::message::Message;
use stack::transport::TransportType;
use stack::tu::{
    ClientTransaction, NextHop, SendOptions, ServerTransaction, TransactionUser, TuContext, TuEvent, TuOptions,
};
use stack::uri::Host;
use std::collections::HashMap;
use std::sync::Arc;

/// Where it lets media in: what Alice offers is this to Bob, and what Bob answers is this to Alice.
const PORTS: [u16; 2] = [2000, 1734];

/// The ALG: no more than this flow takes.
#[derive(Default)]
struct Alg {
    upstream: HashMap<ClientTransaction, ServerTransaction>,
}

impl Alg {
    /// The request as it goes on, and how.
    fn onward(&self, msg: &mut Message) -> SendOptions {
        let MaxForwards(left) = msg.header(h::MAX_FORWARDS).unwrap();
        msg.set_number(h::MAX_FORWARDS, u32::from(left) - 1);
        // The Route is ours; who calls first has no other, and the domain's proxy is next.
        assert!(msg.pop_front(h::ROUTES), "it is there by its name alone");
        through(msg, PORTS[0]);
        if msg.has_to_tag() {
            return SendOptions::default();
        }
        let record_route = msg.source().map(|source| source.flow);
        SendOptions {
            next_hop: NextHop::Address(TransportType::Udp, address(PROXY)),
            record_route,
            ..Default::default()
        }
    }
}

/// Media are to come to the ALG.
fn through(msg: &mut Message, port: u16) {
    let Ok(mut sdp) = Sdp::parse(&msg.body_bytes()) else { return };
    sdp.session_mut().set_connection(address(MIDDLE).ip());
    assert!(sdp.set_port(0, port));
    msg.set_body(Some("application/sdp"), sdp.print());
}

impl TransactionUser for Alg {
    fn name(&self) -> &'static str {
        "alg"
    }

    fn process(&mut self, event: TuEvent, stack: &mut TuContext<'_>) {
        match event {
            TuEvent::Request { transaction, mut msg } => {
                let options = self.onward(&mut msg);
                self.upstream.insert(stack.send(msg, options), transaction);
            }
            TuEvent::Ack { mut msg } => {
                let options = self.onward(&mut msg);
                stack.send_stateless(msg, options);
            }
            TuEvent::Response { transaction, mut msg } if msg.status() != Some(100) => {
                msg.pop_front(h::VIAS);
                through(&mut msg, PORTS[1]);
                stack.respond(self.upstream[&transaction], msg);
            }
            _ => {}
        }
    }
}

/// Whose address it is, as the flow calls them.
fn who(host: &Host<'_>) -> String {
    let node = (0..=MIDDLE).find(|node| address(*node).ip().to_string() == host.to_string());
    node.map_or_else(|| host.to_string(), |node| ["a", "b", "c", "d", "p", "m"][node].to_owned())
}

fn whose(addr: &NameAddr<'_>) -> String {
    who(&addr.uri.sip().unwrap().host)
}

/// What the RFC shows of a message, as far as the way matters: Max-Forwards, Via, Route, Record-Route, Contact, for whom it has a
/// password, and where media are to go.
pub(crate) fn shown(msg: &Message) -> String {
    let hops = msg.header(h::MAX_FORWARDS).map_or_else(|_| "-".to_owned(), |MaxForwards(left)| left.to_string());
    let via: Vec<_> = msg.header(h::VIAS).map(|via| who(&via.unwrap().host)).collect();
    let route: Vec<_> = msg.header(h::ROUTES).map(|route| whose(&route.unwrap())).collect();
    let record: Vec<_> = msg.header(h::RECORD_ROUTES).map(|route| whose(&route.unwrap())).collect();
    let contact: Vec<_> = msg.header(h::CONTACTS).map(|contact| whose(contact.unwrap().addr().unwrap())).collect();
    let media = Sdp::parse(&msg.body_bytes()).ok().map(|sdp| {
        let address = sdp.media().next().unwrap().connection().unwrap().address.ip().unwrap();
        format!("{address}:{}", port(&sdp))
    });
    let credentials = msg.header(h::PROXY_AUTHORIZATIONS).map(|auth| auth.unwrap().get("realm").unwrap().into_owned());
    let credentials: String = credentials.map(|realm| format!("for {realm}; ")).collect();
    let [via, route, record, contact] = [via, route, record, contact].map(|who| who.join(","));
    let media = media.unwrap_or_default();
    format!("{hops} via {via}; route {route}; record-route {record}; contact {contact}; {credentials}{media}")
}

#[test]
fn rfc_3665_3_5_a_call_through_an_alg() {
    let mut world = World::new();
    // Bob's proxy does not stay in the way, and asks its users for their passwords. Bob himself it knows.
    world.add_proxy(|config| {
        config.record_route = false;
        config.auth.required = true;
        config.trusted_peers = vec![format!("{}/32", address(BOB).ip()).parse().unwrap()];
    });
    let digits = ha1(Hash::Sha256, "alice", "example.com", "wonderland");
    world.provision(&[
        ("domain", json!({"name": "example.com"})),
        ("user", json!({"aor": "alice@example.com", "sha256": digits})),
        ("user", json!({"aor": "bob@example.com"})),
    ]);
    world.add_middle(TuOptions::default(), Box::new(|_| Box::new(Alg::default())));
    world.register(BOB, &at_proxy("bob"), 1.0, 1);
    world.act(ALICE, |alice, dum| {
        let mut by_alg = UserProfile::on(&alice.profile);
        let route = NameAddr::parse(&format!("<sip:{};lr>", address(MIDDLE))).unwrap().into_owned();
        by_alg.set_outbound_proxy(Some(Arc::new(route)));
        by_alg.set_from(Arc::new(at_proxy("alice")));
        by_alg.set_credentials([Credential::new("example.com", "alice", "wonderland")].into());
        let by_alg = Arc::new(by_alg);
        let invite = dum.make_invite(&by_alg, &at_proxy("bob"), Some(&sdp(49172)));
        alice.calls.push(dum.send_invite(&by_alg, invite).unwrap().session());
    });
    // Long enough for the 100s.
    world.run(500);
    world.answer(BOB, 3456);
    world.run(100);
    // Each has heard of the ALG alone.
    let media = |world: &mut World, node| {
        world.act(node, |phone, dum| {
            let remote = phone.last().remote_sdp(dum).unwrap();
            let address = remote.session().connection().unwrap().address.ip().unwrap();
            (address, port(&remote))
        })
    };
    let middle = address(MIDDLE).ip();
    assert_eq!((media(&mut world, ALICE), media(&mut world, BOB)), ((middle, PORTS[1]), (middle, PORTS[0])));
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.run(100);
    let (offer, answer) = ("192.0.2.99:49172", "192.0.2.99:3456");
    let [offered, answered] = PORTS.map(|port| format!("{middle}:{port}"));
    let expected = [
        ("F1", "a-m INVITE+", format!("70 via a; route m; record-route ; contact a; for example.com; {offer}")),
        ("F2", "m-p INVITE+", format!("69 via m,a; route ; record-route m; contact a; for example.com; {offered}")),
        ("F3", "m-a 100 INVITE", "- via a; route ; record-route ; contact ; ".into()),
        ("F4", "p-b INVITE+", format!("68 via p,m,a; route ; record-route m; contact a; {offered}")),
        ("F5", "p-m 100 INVITE", "- via m,a; route ; record-route ; contact ; ".into()),
        ("F6", "b-p 180 INVITE", "- via p,m,a; route ; record-route m; contact b; ".into()),
        ("F7", "p-m 180 INVITE", "- via m,a; route ; record-route m; contact b; ".into()),
        ("F8", "m-a 180 INVITE", "- via a; route ; record-route m; contact b; ".into()),
        ("F9", "b-p 200+ INVITE", format!("- via p,m,a; route ; record-route m; contact b; {answer}")),
        ("F10", "p-m 200+ INVITE", format!("- via m,a; route ; record-route m; contact b; {answer}")),
        ("F11", "m-a 200+ INVITE", format!("- via a; route ; record-route m; contact b; {answered}")),
        ("F12", "a-m ACK", "70 via a; route m; record-route ; contact ; for example.com; ".into()),
        ("F13", "m-b ACK", "69 via m,a; route ; record-route ; contact ; for example.com; ".into()),
        ("F14", "a-m BYE", "70 via a; route m; record-route ; contact ; for example.com; ".into()),
        ("F15", "m-b BYE", "69 via m,a; route ; record-route ; contact ; for example.com; ".into()),
        ("F16", "b-m 200 BYE", "- via m,a; route ; record-route ; contact ; ".into()),
        ("F17", "m-a 200 BYE", "- via a; route ; record-route ; contact ; ".into()),
    ];
    for (number, way, what) in &expected {
        assert_eq!(&shown(&world.message(way)), what, "{number} {way}");
    }
    // These, each once, behind what had Bob's proxy have the password; 180 and 200 are sent at one moment here.
    let asked = ["a-m INVITE+", "m-p INVITE+", "p-m 407 INVITE", "m-p ACK", "m-a 407 INVITE", "a-m ACK"];
    let mut flow = world.flow();
    assert_eq!(flow[..2], asked[..2]);
    let shown = expected.iter().map(|(_, way, _)| *way).filter(|way| !way.contains("100"));
    let mut ways: Vec<_> = asked.into_iter().chain(shown).collect();
    ways.sort();
    flow.sort();
    assert_eq!(flow, ways);
    world.ends_clean();
}
