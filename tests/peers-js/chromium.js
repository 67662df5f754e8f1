// A headless Chromium, by its debugging protocol.
"use strict";
const { spawn } = require("node:child_process");
const { mkdtempSync, rmSync, writeFileSync } = require("node:fs");
const { tmpdir } = require("node:os");
const { join } = require("node:path");
const WebSocket = require("ws");

// Starts it, and gives what a script does with its page. `told` hears what the page throws, logs as an error, or asks in a
// dialog. Whatever fails ends the script with 1.
async function open({ width, height, told = console.log }) {
  const home = mkdtempSync(join(tmpdir(), "chromium-"));
  const chromium = spawn("chromium", ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--hide-scrollbars", "--remote-debugging-port=0", "--user-data-dir=" + home, "about:blank"]);
  const end = code => {
    // Its children outlive it for a moment, and write what the removal has to find again.
    const remove = () => {
      try {
        rmSync(home, { recursive: true, force: true });
      } catch (error) {
        if (error.code !== "ENOTEMPTY") throw error;
        return setTimeout(remove, 20);
      }
      process.exit(code);
    };
    chromium.once("exit", remove);
    chromium.kill("SIGKILL");
  };
  process.on("unhandledRejection", error => {
    console.log("failed: " + error.message);
    end(1);
  });
  const port = await new Promise((found, failed) => {
    let said = "";
    chromium.stderr.on("data", octets => {
      said += octets;
      const listening = /DevTools listening on ws:\/\/[^:]+:(\d+)\//.exec(said);
      if (listening) found(listening[1]);
    });
    chromium.once("exit", () => failed(new Error("chromium ends: " + said)));
  });
  const tabs = await (await fetch(`http://127.0.0.1:${port}/json/list`)).json();
  const socket = new WebSocket(tabs.find(tab => tab.type === "page").webSocketDebuggerUrl);
  await new Promise(opened => socket.once("open", opened));
  const waiting = new Map(), heard = new Map();
  let last = 0;
  socket.on("message", text => {
    const message = JSON.parse(text);
    if (message.id) return waiting.get(message.id)(message);
    if (heard.has(message.method)) heard.get(message.method)(message.params);
    // What the policy forbids, and what throws, is said here.
    if (message.method === "Runtime.exceptionThrown") told("exception: " + JSON.stringify(message.params));
    const entry = message.method === "Log.entryAdded" && message.params.entry;
    if (entry && entry.level === "error" && entry.source !== "network") told("error: " + entry.text);
    if (message.method === "Page.javascriptDialogOpening") told("dialog: " + message.params.message);
  });
  const call = (method, params = {}) => new Promise(answer => {
    waiting.set(++last, answer);
    socket.send(JSON.stringify({ id: last, method, params }));
  });
  // Has events of this name told.
  const on = (method, what) => heard.set(method, what);
  // What an expression gives in the page, also when it gives that later.
  const run = async expression => {
    const { result } = await call("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (result.exceptionDetails) throw new Error(expression + ": " + JSON.stringify(result.exceptionDetails.exception));
    return result.result.value;
  };
  // Until it is so; who has started the script ends it when it takes too long.
  const until = condition => run(`new Promise(so => { const look = () => (${condition}) ? so() : requestAnimationFrame(look); look(); })`);
  const size = (wide, high) =>
    call("Emulation.setDeviceMetricsOverride", { width: wide, height: high, deviceScaleFactor: 1, mobile: false });
  for (const domain of ["Page", "Runtime", "Log"]) await call(domain + ".enable");
  await size(width, height);
  const go = async url => {
    await call("Page.navigate", { url });
    await until("location.href !== 'about:blank' && document.readyState === 'complete'");
  };
  // Writes what is seen, or a part of it, as a PNG.
  const picture = async (file, clip) => {
    const { result } = await call("Page.captureScreenshot", { format: "png", clip, captureBeyondViewport: clip !== undefined });
    writeFileSync(file, Buffer.from(result.data, "base64"));
  };
  return { call, on, run, until, size, go, picture, end };
}

module.exports = { open };
