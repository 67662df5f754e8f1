// Looks at the web page of repro in a headless Chromium, by its debugging protocol: page.js URL TOKEN
"use strict";
const { spawn } = require("node:child_process");
const { mkdtempSync, rmSync, writeFileSync } = require("node:fs");
const { tmpdir } = require("node:os");
const { join } = require("node:path");
const WebSocket = require("ws");

const [url, token, picture] = process.argv.slice(2);
const home = mkdtempSync(join(tmpdir(), "repro-page-"));
const chromium = spawn("chromium", ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
  "--remote-debugging-port=0", "--user-data-dir=" + home, "about:blank"]);

function end(code) {
  chromium.once("exit", () => {
    rmSync(home, { recursive: true, force: true, maxRetries: 5 });
    process.exit(code);
  });
  chromium.kill("SIGKILL");
}
process.on("unhandledRejection", error => {
  console.log("failed: " + error.message);
  end(1);
});

const port = new Promise((found, failed) => {
  let said = "";
  chromium.stderr.on("data", octets => {
    said += octets;
    const listening = /DevTools listening on ws:\/\/[^:]+:(\d+)\//.exec(said);
    if (listening) found(listening[1]);
  });
  chromium.once("exit", () => failed(new Error("chromium ends: " + said)));
});

async function connect() {
  const tabs = await (await fetch(`http://127.0.0.1:${await port}/json/list`)).json();
  const socket = new WebSocket(tabs.find(tab => tab.type === "page").webSocketDebuggerUrl);
  await new Promise(open => socket.once("open", open));
  const waiting = new Map();
  let last = 0;
  socket.on("message", text => {
    const message = JSON.parse(text);
    if (message.id) return waiting.get(message.id)(message);
    // What the policy forbids, and what throws, is said here.
    if (message.method === "Runtime.exceptionThrown") console.log("exception: " + JSON.stringify(message.params));
    const entry = message.method === "Log.entryAdded" && message.params.entry;
    if (entry && entry.level === "error" && entry.source !== "network") console.log("error: " + entry.text);
    if (message.method === "Page.javascriptDialogOpening") console.log("dialog: " + message.params.message);
  });
  return (method, params = {}) => new Promise(answer => {
    waiting.set(++last, answer);
    socket.send(JSON.stringify({ id: last, method, params }));
  });
}

async function main() {
  const call = await connect();
  const run = async expression => {
    const { result } = await call("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (result.exceptionDetails) throw new Error(expression + ": " + JSON.stringify(result.exceptionDetails.exception));
    return result.result.value;
  };
  // Until it is so; the caller ends this script when it takes too long.
  const until = condition => run(`new Promise(so => { const look = () => (${condition}) ? so() : requestAnimationFrame(look); look(); })`);
  for (const domain of ["Page", "Runtime", "Log"]) await call(domain + ".enable");
  await call("Emulation.setDeviceMetricsOverride", { width: 1300, height: 1500, deviceScaleFactor: 1, mobile: false });
  await call("Page.navigate", { url });
  await until("document.readyState === 'complete' && document.querySelector('#login') && !document.querySelector('#login').hidden");
  console.log("it wants a token");
  await run(`document.querySelector('#login input').value = ${JSON.stringify(token)}; document.querySelector('#login button').click()`);
  await until("document.querySelector('#ready').textContent === 'ready'");
  console.log("ready");
  await until("document.querySelectorAll('#registrations button').length === 2");
  console.log("contact: " + await run("document.querySelector('#registrations td:nth-child(2)').textContent"));
  await run("document.querySelector('#search').value = 'second'; document.querySelector('#search').dispatchEvent(new Event('input'))");
  await until("document.querySelectorAll('#registrations button').length === 1");
  console.log("found: " + await run("document.querySelector('#registrations td').textContent.split('@')[0]"));
  await until("document.querySelectorAll('svg polyline').length >= 3");
  console.log("charts");
  const fill = (kind, fields) => run(`(() => { const form = document.querySelector('form[data-kind=${kind}]');
    for (const [name, value] of Object.entries(${JSON.stringify(fields)})) form.elements[name].value = value;
    form.querySelector('button').click(); })()`);
  const said = kind => `document.querySelector('form[data-kind=${kind}] .said').textContent`;
  await fill("trunks", { name: "<img src=x onerror=alert(1)>", contacts: "sip:192.0.2.20, sip:192.0.2.21", prefixes: "+49" });
  await until(said("trunks"));
  console.log("trunk: " + await run(said("trunks")));
  await until("document.querySelectorAll('#trunks button').length === 2");
  await run("document.querySelector('#trunks button').click()");
  await until("document.querySelector('#trunks .pill').textContent === 'out by hand'");
  console.log("taken out");
  await fill("users", { aor: "nonsense", password: "wonderland" });
  await until(said("users"));
  console.log("refused: " + await run(said("users")));
  await fill("users", { aor: "alice@example.com", password: "wonderland" });
  await until("document.querySelector('form[data-kind=users] .said').className.includes('good')");
  await until("document.querySelector('#records').textContent.includes('alice@example.com')");
  console.log("user added");
  console.log("strange nodes: " + await run("document.querySelectorAll('img, b b, script + script').length"));
  if (picture) {
    const { result } = await call("Page.captureScreenshot", { format: "png" });
    writeFileSync(picture, Buffer.from(result.data, "base64"));
  }
  console.log("done");
  end(0);
}
main();
