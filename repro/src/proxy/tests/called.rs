//! Dialogs that are told of the calls that are relayed (RFC 4235).

use super::published::{BOB, config, one, publication, subscribe, told};
use super::*;
use crate::events::Package;
use stack::contents::event::dialog_info::State;
use stack::contents::event::{DialogInfo, DocumentState, EventDocument};

/// Who is told, and of each dialog whether he has called, its state, and whom he speaks with.
type Lamp = (String, Vec<(String, State, Option<String>)>);

/// What is told of the calls of alice and bob, who have telephones and watch themselves.
struct Lamps {
    bench: Bench,
    count: u32,
}

impl Lamps {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        config.events.dialogs_from_calls = true;
        config.events.throttle_seconds = 0;
        change(&mut config);
        let mut bench = Bench::with("127.0.0.1:5060", config);
        for (user, contact) in [("bob", "sip:bob@127.0.0.1:5090"), ("alice", "sip:alice@127.0.0.1:7000")] {
            bench.register_as(user, contact);
            let mut msg = subscribe(user, "dialog", "");
            msg.set_request_uri(&format!("sip:{user}@127.0.0.1"));
            let outs = bench.request(msg);
            assert_eq!(one::<DialogInfo>(&mut bench, outs).dialogs, []);
        }
        Lamps { bench, count: 0 }
    }

    /// Alice calls bob.
    fn call(&mut self, lines: &str) -> (ClientTransaction, Box<Message>) {
        self.count += 1;
        let from = "From: <sip:alice@127.0.0.1>;tag=a\r\nTo: <sip:bob@127.0.0.1>\r\n";
        let mut msg = request("INVITE", BOB, &format!("{from}Contact: <sip:alice@127.0.0.1:7000>\r\n{lines}"));
        msg.set(h::CALL_ID, &*format!("call{}", self.count));
        let (client, sent, _) = self.bench.forwarded(msg);
        (client, sent)
    }

    /// What is told meanwhile: who is told, whether he has called, the state, and whom he speaks with.
    fn told(&mut self) -> Vec<Lamp> {
        let outs = self.bench.pass(0);
        let all: Vec<DialogInfo> = told(&mut self.bench, outs);
        let mut all: Vec<_> = all
            .into_iter()
            .map(|info| {
                let dialogs = info.dialogs.into_iter().map(|dialog| {
                    assert!(dialog.call_id.is_none() && dialog.local_tag.is_none() && dialog.remote_tag.is_none());
                    assert_eq!(dialog.local.unwrap().identity.as_deref(), Some(info.entity.as_str()));
                    let remote = dialog.remote.and_then(|remote| remote.identity);
                    (dialog.direction.unwrap().to_string(), dialog.state, remote)
                });
                (info.entity.clone(), dialogs.collect())
            })
            .collect();
        all.sort_by_key(|(entity, _)| entity.clone());
        all
    }

    /// What both are told of one call.
    fn both(state: State) -> Vec<Lamp> {
        let [alice, bob] = ["sip:alice@127.0.0.1", BOB].map(str::to_owned);
        let one = |direction: &str, remote: &str| vec![(direction.to_owned(), state, Some(remote.to_owned()))];
        vec![(alice.clone(), one("initiator", &bob)), (bob, one("recipient", &alice))]
    }
}

#[test]
fn calls_are_told_from_the_first_ring_to_the_bye() {
    let mut lamps = Lamps::new(|_| {});
    let (client, invite) = lamps.call("");
    assert_eq!(lamps.told(), [], "nobody has said anything");
    lamps.bench.respond(client, &invite, 180);
    assert_eq!(lamps.told(), Lamps::both(State::Early));
    lamps.bench.respond(client, &invite, 183);
    assert_eq!(lamps.told(), []);
    lamps.bench.respond(client, &invite, 200);
    assert_eq!(lamps.told(), Lamps::both(State::Confirmed));
    // Bob hangs up; that of another call means nothing.
    for (call, expected) in [("other", vec![]), ("call1", Lamps::both(State::Terminated))] {
        let lines = "From: <sip:bob@127.0.0.1>;tag=b\r\nTo: <sip:alice@127.0.0.1>;tag=a\r\n";
        let mut bye = request("BYE", "sip:alice@127.0.0.1:7000", lines);
        bye.set(h::CALL_ID, call);
        lamps.bench.forwarded(bye);
        assert_eq!(lamps.told(), expected, "{call}");
    }
    lamps.bench.pass(1);
    assert_eq!(lamps.bench.server.compositor().len(), 2);
    let outs = lamps.bench.pass(20);
    let all: Vec<DialogInfo> = told(&mut lamps.bench, outs);
    assert!(all.len() == 2 && all.iter().all(|info| info.dialogs.is_empty()));
    assert!(lamps.bench.server.compositor().is_empty());
}

#[test]
fn calls_that_fail_or_are_given_up_or_forgotten_are_over() {
    let mut lamps = Lamps::new(|config| config.events.calls_seconds = 600);
    // Nobody rings: nobody is told.
    let (client, invite) = lamps.call("");
    lamps.bench.respond(client, &invite, 486);
    assert_eq!(lamps.told(), []);
    for given_up in [false, true] {
        let (client, invite) = lamps.call("");
        lamps.bench.respond(client, &invite, 180);
        assert_eq!(lamps.told(), Lamps::both(State::Early));
        if given_up {
            lamps.bench.cancelled();
        }
        lamps.bench.respond(client, &invite, if given_up { 487 } else { 486 });
        assert_eq!(lamps.told(), Lamps::both(State::Terminated));
        let outs = lamps.bench.pass(20);
        told::<DialogInfo>(&mut lamps.bench, outs);
    }
    // Who wants to be nobody is nobody here too.
    let (client, invite) = lamps.call("Privacy: id\r\n");
    lamps.bench.respond(client, &invite, 200);
    let all = lamps.told();
    assert_eq!(all[1].1, [("recipient".to_owned(), State::Confirmed, None)]);
    assert_eq!(all[0].1[0].2.as_deref(), Some(BOB));
    let outs = lamps.bench.pass(601);
    let all: Vec<DialogInfo> = told(&mut lamps.bench, outs);
    assert!(all.len() == 2 && all.iter().all(|info| info.dialogs.is_empty()));
    // A publication of the proxy's is nobody's to change.
    let (client, invite) = lamps.call("");
    lamps.bench.respond(client, &invite, 180);
    lamps.told();
    let etags = || lamps.bench.server.compositor().etags(Package::Dialog, "bob@127.0.0.1");
    let before = etags();
    let own = before.first().expect("a publication").clone();
    assert!(own.ends_with(" recipient early"), "{own:?}");
    for etag in [own.as_str(), own.trim(), &own.replace(' ', "%20")] {
        let msg = publication("dialog", Some(etag), 0, None);
        assert!(lamps.bench.status(msg) >= 400, "{etag}");
    }
    assert_eq!(lamps.bench.server.compositor().etags(Package::Dialog, "bob@127.0.0.1"), before);
}

#[test]
fn a_call_that_two_have_taken_is_over_with_the_last() {
    let mut lamps = Lamps::new(|_| {});
    let (client, invite) = lamps.call("");
    for tag in ["b", "c"] {
        let mut msg = invite.make_response(200, None, Some(tag));
        msg.push_front(h::VIAS, "SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKown");
        lamps.bench.event(TuEvent::Response { transaction: client, msg: Box::new(msg) });
    }
    assert_eq!(lamps.told(), Lamps::both(State::Confirmed));
    // Alice hangs up on one of them, and one that is not in it says that he hangs up.
    for (tag, expected) in [("b", vec![]), ("x", vec![]), ("c", Lamps::both(State::Terminated))] {
        let lines = format!("From: <sip:alice@127.0.0.1>;tag=a\r\nTo: <sip:bob@127.0.0.1>;tag={tag}\r\n");
        let mut bye = request("BYE", "sip:bob@127.0.0.1:5090", &lines);
        bye.set(h::CALL_ID, "call1");
        lamps.bench.forwarded(bye);
        assert_eq!(lamps.told(), expected, "{tag}");
    }
}

#[test]
fn calls_do_not_take_the_room_of_telephones() {
    let mut lamps = Lamps::new(|config| config.events.publications_per_user = 2);
    for _ in 0..3 {
        let (client, invite) = lamps.call("");
        lamps.bench.respond(client, &invite, 180);
    }
    lamps.told();
    assert_eq!(lamps.bench.server.compositor().etags(Package::Dialog, "bob@127.0.0.1").len(), 2);
    let info = DialogInfo { version: 0, state: DocumentState::Full, entity: BOB.into(), dialogs: Vec::new() };
    let body = ("application/dialog-info+xml", info.print().to_vec());
    let publish = |bench: &mut Bench| codes(&bench.request(publication("dialog", None, 600, Some(body.clone()))))[0];
    assert_eq!([(); 3].map(|()| publish(&mut lamps.bench)), [200, 200, 403]);
}

#[test]
fn calls_are_told_only_where_they_are_to() {
    let mut lamps = Lamps::new(|config| config.events.dialogs_from_calls = false);
    let (client, invite) = lamps.call("");
    lamps.bench.respond(client, &invite, 180);
    lamps.bench.respond(client, &invite, 200);
    assert_eq!(lamps.told(), []);
    assert!(lamps.bench.server.compositor().is_empty());
}
