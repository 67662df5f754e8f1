//! A child process whose output is read line by line, and which never outlives its owner: not the value, and not the
//! process that has it, however that ends.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use crate::now;

/// A running program. It is killed, by its own handle, when this goes out of scope, and by the kernel when the thread
/// that has started it ends.
#[derive(Debug)]
pub struct Process {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    seen: Vec<String>,
}

/// The program did not do in time what was waited for.
#[derive(Debug)]
pub struct Unfinished {
    /// All that it printed so far.
    pub output: String,
}

impl Process {
    /// Starts `command` with its output captured and its input closed.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        Self::spawn(command, Stdio::null())
    }

    /// The same with an input that [`Process::write_line`] writes to.
    pub fn start_with_input(command: &mut Command) -> io::Result<Self> {
        Self::spawn(command, Stdio::piped())
    }

    fn spawn(command: &Command, input: Stdio) -> io::Result<Self> {
        let mut child = dying_with_us(command).stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let input = child.stdin.take();
        let (sender, lines) = channel();
        if let Some(stdout) = child.stdout.take() {
            forward_lines(stdout, sender.clone())?;
        }
        if let Some(stderr) = child.stderr.take() {
            forward_lines(stderr, sender)?;
        }
        Ok(Self { child, input, lines, seen: Vec::new() })
    }

    /// Writes a line to its input.
    pub fn write_line(&mut self, line: &str) -> io::Result<()> {
        let input = self.input.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        input.write_all(format!("{line}\n").as_bytes())?;
        input.flush()
    }

    /// Waits until `wanted` finds what it looks for in a line.
    pub fn wait_for<T>(&mut self, limit: Duration, mut wanted: impl FnMut(&str) -> Option<T>) -> Result<T, Unfinished> {
        let deadline = now() + limit;
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(now())) {
            let found = wanted(&line);
            self.seen.push(line);
            if let Some(found) = found {
                return Ok(found);
            }
        }
        Err(self.unfinished())
    }

    /// Waits for the end of the program, which is when both its outputs are closed; kills it if that takes too long.
    pub fn finish(mut self, limit: Duration) -> Result<(ExitStatus, String), Unfinished> {
        let deadline = now() + limit;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(now())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Timeout) => return Err(self.unfinished()),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        match self.child.wait() {
            Ok(status) => Ok((status, self.seen.join("\n"))),
            Err(_) => Err(self.unfinished()),
        }
    }

    /// The process number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All lines printed so far.
    pub fn output(&mut self) -> String {
        self.seen.extend(self.lines.try_iter());
        self.seen.join("\n")
    }

    /// The exit status, if the program has ended.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    fn unfinished(&mut self) -> Unfinished {
        Unfinished { output: self.output() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("what process {} has said:\n{}", self.id(), self.output());
        }
        // Both fail only if it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The same command by way of `setpriv`, which becomes it: a test that is killed does not leave it behind.
fn dying_with_us(command: &Command) -> Command {
    let mut wrapped = Command::new("setpriv");
    wrapped.args(["--pdeathsig", "KILL"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        wrapped.current_dir(folder);
    }
    wrapped
}

fn forward_lines(output: impl Read + Send + 'static, sender: Sender<String>) -> io::Result<()> {
    let read = move || {
        let mut lines = BufReader::new(output).split(b'\n');
        while let Some(Ok(line)) = lines.next() {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("peer output".to_owned()).spawn(read).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> Process {
        Process::start(Command::new("sh").args(["-c", script])).expect("there is a shell")
    }

    #[test]
    fn finds_a_line_of_either_output() {
        let mut p = shell("echo one; echo two 7 >&2; exec cat /dev/zero > /dev/null");
        let found = p.wait_for(LIMIT, |l| l.strip_prefix("two ").map(str::to_owned)).expect("it prints it");
        assert_eq!(found, "7");
        assert!(p.exited().is_none());
    }

    #[test]
    fn end_gives_status_and_output() {
        let (status, output) = shell("echo done; exit 3").finish(LIMIT).expect("it ends");
        assert_eq!((status.code(), output.as_str()), (Some(3), "done"));
    }

    #[test]
    fn waiting_is_bounded_and_the_process_goes() {
        let mut p = shell("echo started; exec cat /dev/zero > /dev/null");
        p.wait_for(LIMIT, |l| (l == "started").then_some(())).expect("it starts");
        let stat = format!("/proc/{}/stat", p.id());
        let error = p.finish(Duration::from_millis(50)).expect_err("it runs forever");
        assert_eq!(error.output, "started");
        assert!(!std::path::Path::new(&stat).exists());
    }
}
