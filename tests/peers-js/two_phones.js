// Two JsSIP phones at one proxy over WebSocket: they register, exchange messages, and call each other.
//
//   node two_phones.js wss://HOST:PORT/PATH DOMAIN
//
// Prints a line for each step, and ends with 0 when all were done. A certificate authority of the test's own is given
// by NODE_EXTRA_CA_CERTS.
'use strict';

const [url, domain] = process.argv.slice(2);

// What a browser has and Node has not: WebSocket with a certificate authority of one's own, and media. Media are not
// looked at here: an offer and an answer are texts that the phones exchange.
globalThis.WebSocket = require('ws');
globalThis.window = globalThis;
globalThis.RTCSessionDescription = class {
  constructor({ type, sdp }) {
    Object.assign(this, { type, sdp });
  }
};
globalThis.RTCPeerConnection = class extends EventTarget {
  iceGatheringState = 'complete';
  iceConnectionState = 'connected';
  signalingState = 'stable';
  localDescription = null;
  #description(type) {
    const sdp = 'v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n';
    return Promise.resolve({ type, sdp });
  }
  createOffer() {
    return this.#description('offer');
  }
  createAnswer() {
    return this.#description('answer');
  }
  setLocalDescription(description) {
    this.localDescription = description;
    return Promise.resolve();
  }
  setRemoteDescription() {
    return Promise.resolve();
  }
  close() {
    this.signalingState = 'closed';
  }
};

const JsSIP = require('jssip');

function phone(name) {
  const sockets = [new JsSIP.WebSocketInterface(url)];
  const ua = new JsSIP.UA({ sockets, uri: `sip:${name}@${domain}`, register: true, session_timers: false });
  ua.on('disconnected', ({ error, code, reason }) => error && fail(`${name} disconnected`, { code, reason }));
  ua.on('registrationFailed', (event) => fail(`${name} registration failed`, event.cause));
  return ua;
}

function once(emitter, event) {
  return new Promise((resolve) => emitter.once(event, resolve));
}

function fail(what, why) {
  console.log(`failed: ${what}: ${JSON.stringify(why)}`);
  process.exit(1);
}

async function message(from, to, target, text) {
  const heard = new Promise((resolve) => {
    to.once('newMessage', ({ originator, request }) => {
      if (originator !== 'remote') fail('message', originator);
      resolve(request.body);
    });
  });
  const sent = new Promise((resolve) => {
    const eventHandlers = { succeeded: resolve, failed: (event) => fail('message', event.cause) };
    from.sendMessage(target, text, { eventHandlers });
  });
  const [content] = await Promise.all([heard, sent]);
  if (content !== text) fail('message', content);
  console.log('message delivered');
}

// A call from one to the other, which the caller or the called ends.
async function call(from, to, user, calledEnds) {
  const media = { mediaConstraints: { audio: false, video: false } };
  const called = new Promise((resolve) => {
    to.once('newRTCSession', ({ originator, session }) => {
      if (originator !== 'remote') fail('call', originator);
      session.answer(media);
      resolve(session);
    });
  });
  const caller = from.call(`sip:${user}@${domain}`, media);
  caller.on('failed', (event) => fail('call', event.cause));
  const sessions = [caller, await called];
  // The called phone is confirmed by the ACK, which finds it by its flow alone.
  await Promise.all(sessions.map((session) => once(session, 'confirmed')));
  const ended = sessions.map((session) => once(session, 'ended'));
  sessions[calledEnds ? 1 : 0].terminate();
  const causes = (await Promise.all(ended)).map((event) => event.cause);
  if (causes.some((cause) => cause !== 'Terminated')) fail('end of the call', causes);
  console.log(`call ended by the ${calledEnds ? 'called' : 'caller'}`);
}

async function main() {
  const [alice, bob] = [phone('alice'), phone('bob')];
  const registered = [alice, bob].map((ua) => once(ua, 'registered'));
  alice.start();
  bob.start();
  await Promise.all(registered);
  console.log('registered');
  await message(alice, bob, `sip:bob@${domain}`, 'Grüße aus dem Browser');
  // The names of the device (RFC 5627). With them, the calls have the public one as Contact.
  for (const name of ['pub_gruu', 'temp_gruu']) {
    if (!bob.contact[name]) fail('registration', `no ${name}`);
    await message(alice, bob, bob.contact[name], name);
  }
  await call(alice, bob, 'bob', false);
  await call(bob, alice, 'alice', true);
  const gone = [alice, bob].map((ua) => once(ua, 'unregistered'));
  alice.unregister();
  bob.unregister();
  await Promise.all(gone);
  console.log('unregistered');
  process.exit(0);
}

setTimeout(() => fail('time is up', null), 60_000).unref();
main().catch((error) => fail('script', String(error.stack)));
