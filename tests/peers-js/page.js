// Looks at the web page of repro in a headless Chromium, by its debugging protocol: page.js URL TOKEN
"use strict";
const { open } = require("./chromium");

async function main() {
  const [url, token] = process.argv.slice(2);
  const { run, until, size, go, end } = await open({ width: 1300, height: 1500 });
  await go(url);
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
  await until("document.querySelectorAll('#transactions button').length === 2");
  console.log("transactions: " + await run("document.querySelector('#transactions .id').textContent"));
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
  // What was said stays while the page looks again and again; a failure stays until it was read.
  const looks = async count => {
    const before = await run("past.length");
    await until(`past.length >= ${before + count}`);
  };
  const notices = "document.querySelectorAll('#notices section')";
  await until(notices + ".length === 1");
  await looks(2);
  console.log("notice: " + await run(notices + "[0].querySelector('span').textContent"));
  await run("attempt(() => ask('DELETE', '/bans/192.0.2.1'))");
  await until("document.querySelector('#notices .bad')");
  await run("attempt(() => Promise.resolve('well done'), told => told)");
  await until("document.querySelector('#notices .good').textContent.startsWith('well done')");
  await looks(2);
  console.log("notices: " + await run(`[...${notices}].map(one => one.querySelector('span').textContent).join(' / ')`));
  await run("document.querySelectorAll('#notices button').forEach(button => button.click())");
  console.log("notices left: " + await run(notices + ".length"));
  await fill("users", { aor: "nonsense", password: "wonderland" });
  await until(said("users"));
  console.log("refused: " + await run(said("users")));
  await fill("users", { aor: "alice@example.com", password: "wonderland" });
  await until("document.querySelector('form[data-kind=users] .said').className.includes('good')");
  await until("document.querySelector('#records').textContent.includes('alice@example.com')");
  console.log("user added");
  await run(`document.querySelector('#trace').call_id.value = "traced"; document.querySelector('#trace button').click()`);
  await until("document.querySelectorAll('#traces button').length === 2 && !document.querySelector('#messages-card').hidden");
  console.log("tracing");
  await until("document.querySelectorAll('#messages details').length === 2");
  console.log("messages: " + await run("[...document.querySelectorAll('#messages summary')].map(one => one.lastChild.textContent.trim()).join(', ')"));
  // Nothing is cut off on a small screen.
  await size(420, 900);
  await looks(2);
  console.log("too wide: " + await run("document.documentElement.scrollWidth - innerWidth"));
  console.log("strange nodes: " + await run("document.querySelectorAll('img, b b, script + script').length"));
  console.log("done");
  end(0);
}
main();
