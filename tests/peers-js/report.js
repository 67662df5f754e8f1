// Shows a page in a headless Chromium, and tells in one line of JSON what became of it: report.js URL
"use strict";
const { open } = require("./chromium");

async function main() {
  const errors = [];
  const { run, go, end } = await open({ width: 1100, height: 1600, told: error => errors.push(error) });
  await go(process.argv[2]);
  const seen = await run(`(() => {
    const plots = [...document.querySelectorAll("svg")].map(svg => {
      const box = svg.getBoundingClientRect();
      const lines = [...svg.querySelectorAll("path.line")].map(line => line.getTotalLength());
      return { title: svg.getAttribute("aria-label"), width: box.width, height: box.height, right: box.right, lines };
    });
    return { title: document.title, width: document.documentElement.scrollWidth, plots };
  })()`);
  console.log("seen: " + JSON.stringify({ errors, ...seen }));
  end(0);
}
main();
