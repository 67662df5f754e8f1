//! RFC 3665 §3 where there are proxies, and RFC 4028 §12. Alice is a user of Proxy 1 (`p`), which asks for her password, Bob
//! one of Proxy 2 (`m`). Both are repro.

use crate::alg::shown;
use crate::steps::{sorted, take};
use crate::timers::says;
use crate::world::{ALICE, BOB, MIDDLE, PROXY, World, address, sdp};
use dum::UserProfile;
use dum::auth::{Asker, Credential, ServerAuthManager, source};
use dum::invite::Session;
use repro::Config;
use repro::processors::{Processor, ProcessorResult, Processors};
use repro::proxy::RequestContext;
use rutil::Rng;
use serde_json::json;
use stack::auth::{Hash, Secret, ha1};
use stack::header::{HeaderValue, NameAddr, h};
use stack::message::Message;
use stack::selector::records::{RecordType, Records, Srv};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

const ATLANTA: &str = "atlanta.example.com";
const BILOXI: &str = "biloxi.example.com";

/// Both proxies. Proxy 2 knows where Bob is, and is what the name of his domain leads to.
fn world(required: bool, second: &Processors) -> World {
    between(World::new(), required, [&Processors::standard(), second])
}

fn between(mut world: World, required: bool, [first, second]: [&Processors; 2]) -> World {
    world.add_proxy_of(first, |config| {
        config.domains = vec![ATLANTA.parse().unwrap()];
        config.auth.required = required;
        config.trusted_peers = vec![trusts(MIDDLE)];
        if !required {
            config.trusted_peers.push(trusts(ALICE));
        }
    });
    world.add_second_proxy(second, biloxi);
    provision(&mut world, PROXY);
    world.register_at(MIDDLE, BOB, &bob(), 1.0, 1);
    world.add_name(BILOXI, RecordType::A, Records::Addresses([address(MIDDLE).ip()].into()));
    world
}

fn trusts(node: usize) -> repro::config::Network {
    format!("{}/32", address(node).ip()).parse().unwrap()
}

fn biloxi(config: &mut Config) {
    config.domains = vec![BILOXI.parse().unwrap()];
    config.trusted_peers = vec![trusts(PROXY), trusts(BOB)];
}

fn provision(world: &mut World, node: usize) {
    let digits = ha1(Hash::Sha256, "alice", ATLANTA, "wonderland");
    let alice = json!({"aor": format!("alice@{ATLANTA}"), "sha256": digits});
    world.provision_at(node, &[("domain", json!({"name": ATLANTA})), ("user", alice)]);
}

fn addr(text: &str) -> NameAddr<'static> {
    NameAddr::parse(text).unwrap().into_owned()
}

fn bob() -> NameAddr<'static> {
    addr(&format!("<sip:bob@{BILOXI}>"))
}

/// Alice calls Bob by what this leads to, or by what his name leads to.
fn call(world: &mut World, proxy: Option<&str>, offer: bool) {
    let route = proxy.map(|proxy| Arc::new(addr(&format!("<sip:{proxy};lr>"))));
    world.act(ALICE, move |alice, dum| {
        let mut profile = UserProfile::on(&alice.profile);
        profile.set_outbound_proxy(route);
        profile.set_from(Arc::new(addr(&format!("<sip:alice@{ATLANTA}>"))));
        profile.set_credentials(
            [Credential::new(ATLANTA, "alice", "wonderland"), Credential::new(BILOXI, "alice", "carroll")].into(),
        );
        let (profile, offer) = (Arc::new(profile), offer.then(|| sdp(1000)));
        let invite = dum.make_invite(&profile, &bob(), offer.as_ref());
        alice.calls.push(dum.send_invite(&profile, invite).unwrap().session());
    });
    world.run(300);
}

fn call_by_first(world: &mut World) {
    let first = address(PROXY).to_string();
    call(world, Some(&first), true);
}

/// Bob rings, and then takes the call.
fn ring(world: &mut World) {
    world.act(BOB, |bob, dum| bob.incoming().provisional(dum, 180)).unwrap();
    world.run(100);
}

fn end(world: &mut World, node: usize) {
    world.act(node, |phone, dum| phone.last().end(dum)).unwrap();
    world.run(100);
}

/// A request all the way from Alice to Bob.
fn there(what: &str) -> [String; 3] {
    ["a-p", "p-m", "m-b"].map(|way| format!("{way} {what}"))
}

/// Something all the way from Bob to Alice.
fn back(what: &str) -> [String; 3] {
    ["b-m", "m-p", "p-a"].map(|way| format!("{way} {what}"))
}

const BYE_ANSWERED: [&str; 3] = ["a-p 200 BYE", "p-m 200 BYE", "m-b 200 BYE"];

/// An INVITE of Alice is refused, by one hop after the other, each of which has its ACK.
fn refused(status: u16) -> [String; 6] {
    let one = |way: &str, ack: &str| [format!("{way} {status} INVITE"), format!("{ack} ACK")];
    let [bob, second, first] = [one("b-m", "m-b"), one("m-p", "p-m"), one("p-a", "a-p")];
    [bob, second, first].concat().try_into().unwrap()
}

fn strings(flow: &[&str]) -> Vec<String> {
    flow.iter().map(|shown| (*shown).to_owned()).collect()
}

/// What the trace has of these, as the RFC shows it.
fn are_as_shown(world: &World, expected: &[(&str, &str, &str)]) {
    for (number, way, what) in expected {
        assert_eq!(&shown(&world.message(way)), what, "{number} {way}");
    }
}

#[test]
fn rfc_3665_3_2_session_establishment_through_two_proxies() {
    let mut world = world(true, &Processors::standard());
    call_by_first(&mut world);
    ring(&mut world);
    take(&mut world, BOB);
    end(&mut world, BOB);
    let expected = [
        ("F4", "a-p INVITE+", "70 via a; route p; record-route ; contact a; for atlanta.example.com; 192.0.2.99:1000"),
        ("F5", "p-m INVITE+", "69 via p,a; route ; record-route p; contact a; 192.0.2.99:1000"),
        ("F6", "p-a 100 INVITE", "- via a; route ; record-route ; contact ; "),
        ("F7", "m-b INVITE+", "68 via m,p,a; route ; record-route m,p; contact a; 192.0.2.99:1000"),
        ("F8", "m-p 100 INVITE", "- via p,a; route ; record-route ; contact ; "),
        ("F9", "b-m 180 INVITE", "- via m,p,a; route ; record-route m,p; contact b; "),
        ("F10", "m-p 180 INVITE", "- via p,a; route ; record-route m,p; contact b; "),
        ("F11", "p-a 180 INVITE", "- via a; route ; record-route m,p; contact b; "),
        ("F12", "b-m 200+ INVITE", "- via m,p,a; route ; record-route m,p; contact b; 192.0.2.99:2000"),
        ("F13", "m-p 200+ INVITE", "- via p,a; route ; record-route m,p; contact b; 192.0.2.99:2000"),
        ("F14", "p-a 200+ INVITE", "- via a; route ; record-route m,p; contact b; 192.0.2.99:2000"),
        ("F15", "a-p ACK", "70 via a; route p,m; record-route ; contact ; for atlanta.example.com; "),
        ("F16", "p-m ACK", "69 via p,a; route m; record-route ; contact ; "),
        ("F17", "m-b ACK", "68 via m,p,a; route ; record-route ; contact ; "),
        ("F18", "b-m BYE", "70 via b; route m,p; record-route ; contact ; "),
        ("F19", "m-p BYE", "69 via m,b; route p; record-route ; contact ; "),
        ("F20", "p-a BYE", "68 via p,m,b; route ; record-route ; contact ; "),
        ("F21", "a-p 200 BYE", "- via p,m,b; route ; record-route ; contact ; "),
        ("F22", "p-m 200 BYE", "- via m,b; route ; record-route ; contact ; "),
        ("F23", "m-b 200 BYE", "- via b; route ; record-route ; contact ; "),
    ];
    are_as_shown(&world, &expected);
    // F1 to F3, then these; the 100s are not in it.
    let rest = expected.iter().map(|(_, way, _)| *way).filter(|way| !way.contains(" 100 "));
    let flow: Vec<_> = ["a-p INVITE+", "p-a 407 INVITE", "a-p ACK"].into_iter().chain(rest).collect();
    assert_eq!(world.flow(), flow);
    world.ends_clean();
}

/// What is wrong in one message, and the rule that says so.
type Wrong = (&'static str, fn(&mut Message), &'static str);

/// The judge of [`crate::hops`] sees each of these in a flow that is right but for that.
#[test]
fn a_header_that_is_wrong_is_seen() {
    let mut world = world(true, &Processors::standard());
    call_by_first(&mut world);
    ring(&mut world);
    take(&mut world, BOB);
    end(&mut world, BOB);
    let wrong: [Wrong; 21] = [
        ("a-p INVITE+", |msg| msg.set(h::MAX_FORWARDS, &71), "Max-Forwards is 70"),
        ("a-p INVITE+", |msg| replace(msg, "Via", "192.0.2.1:", "192.0.2.9:"), "the first Via is the sender's"),
        ("a-p INVITE+", |msg| replace(msg, "Via", "z9hG4bK", "1"), "a branch with the cookie"),
        ("a-p INVITE+", |msg| replace(msg, "From", ";tag=", ";x="), "a tag in From"),
        ("a-p INVITE+", |msg| replace(msg, "CSeq", "INVITE", "UPDATE"), "CSeq is of the method"),
        ("a-p INVITE+", |msg| replace(msg, "Proxy-Authorization", "nc=00000001", "nc=00000002"), "the nonce is used"),
        ("a-p INVITE+", |msg| replace(msg, "Proxy-Authorization", "cnonce=", "x="), "cnonce and qop"),
        ("p-m INVITE+", |msg| msg.set(h::MAX_FORWARDS, &70), "Max-Forwards is one less"),
        ("p-m INVITE+", |msg| msg.append_line("Route", "<sip:192.0.2.6;lr>"), "Route without"),
        ("p-m INVITE+", |msg| msg.remove_lines("Contact"), "Contact is as it was"),
        ("p-m INVITE+", |msg| replace(msg, "Record-Route", "192.0.2.5", "192.0.2.9"), "Record-Route with"),
        ("p-m INVITE+", |msg| msg.set_request_uri("sip:bob@192.0.2.9"), "Request-URI as it was"),
        ("b-m 180 INVITE", |msg| replace(msg, "To", ";tag=", ";x="), "a tag in To"),
        ("m-p 180 INVITE", |msg| replace(msg, "Via", "received=", "x="), "the first Via of the request"),
        ("b-m 200+ INVITE", |msg| msg.remove_lines("Record-Route"), "Record-Route is as it was"),
        ("b-m 200+ INVITE", |msg| msg.remove_lines("Contact"), "one Contact"),
        ("p-a 200+ INVITE", |msg| msg.remove_lines("Contact"), "Contact is as it was"),
        ("a-p ACK", |msg| msg.remove_lines("Proxy-Authorization"), "Proxy-Authorization is as it was"),
        ("a-p ACK", |msg| msg.remove_lines("Route"), "Route is the route set"),
        ("b-m BYE", |msg| msg.set_request_uri("sip:alice@192.0.2.9"), "Request-URI is the remote target"),
        ("m-b 200 BYE", |msg| replace(msg, "From", ";tag=", ";tag=x"), "From is as it was"),
    ];
    for (way, edit, rule) in wrong {
        let said = catch_unwind(AssertUnwindSafe(|| world.judged_with(way, edit))).expect_err(rule);
        let said = said.downcast::<String>().expect("what is wrong");
        assert!(said.starts_with(rule), "{way}: {said}");
    }
    world.ends_clean();
}

fn replace(msg: &mut Message, name: &str, part: &str, by: &str) {
    let values: Vec<_> = msg.raw_values(name).map(|value| String::from_utf8_lossy(value).into_owned()).collect();
    assert!(values[0].contains(part), "{values:?}");
    msg.remove_lines(name);
    values.iter().for_each(|value| msg.append_line(name, &value.replacen(part, by, 1)));
}

/// Proxy 2 asks everybody, also whom it knows from elsewhere, once for each call.
struct AsksAll(ServerAuthManager);

impl Processor for AsksAll {
    fn name(&self) -> &'static str {
        "asks-all"
    }

    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        if context.request.has_to_tag() {
            return ProcessorResult::Continue;
        }
        let (now, secret) = (context.stack.now(), |_: &str, _| Some(Secret::password("carroll")));
        let checked = self.0.check(&context.request, Asker::Proxy, BILOXI, now, secret);
        let Err(refusal) = checked else { return ProcessorResult::Continue };
        let source = source(&context.request);
        let challenges = self.0.challenges(source, BILOXI, &refusal, now, context.stack.rng());
        context.respond_with(Asker::Proxy.status(), |response| Asker::Proxy.write(&challenges, response))
    }
}

#[test]
fn rfc_3665_3_3_session_with_multiple_proxy_authentication() {
    let mut second = Processors::standard();
    second.add_before("validation", AsksAll(ServerAuthManager::new(Default::default(), &mut Rng::from_seed(5))));
    let mut world = world(true, &second);
    call_by_first(&mut world);
    take(&mut world, BOB);
    end(&mut world, BOB);
    let both = "for atlanta.example.com; for biloxi.example.com; ";
    let expected = [
        ("F9", "p-a 407 INVITE", "- via a; route ; record-route ; contact ; "),
        ("F11", "a-p INVITE+", &format!("70 via a; route p; record-route ; contact a; {both}192.0.2.99:1000")),
        // Proxy 1 takes away what was for itself.
        (
            "F12",
            "p-m INVITE+",
            "69 via p,a; route ; record-route p; contact a; for biloxi.example.com; 192.0.2.99:1000",
        ),
        ("F19", "a-p ACK", &format!("70 via a; route p,m; record-route ; contact ; {both}")),
    ];
    are_as_shown(&world, &expected);
    let first = ["a-p INVITE+", "p-a 407 INVITE", "a-p ACK", "a-p INVITE+"];
    let next = ["p-m INVITE+", "m-p 407 INVITE", "p-m ACK", "p-a 407 INVITE", "a-p ACK"];
    let rest = [there("INVITE+"), back("200+ INVITE"), there("ACK"), back("BYE")].concat();
    assert_eq!(world.flow(), [strings(&first), strings(&next), rest, strings(&BYE_ANSWERED)].concat());
    assert_eq!(world.heard(ALICE), ["connected", "answer 2000", "terminated RemoteBye"]);
    world.ends_clean();
}

/// Proxy 1 is silent, so what its name leads to next is asked, which is a proxy for both domains here.
#[test]
fn rfc_3665_3_4_successful_session_with_proxy_failure() {
    let mut world = World::new();
    world.add_proxy(|_| {});
    world.add_second_proxy(&Processors::standard(), |config| {
        biloxi(config);
        config.domains.push(ATLANTA.parse().unwrap());
        config.auth.required = true;
    });
    provision(&mut world, MIDDLE);
    world.register_at(MIDDLE, BOB, &bob(), 1.0, 1);
    let srv = |(priority, name): (u16, &str)| Srv { priority, weight: 0, port: 5060, target: name.into() };
    let servers = [(1, "ss1.example.com"), (2, "ss2.example.com")].map(srv);
    world.add_name(&format!("_sip._udp.{ATLANTA}"), RecordType::Srv, Records::Srv(servers.into()));
    for (name, node) in [("ss1.example.com", PROXY), ("ss2.example.com", MIDDLE)] {
        world.add_name(name, RecordType::A, Records::Addresses([address(node).ip()].into()));
    }
    world.cut(Some(PROXY));
    call(&mut world, Some(ATLANTA), true);
    world.run(33_000);
    ring(&mut world);
    take(&mut world, BOB);
    end(&mut world, ALICE);
    let silent = vec!["a-p INVITE+".to_owned(); 7];
    let asked = ["a-m INVITE+", "m-a 407 INVITE", "a-m ACK", "a-m INVITE+", "m-b INVITE+"];
    let taken = ["b-m 180 INVITE", "m-a 180 INVITE", "b-m 200+ INVITE", "m-a 200+ INVITE", "a-m ACK", "m-b ACK"];
    let over = ["a-m BYE", "m-b BYE", "b-m 200 BYE", "m-a 200 BYE"];
    assert_eq!(world.flow(), [silent, strings(&asked), strings(&taken), strings(&over)].concat());
    assert_eq!(world.heard(ALICE), ["provisional 180", "connected", "answer 2000", "terminated LocalBye"]);
    world.ends_clean();
}

/// What Bob is called by at the other proxy, which is Proxy 3 there.
fn at_third() -> NameAddr<'static> {
    addr(&format!("<sip:bob@{}>", address(MIDDLE).ip()))
}

/// The first one knows where Bob is, and sends Alice there.
struct Redirects;

impl Processor for Redirects {
    fn name(&self) -> &'static str {
        "redirects"
    }

    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        context.respond_with(302, |response| {
            response.push_back(h::CONTACTS, &at_third());
        })
    }
}

#[test]
fn rfc_3665_3_6_session_via_redirect_and_proxy_servers_with_sdp_in_ack() {
    let mut world = World::new();
    let mut redirects = Processors::standard();
    redirects.add_before("validation", Redirects);
    world.add_proxy_of(&redirects, |_| {});
    world.add_second_proxy(&Processors::standard(), |config| {
        biloxi(config);
        config.domains = vec![address(MIDDLE).ip().to_string().parse().unwrap()];
    });
    world.register_at(MIDDLE, BOB, &at_third(), 1.0, 1);
    world.act(ALICE, |alice, _| alice.follows = true);
    world.add_name(BILOXI, RecordType::A, Records::Addresses([address(PROXY).ip()].into()));
    call(&mut world, None, false);
    ring(&mut world);
    world.act(BOB, |bob, dum| {
        bob.incoming().provide_offer(dum, &sdp(2000)).unwrap();
        bob.incoming().accept(dum).unwrap();
    });
    world.run(100);
    world.act(ALICE, |alice, dum| alice.last().provide_answer(dum, &sdp(1000))).unwrap();
    world.run(100);
    end(&mut world, BOB);
    let redirected = ["a-p INVITE", "p-a 302 INVITE", "a-p ACK", "a-m INVITE", "m-b INVITE"];
    let taken = ["b-m 180 INVITE", "m-a 180 INVITE", "b-m 200+ INVITE", "m-a 200+ INVITE", "a-m ACK+", "m-b ACK+"];
    let over = ["b-m BYE", "m-a BYE", "a-m 200 BYE", "m-b 200 BYE"];
    assert_eq!(world.flow(), [strings(&redirected), strings(&taken), strings(&over)].concat());
    let alice = ["provisional 180", "connected", "offer 2000", "terminated RemoteBye"];
    assert_eq!(world.heard(ALICE), alice);
    assert_eq!(world.heard(BOB)[2..], ["connected", "confirmed", "answer 1000", "terminated LocalBye"]);
    world.ends_clean();
}

/// Proxy 2 does not stay in the way: Bob tells his new address to Alice herself.
#[test]
fn rfc_3665_3_7_session_with_re_invite_ip_address_change() {
    let mut world = World::new();
    world.add_proxy(|_| {});
    world.add_second_proxy(&Processors::standard(), |config| {
        biloxi(config);
        config.record_route = false;
    });
    world.register_at(MIDDLE, BOB, &bob(), 1.0, 1);
    world.add_name(BILOXI, RecordType::A, Records::Addresses([address(MIDDLE).ip()].into()));
    call(&mut world, None, true);
    ring(&mut world);
    take(&mut world, BOB);
    let place = "192.0.2.202:5062";
    world.move_to(BOB, place.parse().unwrap());
    world.act(BOB, move |bob, dum| {
        bob.last().set_contact(dum, &addr(&format!("<sip:bob@{place}>"))).unwrap();
        bob.last().provide_offer(dum, &sdp(2002)).unwrap();
    });
    world.run(100);
    world.act(ALICE, |alice, dum| alice.last().provide_answer(dum, &sdp(1002))).unwrap();
    world.run(100);
    end(&mut world, ALICE);
    let begun =
        ["a-m INVITE+", "m-b INVITE+", "b-m 180 INVITE", "m-a 180 INVITE", "b-m 200+ INVITE", "m-a 200+ INVITE"];
    let direct = ["a-b ACK", "b-a INVITE+", "a-b 200+ INVITE", "b-a ACK", "a-b BYE", "b-a 200 BYE"];
    assert_eq!(world.flow(), [&begun[..], &direct].concat());
    assert_eq!(world.heard(BOB)[2..], ["connected", "confirmed", "answer 1002", "terminated RemoteBye"]);
    world.ends_clean();
}

/// What is refused: nobody asks for a password.
fn ringing() -> World {
    let mut world = world(false, &Processors::standard());
    call_by_first(&mut world);
    ring(&mut world);
    world
}

#[test]
fn rfc_3665_3_8_unsuccessful_no_answer() {
    let mut world = ringing();
    end(&mut world, ALICE);
    // Each hop has its own CANCEL and 200; the 487 comes from Bob.
    let cancel = ["a-p CANCEL", "p-a 200 CANCEL", "p-m CANCEL", "m-p 200 CANCEL", "m-b CANCEL", "b-m 200 CANCEL"];
    let expected = [&there("INVITE+")[..], &back("180 INVITE"), &strings(&cancel), &refused(487)].concat();
    assert_eq!(sorted(world.flow()), sorted(expected));
    assert_eq!(world.heard(ALICE), ["provisional 180", "terminated LocalCancel"]);
    assert_eq!(world.heard(BOB), ["new", "offer 1000", "terminated RemoteCancel"]);
    world.ends_clean();
}

#[test]
fn rfc_3665_3_9_unsuccessful_busy() {
    let mut world = world(false, &Processors::standard());
    call_by_first(&mut world);
    world.act(BOB, |bob, dum| bob.incoming().reject(dum, 486, |_| {})).unwrap();
    world.run(100);
    assert_eq!(world.flow(), [&there("INVITE+")[..], &refused(486)].concat());
    assert_eq!(world.heard(ALICE), ["terminated Refused"]);
    world.ends_clean();
}

/// Proxy 2 gives up after Timer B, and answers as RFC 3261 §16.8 has it, with 408; the RFC, written beside that one, shows 480.
#[test]
fn rfc_3665_3_10_unsuccessful_no_response_from_user_agent() {
    let mut world = world(false, &Processors::standard());
    world.cut(Some(BOB));
    call_by_first(&mut world);
    world.run(33_000);
    let tries = vec!["m-b INVITE+".to_owned(); 7];
    let flow = [&there("INVITE+")[..2], &tries, &refused(408)[2..]].concat();
    assert_eq!(world.flow(), flow);
    assert_eq!(world.heard(ALICE), ["terminated Refused"]);
    world.ends_clean();
}

#[test]
fn rfc_3665_3_11_unsuccessful_temporarily_unavailable() {
    let mut world = ringing();
    world.act(BOB, |bob, dum| bob.incoming().reject(dum, 480, |_| {})).unwrap();
    world.run(100);
    assert_eq!(world.flow(), [&there("INVITE+")[..], &back("180 INVITE"), &refused(480)].concat());
    assert_eq!(world.heard(ALICE), ["provisional 180", "terminated Refused"]);
    world.ends_clean();
}

/// Who lets no session pass that is briefer.
struct AtLeast(u32);

impl Processor for AtLeast {
    fn name(&self) -> &'static str {
        "at-least"
    }

    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        match context.request.header(h::SESSION_EXPIRES) {
            Ok(asked) if asked.seconds < self.0 => {
                context.respond_with(422, |response| response.set(h::MIN_SE, &self.0))
            }
            _ => ProcessorResult::Continue,
        }
    }
}

/// Proxy 1 wants an hour at least, and Proxy 2 more.
#[test]
fn rfc_4028_12_example_call_flow() {
    let at_least = |seconds| {
        let mut processors = Processors::standard();
        processors.add_before("validation", AtLeast(seconds));
        processors
    };
    let timers = World::with(|options| {
        options.master.add_option_tag("timer");
    });
    // What Alice asks for first is half an hour.
    let mut world = between(timers, false, [&at_least(3600), &at_least(4000)]);
    call_by_first(&mut world);
    take(&mut world, BOB);
    world.run(2_001_000);
    end(&mut world, BOB);
    let wanted = |who: &str| Some((4000, who.to_owned()));
    assert_eq!(says(&world, "p-a 422 INVITE"), (None, Some(4000), false));
    assert_eq!(says(&world, "m-b INVITE+"), (wanted(""), Some(4000), false));
    assert_eq!(says(&world, "p-a 200+ INVITE"), (wanted("uac"), None, true));
    assert_eq!(says(&world, "m-b UPDATE"), (wanted("uac"), Some(4000), false));
    assert_eq!(says(&world, "p-a 200 UPDATE"), (wanted("uac"), None, true));
    let by_first = ["a-p INVITE+", "p-a 422 INVITE", "a-p ACK"];
    let by_second = ["a-p INVITE+", "p-m INVITE+", "m-p 422 INVITE", "p-m ACK", "p-a 422 INVITE", "a-p ACK"];
    let call = [there("INVITE+"), back("200+ INVITE"), there("ACK"), there("UPDATE"), back("200 UPDATE"), back("BYE")];
    let expected = [strings(&by_first), strings(&by_second), call.concat(), strings(&BYE_ANSWERED)].concat();
    assert_eq!(world.flow(), expected);
    assert_eq!(world.heard(BOB)[2..], ["connected", "confirmed", "refreshed by UPDATE", "terminated LocalBye"]);
    world.ends_clean();
}
