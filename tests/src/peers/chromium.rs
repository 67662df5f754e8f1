//! Chromium, a browser without a window: what a page is like when it is shown.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::folder::Folder;
use super::{Process, available};

/// How long a page may take on a machine that is busy with other tests.
const LIMIT: Duration = Duration::from_secs(60);

/// Shows the page in a frame, and writes down what became of it.
const FRAME: &str = r#"<!DOCTYPE html><html><body><iframe id="page" width="1100" height="1600" src="PAGE"></iframe>
<script>
const errors = [];
const frame = document.getElementById("page");
addEventListener("error", event => errors.push(String(event.message)), true);
frame.contentWindow.addEventListener("error", event => errors.push(String(event.message)), true);
frame.onload = () => {
  const page = frame.contentDocument;
  const plots = [...page.querySelectorAll("svg")].map(svg => {
    const box = svg.getBoundingClientRect();
    const lines = [...svg.querySelectorAll("path.line")].map(line => line.getTotalLength());
    return { title: svg.getAttribute("aria-label"), width: box.width, height: box.height, right: box.right, lines };
  });
  const seen = { errors, title: page.title, width: page.documentElement.scrollWidth, plots };
  document.documentElement.textContent = "SEEN" + JSON.stringify(seen) + "SEEN";
};
</script></body></html>
"#;

/// Shows a page of the file system, and tells its title, its plots with their sizes and the lengths of their lines, and what
/// scripts have failed. None if Chromium is to be left out, as [`available`] says.
pub fn show(page: &Path) -> Option<Result<Value, String>> {
    available("chromium").then(|| shown(page))
}

fn shown(page: &Path) -> Result<Value, String> {
    let folder = Folder::create("chromium").map_err(|e| e.to_string())?;
    let frame = folder.path().join("frame.html");
    fs::write(&frame, FRAME.replace("PAGE", &format!("file://{}", page.display()))).map_err(|e| e.to_string())?;
    let mut command = Command::new("chromium");
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--dump-dom"]);
    command.args(["--virtual-time-budget=5000", "--window-size=1200,1800"]);
    command.arg(format!("--user-data-dir={}", folder.path().display()));
    command.arg(format!("file://{}", frame.display()));
    let process = Process::start(&mut command).map_err(|e| format!("chromium: {e}"))?;
    let (_, output) = process.finish(LIMIT).map_err(|unfinished| unfinished.output)?;
    let seen = output.split("SEEN").nth(1).ok_or_else(|| format!("nothing was shown: {output}"))?;
    let seen = seen.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">");
    serde_json::from_str(&seen).map_err(|error| format!("{error}: {output}"))
}
