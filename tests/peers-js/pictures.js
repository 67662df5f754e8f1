// Makes pictures of the web page of a proxy that has something to do: pictures.js URL TOKEN FOLDER POINTS
//
// POINTS is how many points the charts are to have before, one each two seconds.
"use strict";
const { join } = require("node:path");
const { open } = require("./chromium");

async function main() {
  const [url, token, folder, points] = process.argv.slice(2);
  const { run, until, go, picture, end } = await open({ width: 1200, height: 1000 });
  await go(url);
  await until("!document.querySelector('#login').hidden");
  await run(`document.querySelector('#login input').value = ${JSON.stringify(token)}; document.querySelector('#login button').click()`);
  await until(`past.length >= ${Number(points)} && document.querySelectorAll('#transactions button').length > 5`);
  await picture(join(folder, "page.png"));
  console.log("page");
  // The latest call that is listed: it rings still.
  await run("transactions().then(() => document.querySelector('#transactions tr:last-child button').click())");
  await until("document.querySelectorAll('#messages details').length >= 6");
  await run("document.querySelectorAll('#messages details')[1].open = true; document.querySelectorAll('.notice button').forEach(one => one.click())");
  const box = await run(`(() => {
    const [first, last] = ['#trace', '#messages-card'].map(name => document.querySelector(name).closest('.card').getBoundingClientRect());
    return { x: 0, y: first.top + scrollY - 12, width: innerWidth, height: last.bottom - first.top + 24, scale: 1 };
  })()`);
  await picture(join(folder, "trace.png"), box);
  console.log("trace");
  end(0);
}
main();
