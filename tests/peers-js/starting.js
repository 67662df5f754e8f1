// Opens the web page of a proxy whose API says that it starts, until the page has said so; then the page has to fill itself:
// starting.js URL
"use strict";
const { open } = require("./chromium");

async function main() {
  const { call, on, run, until, go, end } = await open({ width: 1300, height: 1500 });
  const starting = Buffer.from('{"error":{"status":503,"message":"the proxy is starting"}}').toString("base64");
  on("Fetch.requestPaused", ({ requestId }) => call("Fetch.fulfillRequest", {
    requestId, responseCode: 503, body: starting, responseHeaders: [{ name: "Content-Type", value: "application/json" }],
  }));
  await call("Fetch.enable", { patterns: [{ urlPattern: "*/api/v1/*" }] });
  await go(process.argv[2]);
  await until("document.querySelector('#ready').textContent === 'starting'");
  console.log("trouble: " + await run("document.querySelector('#trouble').textContent"));
  console.log("kinds: " + await run("document.querySelectorAll('#kind option').length"));
  await call("Fetch.disable");
  await until("document.querySelector('#ready').textContent === 'ready'");
  await until("document.querySelectorAll('#kind option').length > 0 && document.querySelector('#log').filter.value");
  await until("document.querySelector('#registrations').textContent === 'nobody' && document.querySelector('#trouble').hidden");
  console.log("filled");
  end(0);
}
main();
