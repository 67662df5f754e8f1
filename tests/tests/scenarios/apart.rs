//! A transaction user that the program drives itself, beside those of the stack.

use rutil::Placement;
use stack::header::{HeaderValue as _, Method, NameAddr};
use stack::helper::make_initial;
use stack::tu::{
    MessageFilterRule, NoResponse, Rest, SendOptions, TransactionUser, TuApart, TuContext, TuEvent, TuOptions,
};
use stack::{Stack, StackError, TransportSpec, TuId};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::repro::LIMIT;

/// Answers what it is asked, and tells how what it asked was answered.
struct Echo(Sender<u16>);

impl TransactionUser for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn process(&mut self, event: TuEvent, stack: &mut TuContext<'_>) {
        match event {
            TuEvent::Request { transaction, msg } => {
                let response = msg.make_response(200, None, Some(&stack.new_tag()));
                stack.respond(transaction, response);
            }
            TuEvent::Response { msg, .. } => drop(self.0.send(msg.status().unwrap_or(0))),
            TuEvent::NoResponse { reason, .. } => {
                let _ = self.0.send(if reason == NoResponse::Timeout { 408 } else { 503 });
            }
            _ => {}
        }
    }
}

/// A stack whose transaction user is driven from here, and its bell.
fn apart() -> (Stack, TuApart, Receiver<()>, SocketAddr) {
    let (mut builder, (ring, rung)) = (Stack::builder(), channel());
    builder.add_transport(TransportSpec::udp("127.0.0.1:0".parse().expect("an address")));
    let (tell, _) = channel();
    let wake = move || {
        let _ = ring.send(());
    };
    let user = builder.register_tu_apart(TuOptions::default(), wake, move |_| Echo(tell.clone()));
    let stack = builder.start().expect("it starts");
    let apart = stack.take_apart(user).expect("nobody has taken it");
    assert!(stack.take_apart(user).is_none(), "there is one");
    let address = stack.transports().iter().next().expect("one").bound;
    (stack, apart, rung, address)
}

/// A stack that asks, and how it was answered.
fn asker() -> (TuId, Stack, Receiver<u16>) {
    let (mut builder, (tell, told)) = (Stack::builder(), channel());
    builder.add_transport(TransportSpec::udp("127.0.0.1:0".parse().expect("an address")));
    let asker = builder.register_tu(TuOptions::default(), move |_| Echo(tell.clone()));
    (asker, builder.start().expect("it starts"), told)
}

/// Works until there is nothing to do.
fn rest(apart: &mut TuApart) -> Rest {
    loop {
        match apart.work() {
            Rest::Again => {}
            rest => return rest,
        }
    }
}

#[test]
fn it_works_when_its_bell_rings_and_ends_with_the_stack() {
    let (stack, mut user, rung, address) = apart();
    // Nothing has come: it may rest for ever.
    assert_eq!(rest(&mut user), Rest::Until(None));
    let (asker, client, told) = asker();
    let mut rng = rutil::Rng::from_os().expect("randomness");
    let target = format!("<sip:{address}>");
    let mut ask = || {
        let to = NameAddr::parse(&target).expect("a URI");
        let msg = make_initial(&Method::Options, &to, &to, &mut rng);
        client.send(asker, msg, SendOptions::default()).expect("there is room");
    };
    for _ in 0..100 {
        ask();
        rung.recv_timeout(LIMIT).expect("it rings for a request");
        assert_eq!(rest(&mut user), Rest::Until(None));
        assert_eq!(told.recv_timeout(LIMIT), Ok(200));
    }
    // A stack that drains asks it, and it hears of the end.
    let driver = std::thread::Builder::new().spawn(move || {
        while rest(&mut user) != Rest::Over {
            let _ = rung.recv_timeout(LIMIT);
        }
    });
    assert!(stack.shutdown(LIMIT), "it is drained");
    driver.expect("a thread").join().expect("no panic");
}

#[test]
fn one_that_was_dropped_holds_nobody_up() {
    let (mut builder, (tell, _told)) = (Stack::builder(), channel());
    builder.add_transport(TransportSpec::udp("127.0.0.1:0".parse().expect("an address")));
    let of = |method: &str| TuOptions { rule: MessageFilterRule::methods(&[method]), ..TuOptions::default() };
    let say = tell.clone();
    let user = builder.register_tu_apart(of("OPTIONS"), || {}, move |_| Echo(say.clone()));
    builder.register_tu(of("MESSAGE"), move |_| Echo(tell.clone()));
    let stack = builder.start().expect("it starts");
    let target = format!("<sip:{}>", stack.transports().iter().next().expect("one").bound);
    let (asker, client, heard) = asker();
    let mut rng = rutil::Rng::from_os().expect("randomness");
    let mut ask = |method: Method<'_>| {
        let to = NameAddr::parse(&target).expect("a URI");
        let msg = make_initial(&method, &to, &to, &mut rng);
        client.send(asker, msg, SendOptions::default()).expect("there is room");
        heard.recv_timeout(LIMIT)
    };
    drop(stack.take_apart(user).expect("nobody has taken it"));
    for _ in 0..3 {
        assert_eq!(ask(Method::Options), Ok(503), "it is gone");
        assert_eq!(ask(Method::Message), Ok(200), "the other one is not");
    }
    assert!(stack.shutdown(LIMIT));
    // One that nobody drives neither.
    let (tell, _told) = channel();
    let mut builder = Stack::builder();
    builder.add_transport(TransportSpec::udp("127.0.0.1:0".parse().expect("an address")));
    builder.register_tu_apart(TuOptions::default(), || {}, move |_| Echo(tell.clone()));
    assert!(builder.start().expect("it starts").shutdown(Duration::from_secs(30)));
}

#[test]
fn it_is_not_for_several_shards() {
    let (tell, _told) = channel();
    let mut builder = Stack::builder().placement(Placement::Sharded(2.try_into().expect("two")));
    builder.add_transport(TransportSpec::udp("127.0.0.1:0".parse().expect("an address")));
    builder.register_tu_apart(TuOptions::default(), || {}, move |_| Echo(tell.clone()));
    let error = builder.start().err().expect("it does not start");
    assert!(matches!(error, StackError::OneShard { shards: 2 }), "{error}");
}
