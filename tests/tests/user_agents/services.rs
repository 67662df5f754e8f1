//! RFC 5359: services of user agents, message by message. Media are played nowhere: who mixes or plays music is who agreed on
//! the streams for it.

use crate::steps::{able, all_end, answer, connect, established, follow, sorted, take};
use crate::world::{ALICE, BOB, CAROL, DAVE, World, address, aor, directed, port, sdp};
use dum::DialogId;
use dum::invite::Session;
use dum::subscription::SubscriptionState;
use stack::contents::event::dialog_info::{DialogElement, State};
use stack::contents::event::{DialogInfo, DocumentState, EventDocument};
use stack::contents::sdp::Direction::{self, RecvOnly, SendOnly, SendRecv};
use stack::header::{DialogRef, HeaderValue, Method, NameAddr, p};

/// What was agreed, as somebody sees it in a call: the direction that the other offered, and that one's port.
fn remote(world: &mut World, node: usize, call: usize) -> (Direction, u16) {
    world.act(node, move |phone, dum| {
        let remote = phone.calls[call].remote_sdp(dum).unwrap();
        (remote.media().next().unwrap().direction(), port(&remote))
    })
}

/// An INVITE that names a dialog, in a header of that name.
fn call_into(world: &mut World, from: usize, to: usize, header: &'static str, dialog: &DialogRef<'_>) {
    let named = dialog.to_string();
    world.act(from, move |phone, dum| {
        let profile = phone.profile.clone();
        let mut invite = dum.make_invite(&profile, &aor(to), Some(&sdp(1000 * (1 + from as u16))));
        invite.append_line(header, &named);
        phone.calls.push(dum.send_invite(&profile, invite).unwrap().session());
    });
    world.run(50);
}

/// REFER out of a dialog.
fn refer(world: &mut World, from: usize, to: usize, refer_to: String) {
    world.act(from, move |phone, dum| {
        let profile = phone.profile.clone();
        let refer = dum.make_refer(&profile, &aor(to), &NameAddr::parse(&refer_to).unwrap());
        dum.send_refer(&profile, refer).unwrap();
    });
    world.run(50);
}

fn watch(world: &mut World, watcher: usize, node: usize) {
    world.act(watcher, move |phone, dum| {
        let profile = phone.profile.clone();
        let subscribe = dum.make_subscribe(&profile, &aor(node), "dialog");
        dum.send_subscribe(&profile, subscribe).unwrap();
    });
    world.run(50);
}

/// Somebody tells who watches him of his last call.
fn tell(world: &mut World, node: usize, state: State) {
    world.act(node, move |phone, dum| {
        let mut dialog = DialogElement::new("1", state);
        if let Some(names) = phone.last().replaces(dum) {
            // As he knows them: the names for his peer are the other way round.
            dialog.call_id = Some(names.call_id.as_str().to_owned());
            dialog.remote_tag = names.param(p::TO_TAG).map(str::to_owned);
            dialog.local_tag = names.param(p::FROM_TAG).map(str::to_owned);
        }
        let (version, entity) = (0, aor(node).uri.to_string());
        let contents = DialogInfo { version, state: DocumentState::Full, entity, dialogs: vec![dialog] }.to_contents();
        let watcher = *phone.watchers.last().unwrap();
        let told = watcher.notify(dum, SubscriptionState::Active, Some(&contents));
        told.or_else(|_| watcher.accept(dum, SubscriptionState::Active, Some(&contents))).unwrap();
    });
    world.run(50);
}

/// The dialog of which somebody was told, as the peer of who told it knows it: its own tag comes first (RFC 3891 §4).
fn told(world: &mut World, node: usize, of_peer: bool) -> DialogRef<'static> {
    let dialog = world.act(node, |phone, _| phone.told.last().unwrap().dialogs[0].clone());
    let (call_id, local, remote) = (dialog.call_id.unwrap(), dialog.local_tag.unwrap(), dialog.remote_tag.unwrap());
    let (to, from) = if of_peer { (remote, local) } else { (local, remote) };
    DialogRef::parse(&format!("{call_id};to-tag={to};from-tag={from}")).unwrap().into_owned()
}

#[test]
fn rfc_5359_2_2_consultation_hold() {
    let mut world = established(ALICE, BOB);
    world.act(BOB, |bob, dum| bob.calls[0].hold(dum)).unwrap();
    answer(&mut world, ALICE, RecvOnly);
    connect(&mut world, BOB, CAROL);
    assert!(world.act(ALICE, |alice, dum| alice.last().is_held(dum)));
    world.act(BOB, |bob, dum| bob.calls[1].end(dum)).unwrap();
    world.run(50);
    world.act(BOB, |bob, dum| bob.calls[0].resume(dum)).unwrap();
    answer(&mut world, ALICE, SendRecv);
    assert!(!world.act(ALICE, |alice, dum| alice.last().is_held(dum)));
    let hold = ["b-a INVITE+", "a-b 200+ INVITE", "b-a ACK"];
    let consult = ["b-c INVITE+", "c-b 180 INVITE", "c-b 200+ INVITE", "b-c ACK", "b-c BYE", "c-b 200 BYE"];
    assert_eq!(world.flow(), [&hold[..], &consult, &hold].concat());
    all_end(world);
}

#[test]
fn rfc_5359_2_3_music_on_hold() {
    let mut world = established(ALICE, BOB);
    // The music's offer is what Alice is held with, her answer is the music's.
    world.call(BOB, DAVE, None);
    world.run(50);
    world.act(DAVE, |dave, dum| {
        dave.incoming().provide_offer(dum, &directed(4000, SendOnly)).unwrap();
        dave.incoming().accept(dum).unwrap();
    });
    world.run(50);
    world.act(BOB, |bob, dum| bob.calls[0].provide_offer(dum, &directed(4000, SendOnly))).unwrap();
    answer(&mut world, ALICE, RecvOnly);
    world.act(BOB, |bob, dum| {
        let answer = bob.calls[0].remote_sdp(dum).unwrap();
        bob.calls[1].provide_answer(dum, &answer).unwrap();
    });
    world.run(50);
    assert_eq!(remote(&mut world, ALICE, 0), (SendOnly, 4000));
    assert_eq!(remote(&mut world, DAVE, 0), (RecvOnly, 1000));
    // Back again.
    world.act(BOB, |bob, dum| {
        bob.calls[0].provide_offer(dum, &sdp(2000)).unwrap();
        bob.calls[1].end(dum).unwrap();
    });
    answer(&mut world, ALICE, SendRecv);
    assert_eq!(remote(&mut world, ALICE, 0), (SendRecv, 2000));
    let expected = ["b-d INVITE", "d-b 200+ INVITE", "b-a INVITE+", "a-b 200+ INVITE", "b-a ACK", "b-d ACK+"];
    let back = ["b-a INVITE+", "b-d BYE", "d-b 200 BYE", "a-b 200+ INVITE", "b-a ACK"];
    assert_eq!(world.flow(), [&expected[..], &back].concat());
    all_end(world);
}

#[test]
fn rfc_5359_2_6_transfer_to_an_instant_message() {
    let mut world = established(ALICE, BOB);
    world.act(BOB, |bob, dum| {
        let message = format!("<sip:carol@{};method=MESSAGE>", address(CAROL));
        bob.last().refer(dum, &NameAddr::parse(&message).unwrap(), true).unwrap();
    });
    world.run(50);
    world.act(ALICE, |alice, dum| {
        alice.refers[0].accept(dum).unwrap();
        let profile = alice.profile.clone();
        let mut text = dum.make_request(&profile, &Method::Message, &aor(CAROL));
        text.set_body(Some("text/plain"), "call me");
        dum.send_request(text).unwrap();
    });
    world.run(50);
    world.act(ALICE, |alice, dum| alice.refers[0].notify(dum, 200)).unwrap();
    world.run(50);
    assert_eq!(world.heard(CAROL), ["text call me"]);
    assert_eq!(world.heard(BOB)[4..], ["refer accepted", "refer 100", "refer 200", "refer ended Some(200)"]);
    let expected = ["b-a REFER", "a-b 202 REFER", "a-b NOTIFY+", "a-c MESSAGE+", "b-a 200 NOTIFY", "c-a 200 MESSAGE"];
    assert_eq!(world.flow(), [&expected[..], &["a-b NOTIFY+", "b-a 200 NOTIFY"]].concat());
    all_end(world);
}

#[test]
fn rfc_5359_2_10_a_third_party_is_added() {
    let mut world = established(ALICE, BOB);
    world.act(BOB, |bob, dum| bob.calls[0].hold(dum)).unwrap();
    answer(&mut world, ALICE, RecvOnly);
    connect(&mut world, BOB, CAROL);
    // He mixes: each hears him, and by him the other.
    world.act(BOB, |bob, dum| bob.calls[0].resume(dum)).unwrap();
    answer(&mut world, ALICE, SendRecv);
    assert!(world.act(BOB, |bob, dum| bob.calls.iter().all(|call| call.is_connected(dum) && !call.is_held(dum))));
    let hold = ["b-a INVITE+", "a-b 200+ INVITE", "b-a ACK"];
    let added = ["b-c INVITE+", "c-b 180 INVITE", "c-b 200+ INVITE", "b-c ACK"];
    assert_eq!(world.flow(), [&hold[..], &added, &hold].concat());
    all_end(world);
}

#[test]
fn rfc_5359_2_11_a_third_party_joins() {
    let mut world = established(ALICE, BOB);
    watch(&mut world, CAROL, BOB);
    tell(&mut world, BOB, State::Confirmed);
    assert_eq!(world.heard(CAROL), ["told confirmed"]);
    let dialog = told(&mut world, CAROL, false);
    call_into(&mut world, CAROL, BOB, "Join", &dialog);
    // Join names Bob's call as he knows it (RFC 3911 §4); what it means is his program's.
    world.act(BOB, move |bob, dum| {
        let names = bob.calls[0].replaces(dum).unwrap();
        assert_eq!(names.call_id.as_str(), dialog.call_id.as_str());
        assert_eq!(names.param(p::FROM_TAG), dialog.param(p::TO_TAG));
        assert_eq!(bob.calls.len(), 2);
    });
    take(&mut world, BOB);
    assert!(world.act(BOB, |bob, dum| bob.calls.iter().all(|call| call.is_connected(dum))));
    let told = ["c-b SUBSCRIBE", "b-c 200 SUBSCRIBE", "b-c NOTIFY+", "c-b 200 NOTIFY"];
    assert_eq!(world.flow(), [&told[..], &["c-b INVITE+", "b-c 200+ INVITE", "c-b ACK"]].concat());
    all_end(world);
}

#[test]
fn rfc_5359_2_15_a_call_is_parked_and_retrieved() {
    let mut world = established(ALICE, BOB);
    // Bob asks Dave to take his place in the call with Alice.
    let names = world.act(BOB, |bob, dum| bob.last().replaces(dum).unwrap().to_string());
    let escaped = names.replace('@', "%40").replace(';', "%3B").replace('=', "%3D");
    refer(&mut world, BOB, DAVE, format!("<sip:alice@{}?Replaces={escaped}>", address(ALICE)));
    follow(&mut world, DAVE);
    assert!(world.act(ALICE, |alice, dum| alice.incoming().replaced_call(dum) == Some(alice.calls[0])));
    take(&mut world, ALICE);
    let heard = ["refer accepted", "refer 100", "terminated RemoteBye", "refer 200", "refer ended Some(200)"];
    assert_eq!(
        sorted(world.heard(BOB)),
        sorted([&HEARD_BY_BOB[..], &heard].concat().into_iter().map(str::to_owned).collect())
    );
    let parked = ["d-a INVITE+", "a-d 200+ INVITE", "a-b BYE", "d-a ACK", "b-a 200 BYE"];
    let seen = ["b-d REFER", "d-b 202 REFER", "d-b NOTIFY+", "b-d 200 NOTIFY", "d-b NOTIFY+", "b-d 200 NOTIFY"];
    assert_eq!(sorted(world.flow()), sorted([&seen[..], &parked].concat().into_iter().map(str::to_owned).collect()));
    // Carol sees what is parked there, and takes it.
    watch(&mut world, CAROL, DAVE);
    tell(&mut world, DAVE, State::Confirmed);
    let dialog = told(&mut world, CAROL, true);
    call_into(&mut world, CAROL, ALICE, "Replaces", &dialog);
    take(&mut world, ALICE);
    assert_eq!(world.heard(DAVE).last().map(String::as_str), Some("terminated RemoteBye"));
    assert!(world.act(CAROL, |carol, dum| carol.last().is_connected(dum)));
    let seen = ["c-d SUBSCRIBE", "d-c 200 SUBSCRIBE", "d-c NOTIFY+", "c-d 200 NOTIFY"];
    let taken = ["c-a INVITE+", "a-c 200+ INVITE", "a-d BYE", "c-a ACK", "d-a 200 BYE"];
    assert_eq!(sorted(world.flow()), sorted([&seen[..], &taken].concat().into_iter().map(str::to_owned).collect()));
    all_end(world);
}

/// What Bob has heard of the call with Alice.
const HEARD_BY_BOB: [&str; 4] = ["new", "offer 1000", "connected", "confirmed"];

#[test]
fn rfc_5359_2_16_a_call_is_picked_up() {
    let mut world = able();
    world.call(ALICE, BOB, Some(1000));
    world.run(50);
    world.act(BOB, |bob, dum| bob.incoming().provisional(dum, 180)).unwrap();
    world.run(50);
    watch(&mut world, CAROL, BOB);
    tell(&mut world, BOB, State::Early);
    // Alice's call to Bob, as long as nobody has answered it.
    let dialog = told(&mut world, CAROL, true);
    let early = DialogRef::parse(&format!("{dialog};early-only")).unwrap().into_owned();
    call_into(&mut world, CAROL, ALICE, "Replaces", &early);
    take(&mut world, ALICE);
    assert_eq!(world.heard(BOB).last().map(String::as_str), Some("terminated RemoteCancel"));
    assert!(world.act(ALICE, |alice, dum| alice.last().is_connected(dum) && !alice.calls[0].is_alive(dum)));
    let rings =
        ["a-b INVITE+", "b-a 180 INVITE", "c-b SUBSCRIBE", "b-c 200 SUBSCRIBE", "b-c NOTIFY+", "c-b 200 NOTIFY"];
    let taken =
        ["c-a INVITE+", "a-b CANCEL", "a-c 200+ INVITE", "c-a ACK", "b-a 200 CANCEL", "b-a 487 INVITE", "a-b ACK"];
    assert_eq!(sorted(world.flow()), sorted([&rings[..], &taken].concat().into_iter().map(str::to_owned).collect()));
    all_end(world);
}

#[test]
fn rfc_5359_2_17_automatic_redial() {
    let mut world = established(CAROL, BOB);
    world.call(ALICE, BOB, Some(1000));
    world.run(50);
    world.act(BOB, |bob, dum| bob.incoming().reject(dum, 486, |_| {})).unwrap();
    world.run(50);
    // Alice waits for the end of Bob's call.
    watch(&mut world, ALICE, BOB);
    world.act(BOB, |bob, _| bob.calls.truncate(1));
    tell(&mut world, BOB, State::Confirmed);
    world.act(CAROL, |carol, dum| carol.last().end(dum)).unwrap();
    world.run(50);
    tell(&mut world, BOB, State::Terminated);
    assert_eq!(world.heard(ALICE), ["terminated Refused", "told confirmed", "told terminated"]);
    connect(&mut world, ALICE, BOB);
    let refused = ["a-b INVITE+", "b-a 486 INVITE", "a-b ACK", "a-b SUBSCRIBE", "b-a 200 SUBSCRIBE", "b-a NOTIFY+"];
    let free = ["a-b 200 NOTIFY", "c-b BYE", "b-c 200 BYE", "b-a NOTIFY+", "a-b 200 NOTIFY"];
    let again = ["a-b INVITE+", "b-a 180 INVITE", "b-a 200+ INVITE", "a-b ACK"];
    assert_eq!(world.flow(), [&refused[..], &free, &again].concat());
    all_end(world);
}

#[test]
fn rfc_5359_2_18_click_to_dial() {
    let mut world = able();
    // Who clicks is Carol's program; it has Alice's telephone call Bob.
    refer(&mut world, CAROL, ALICE, aor(BOB).to_string());
    follow(&mut world, ALICE);
    world.answer(BOB, 2000);
    world.run(100);
    let carol = ["refer accepted", "refer 100", "refer 180", "refer 200", "refer ended Some(200)"];
    assert_eq!(world.heard(CAROL), carol);
    assert_eq!(world.heard(ALICE)[1..], ["provisional 180", "connected", "answer 2000"]);
    let call = ["a-b INVITE+", "b-a 180 INVITE", "b-a 200+ INVITE", "a-b ACK"];
    let told = [&["c-a REFER", "a-c 202 REFER"][..], &["a-c NOTIFY+", "c-a 200 NOTIFY"].repeat(3)].concat();
    assert_eq!(sorted(world.flow()), sorted([&told[..], &call].concat().into_iter().map(str::to_owned).collect()));
    all_end(world);
}

/// The dialog as the other side of it names it.
fn other_side(dialog: &DialogRef<'_>) -> DialogRef<'static> {
    let [to, from] = [p::TO_TAG, p::FROM_TAG].map(|tag| dialog.param(tag).unwrap());
    DialogRef::parse(&format!("{};to-tag={from};from-tag={to}", dialog.call_id.as_str())).unwrap().into_owned()
}

fn is_refused(world: &mut World, to: usize, dialog: &DialogRef<'_>, status: u16) {
    call_into(world, CAROL, to, "Replaces", dialog);
    let name = ["a", "b"][to];
    let way = [format!("c-{name} INVITE+"), format!("{name}-c {status} INVITE"), format!("c-{name} ACK")];
    let of_it = |shown: &String| shown.contains('c');
    assert_eq!(world.flow().into_iter().filter(of_it).collect::<Vec<_>>(), way);
}

#[test]
fn rfc_3891_3_what_cannot_be_replaced() {
    let mut world = able();
    world.call(ALICE, BOB, Some(1000));
    world.run(50);
    world.act(BOB, |bob, dum| bob.incoming().provisional(dum, 180)).unwrap();
    world.run(50);
    // Bob is called, and has not answered: who wants that call asks Alice.
    let at_alice = world.act(BOB, |bob, dum| bob.last().replaces(dum).unwrap());
    let at_bob = other_side(&at_alice);
    let id = DialogId::of_reference(&at_bob).unwrap();
    assert!(world.act(BOB, move |bob, dum| dum.find_invite_session(&id) == Some(bob.last())));
    is_refused(&mut world, BOB, &at_bob, 481);
    take(&mut world, BOB);
    // It was answered.
    let early = DialogRef::parse(&format!("{at_alice};early-only")).unwrap().into_owned();
    is_refused(&mut world, ALICE, &early, 486);
    // Bob does not know it by these names.
    is_refused(&mut world, BOB, &at_alice, 481);
    // It is over, but for the answer to the BYE.
    world.lose(|shown| shown == "b 200 BYE");
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.run(50);
    is_refused(&mut world, ALICE, &at_alice, 603);
    world.lose(|_| false);
    world.run(1000);
    is_refused(&mut world, ALICE, &at_alice, 481);
    all_end(world);
}
