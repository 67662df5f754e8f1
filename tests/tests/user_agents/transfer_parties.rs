//! RFC 5589 §9 to 11: transfers in which there are more than three parties, or fewer: a conference that all three know of,
//! somebody who screens calls, and a gateway that has both lines.

use crate::steps::{able, all_end, answer, connect, follow, take};
use crate::transfer_flows::{
    BYE, CALL, HOLD, REFERRED, TAKEN_OVER, hang_up, hold, is_flow, is_flow_at_once, replace, told,
};
use crate::world::{ALICE, BOB, CAROL, DAVE, World, aor, directed, sdp};
use dum::UserProfile;
use dum::invite::Session;
use dum::subscription::{SubscriptionState, TerminateReason};
use stack::contents::event::conference_info::{Change, Endpoint, Status, User};
use stack::contents::event::{ConferenceInfo, EventDocument};
use stack::contents::sdp::Direction::RecvOnly;
use stack::header::{HeaderValue, NameAddr, h, p};
use stack::uri::Uri;
use std::sync::Arc;

/// Where Bob's conference is.
fn focus() -> NameAddr<'static> {
    NameAddr::parse("<sip:conference@192.0.2.2:5060>;isfocus").unwrap().into_owned()
}

/// Who is in it, and how.
fn document(users: &[(usize, Status)]) -> ConferenceInfo {
    let user = |(who, status): &(usize, Status)| User {
        entity: Some(aor(*who).uri.to_string()),
        endpoints: vec![Endpoint { status: Some(*status), ..Endpoint::default() }],
        ..User::default()
    };
    ConferenceInfo {
        entity: focus().uri.to_string(),
        users: users.iter().map(user).collect(),
        ..ConferenceInfo::default()
    }
}

/// Somebody sees that he is in a conference, and wants to know who else is.
fn subscribe(world: &mut World, who: usize) {
    world.act(who, |phone, dum| {
        let contact = phone.calls[0].remote_contact(dum).unwrap();
        assert!(contact.param(p::ISFOCUS));
        let (profile, conference) = (phone.profile.clone(), NameAddr::new(contact.uri.into_owned()));
        assert_eq!(conference.uri, focus().uri);
        let subscribe = dum.make_subscribe(&profile, &conference, "conference");
        dum.send_subscribe(&profile, subscribe).unwrap();
    });
    world.run(50);
}

/// Bob tells one of those who have subscribed.
fn tell(world: &mut World, watcher: usize, users: &[(usize, Status)]) {
    let contents = document(users).to_contents();
    world.act(BOB, move |bob, dum| {
        let watcher = bob.watchers[watcher];
        let told = watcher.accept(dum, SubscriptionState::Active, Some(&contents));
        told.or_else(|_| watcher.notify(dum, SubscriptionState::Active, Some(&contents))).unwrap();
    });
    world.run(50);
}

/// Alice and Carol know at any moment how far the transfer is: Bob is the focus of a conference of the three.
#[test]
fn rfc_5589_9_transfer_as_an_ad_hoc_conference() {
    let mut world = able();
    connect(&mut world, ALICE, BOB);
    world.act(BOB, |bob, dum| bob.calls[0].set_contact(dum, &focus())).unwrap();
    assert!(world.act(ALICE, |alice, dum| !alice.calls[0].remote_contact(dum).unwrap().param(p::ISFOCUS)));
    hold(&mut world);
    subscribe(&mut world, ALICE);
    tell(&mut world, 0, &[(ALICE, Status::OnHold), (BOB, Status::Connected)]);
    // He asks Carol, who is in the conference from the beginning.
    world.act(BOB, |bob, dum| {
        let mut profile = UserProfile::on(&bob.profile);
        profile.set_contact(Some(Arc::new(focus())));
        let profile = Arc::new(profile);
        let mut invite = dum.make_invite(&profile, &aor(CAROL), Some(&sdp(2000)));
        invite.push_back(h::REQUIRES, "replaces");
        bob.calls.push(dum.send_invite(&profile, invite).unwrap().session());
    });
    world.run(50);
    world.answer(CAROL, 3000);
    world.run(50);
    let all = |alice, carol| [(ALICE, alice), (BOB, Status::Connected), (CAROL, carol)];
    subscribe(&mut world, CAROL);
    tell(&mut world, 1, &all(Status::OnHold, Status::Connected));
    tell(&mut world, 0, &all(Status::OnHold, Status::Connected));
    world.act(BOB, |bob, dum| bob.calls[1].hold(dum)).unwrap();
    answer(&mut world, CAROL, RecvOnly);
    tell(&mut world, 0, &all(Status::OnHold, Status::OnHold));
    let subscribed = ["a-b SUBSCRIBE", "b-a 200 SUBSCRIBE", "b-a NOTIFY+", "a-b 200 NOTIFY"];
    let consulted = ["b-c INVITE+", "c-b 180 INVITE", "c-b 200+ INVITE", "b-c ACK"];
    let and_carol = ["c-b SUBSCRIBE", "b-c 200 SUBSCRIBE", "b-c NOTIFY+", "c-b 200 NOTIFY"];
    let held = ["b-c INVITE+", "c-b 200+ INVITE", "b-c ACK"];
    is_flow(
        &mut world,
        &[&CALL, &HOLD, &subscribed, &consulted, &and_carol, &subscribed[2..], &held, &subscribed[2..]],
    );
    assert_eq!(world.heard(CAROL)[4..], ["told on-hold connected connected", "offer 2000"]);
    replace(&mut world);
    // Bob is in no call any more, and ends the conference.
    for watcher in [1, 0] {
        world
            .act(BOB, move |bob, dum| {
                let contents = ConferenceInfo { state: Change::Deleted, ..document(&[]) }.to_contents();
                bob.watchers[watcher].terminate(dum, TerminateReason::NoResource, None, Some(&contents))
            })
            .unwrap();
        world.run(50);
    }
    let over = ["b-c NOTIFY+", "c-b 200 NOTIFY", "b-a NOTIFY+", "a-b 200 NOTIFY"];
    is_flow_at_once(&mut world, &[&REFERRED, &TAKEN_OVER, &BYE, &over]);
    let told: Vec<_> = world.heard(ALICE).into_iter().filter(|heard| heard.starts_with("told")).collect();
    let seen = ["told on-hold connected", "told on-hold connected connected", "told on-hold connected on-hold"];
    assert_eq!(told, seen);
    assert!(world.act(ALICE, |alice, _| alice.watching.subscriptions_ended == 1));
    all_end(world);
}

/// Somebody holds somebody, each in one of his calls.
fn hold_in(world: &mut World, (who, call): (usize, usize), (peer, of_peer): (usize, usize)) {
    world.act(who, move |phone, dum| phone.calls[call].hold(dum)).unwrap();
    world.run(50);
    let own = 1000 * (1 + peer as u16);
    world.act(peer, move |phone, dum| phone.calls[of_peer].provide_answer(dum, &directed(own, RecvOnly))).unwrap();
    world.run(50);
}

fn end(world: &mut World, who: usize, call: usize) {
    world.act(who, move |phone, dum| phone.calls[call].end(dum)).unwrap();
    world.run(50);
}

/// Somebody has the peer of a call go to Dave, who answers; what he hears of it.
fn send_to_dave(world: &mut World, who: usize, peer: usize) {
    world.act(who, |phone, dum| phone.calls[0].refer(dum, &aor(DAVE), true).map(drop)).unwrap();
    world.run(50);
    follow(world, peer);
    take(world, DAVE);
    let heard = world.heard(who);
    assert_eq!(heard[heard.len() - 4..], ["refer accepted", "refer 100", "refer 200", "refer ended Some(200)"]);
}

/// Alice originates, Bob is the facilitator, Carol the screener, Dave the recipient: Bob reaches him by Carol, and Alice by
/// Bob.
#[test]
fn rfc_5589_10_transfer_with_multiple_parties() {
    let mut world = able();
    connect(&mut world, ALICE, BOB);
    hold_in(&mut world, (BOB, 0), (ALICE, 0));
    connect(&mut world, BOB, CAROL);
    hold_in(&mut world, (CAROL, 0), (BOB, 1));
    connect(&mut world, CAROL, DAVE);
    hold_in(&mut world, (CAROL, 1), (DAVE, 0));
    send_to_dave(&mut world, CAROL, BOB);
    end(&mut world, CAROL, 0);
    end(&mut world, CAROL, 1);
    hold_in(&mut world, (BOB, 2), (DAVE, 1));
    send_to_dave(&mut world, BOB, ALICE);
    end(&mut world, BOB, 0);
    end(&mut world, BOB, 2);
    end(&mut world, DAVE, 2);
    let call = |from: char, to: char| {
        [
            format!("{from}-{to} INVITE+"),
            format!("{to}-{from} 180 INVITE"),
            answered(from, to),
            format!("{from}-{to} ACK"),
        ]
    };
    let hold = |from: char, to: char| [format!("{from}-{to} INVITE+"), answered(from, to), format!("{from}-{to} ACK")];
    let bye = |from: char, to: char| [format!("{from}-{to} BYE"), format!("{to}-{from} 200 BYE")];
    let refer = |from: char, to: char| {
        let notify = [format!("{to}-{from} NOTIFY+"), format!("{from}-{to} 200 NOTIFY")];
        let [asked, accepted] = [format!("{from}-{to} REFER"), format!("{to}-{from} 202 REFER")];
        let begun = [asked, accepted, notify[0].clone(), format!("{to}-d INVITE+"), notify[1].clone()];
        [&begun[..], &[answered(to, 'd'), format!("{to}-d ACK")], &notify].concat()
    };
    let expected = [
        &call('a', 'b')[..],
        &hold('b', 'a'),
        &call('b', 'c'),
        &hold('c', 'b'),
        &call('c', 'd'),
        &hold('c', 'd'),
        &refer('c', 'b'),
        &bye('c', 'b'),
        &bye('c', 'd'),
        &hold('b', 'd'),
        &refer('b', 'a'),
        &bye('b', 'a'),
        &bye('b', 'd'),
        &bye('d', 'a'),
    ];
    assert_eq!(world.flow(), expected.concat());
    all_end(world);
}

fn answered(from: char, to: char) -> String {
    format!("{to}-{from} 200+ INVITE")
}

/// A telephone number behind the gateway that a call of Bob's comes by: at the gateway's Contact, so that no proxy chooses
/// another gateway.
fn by_the_same_gateway(world: &mut World) -> NameAddr<'static> {
    world.act(BOB, |bob, dum| {
        let mut uri = bob.calls[0].remote_contact(dum).unwrap().uri.into_owned();
        let Uri::Sip(sip) = &mut uri else { panic!("{uri}") };
        sip.user = Some("5551234".into());
        NameAddr::new(uri)
    })
}

/// What the gateway sends to itself ends there as soon as it has put both lines through.
fn put_through(world: &mut World) {
    let contact = |msg: &stack::message::Message| msg.first(h::CONTACTS).unwrap().into_addr().unwrap().uri.into_owned();
    assert_eq!(contact(&world.message("a-a INVITE+")), aor(ALICE).uri, "it is its own");
    take(world, ALICE);
    hang_up(world, 0);
    let [.., from, to] = world.act(ALICE, |alice, _| alice.calls.clone())[..] else { panic!("both") };
    assert!(world.act(ALICE, move |_, dum| from.is_connected(dum) && to.is_connected(dum)));
    world.act(ALICE, move |_, dum| from.end(dum)).unwrap();
    world.run(50);
    assert!(world.act(ALICE, |alice, dum| alice.calls.iter().all(|call| !call.is_alive(dum))));
}

/// Alice is a gateway, which has called Bob for one line and is called by him for another one: what it is sent to is itself.
#[test]
fn rfc_5589_11_1_coerce_gateway_hairpins_to_the_same_gateway() {
    let mut world = able();
    connect(&mut world, ALICE, BOB);
    hold(&mut world);
    let number = by_the_same_gateway(&mut world);
    world.act(BOB, move |bob, dum| {
        let profile = bob.profile.clone();
        let invite = dum.make_invite(&profile, &number, Some(&sdp(2000)));
        bob.calls.push(dum.send_invite(&profile, invite).unwrap().session());
    });
    world.run(50);
    world.answer(ALICE, 1002);
    world.run(50);
    world.act(BOB, |bob, dum| bob.calls[0].refer_to_call(dum, bob.calls[1]).map(drop)).unwrap();
    world.run(50);
    follow(&mut world, ALICE);
    let second = world.act(ALICE, |alice, dum| alice.incoming().replaced_call(dum) == Some(alice.calls[1]));
    assert!(second, "it takes the place of the other line's call");
    put_through(&mut world);
    let consulted = ["b-a INVITE+", "a-b 180 INVITE", "a-b 200+ INVITE", "b-a ACK"];
    let told = ["a-b NOTIFY+", "b-a 200 NOTIFY"];
    let referred = ["b-a REFER", "a-b 202 REFER", "a-b NOTIFY+", "a-a INVITE+", "b-a 200 NOTIFY"];
    let hairpin = ["a-a 200+ INVITE", "a-a ACK", "a-b BYE", "b-a 200 BYE"];
    is_flow_at_once(
        &mut world,
        &[&CALL, &HOLD, &consulted, &referred, &hairpin, &told, &BYE, &["a-a BYE", "a-a 200 BYE"]],
    );
    all_end(world);
}

/// The same where Bob asks nobody before.
#[test]
fn rfc_5589_11_1_the_same_unattended() {
    let mut world = able();
    connect(&mut world, ALICE, BOB);
    hold(&mut world);
    let number = by_the_same_gateway(&mut world);
    world.act(BOB, move |bob, dum| bob.calls[0].refer(dum, &number, true).map(drop)).unwrap();
    world.run(50);
    follow(&mut world, ALICE);
    put_through(&mut world);
    assert_eq!(told(&mut world, 3), ["refer 200", "refer ended Some(200)", "terminated LocalBye"]);
    let referred = ["b-a REFER", "a-b 202 REFER", "a-b NOTIFY+", "a-a INVITE+", "b-a 200 NOTIFY"];
    let hairpin = ["a-a 200+ INVITE", "a-a ACK", "a-b NOTIFY+", "b-a 200 NOTIFY"];
    is_flow(&mut world, &[&CALL, &HOLD, &referred, &hairpin, &BYE, &["a-a BYE", "a-a 200 BYE"]]);
    all_end(world);
}
