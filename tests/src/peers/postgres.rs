//! PostgreSQL, a database server, with a data directory of its own.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::folder::Folder;
use super::{Process, loopback};

/// How long a start or an end may take on a machine that is busy with other tests.
const LIMIT: Duration = Duration::from_secs(60);
/// Where distributions put the versions of it.
const VERSIONS: &str = "/usr/lib/postgresql";
/// Who may do everything there.
const USER: &str = "repro";

/// A server on a loopback address that no other test uses, that asks for a password.
#[derive(Debug)]
pub struct Postgres {
    folder: Folder,
    host: Ipv4Addr,
    password: String,
    process: Option<Process>,
}

/// Whether it can be used: as [`super::available`], by the name `psql`.
///
/// # Panics
/// As that.
pub fn has_postgres() -> bool {
    match program("initdb") {
        Ok(_) => super::available("psql"),
        Err(what) => {
            crate::skip(&format!("{what}; install PostgreSQL, or name psql in SIP_TEST_SKIP"));
            false
        }
    }
}

/// A program of the latest version that is installed.
fn program(name: &str) -> Result<PathBuf, String> {
    let versions = fs::read_dir(VERSIONS).map_err(|e| format!("{VERSIONS}: {e}"))?;
    let version = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let found = versions.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.join("bin/initdb").is_file());
    Ok(found.max_by_key(version).ok_or(format!("{VERSIONS}: none is installed"))?.join("bin").join(name))
}

impl Postgres {
    /// Makes a data directory and starts the server on it.
    pub fn start(password: &str) -> Result<Self, String> {
        let folder = Folder::create("postgres").map_err(|e| e.to_string())?;
        let mut server = Postgres { folder, host: loopback(), password: password.to_owned(), process: None };
        server.create()?;
        server.resume()?;
        Ok(server)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The server does not run as root: then it is whoever owns the files of Debian's package, else nobody.
    fn command(&self, name: &str) -> Result<Command, String> {
        let mut command = Command::new("setpriv");
        if own_user() == 0 {
            let (uid, gid) = somebody();
            command.args([format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".to_owned()]);
        }
        // Whoever becomes another user is no longer told of its parent's end by what was agreed before.
        command.args(["--pdeathsig", "KILL"]).arg(program(name)?);
        command.current_dir("/").env("LC_ALL", "C.UTF-8");
        Ok(command)
    }

    fn create(&self) -> Result<(), String> {
        let path = self.folder.path();
        let secret = path.join("password");
        fs::write(&secret, &self.password).map_err(|e| e.to_string())?;
        if own_user() == 0 {
            let (uid, gid) = somebody();
            for file in [path, &secret] {
                chown(file, Some(uid), Some(gid)).map_err(|e| e.to_string())?;
            }
        }
        let mut command = self.command("initdb")?;
        command.arg("-D").arg(self.data()).args(["-U", USER, "-A", "scram-sha-256", "-E", "UTF8", "--no-sync"]);
        command.arg("--pwfile").arg(&secret);
        let output = command.stdin(Stdio::null()).output().map_err(|e| e.to_string())?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(format!("initdb: {told}")) }
    }

    /// Starts the server again, on what it had.
    pub fn resume(&mut self) -> Result<(), String> {
        let mut command = self.command("postgres")?;
        command.arg("-D").arg(self.data()).arg("-k").arg(self.folder.path());
        command.args(["-h", &self.host.to_string(), "-c", "fsync=off", "-c", "max_connections=50"]);
        if self.data().join("server.crt").exists() {
            command.args(["-c", "ssl=on"]);
        }
        let mut process = Process::start(&mut command).map_err(|e| format!("postgres: {e}"))?;
        let ready = |line: &str| line.contains("database system is ready to accept connections").then_some(());
        process.wait_for(LIMIT, ready).map_err(|e| format!("postgres does not start:\n{}", e.output))?;
        self.process = Some(process);
        Ok(())
    }

    /// From the next start on it speaks TLS, with this certificate and key (PEM), and to nobody without.
    pub fn secure(&self, certificate: &str, key: &str) -> Result<(), String> {
        let data = self.data();
        let of_all = format!("hostssl all all {}/8 scram-sha-256\n", self.host);
        for (name, text) in [("server.crt", certificate), ("server.key", key), ("pg_hba.conf", &of_all)] {
            let path = data.join(name);
            fs::write(&path, text).map_err(|e| e.to_string())?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(|e| e.to_string())?;
            if own_user() == 0 {
                let (uid, gid) = somebody();
                chown(&path, Some(uid), Some(gid)).map_err(|e| e.to_string())?;
            }
        }
        Ok(())
    }

    /// Where it listens.
    pub fn host(&self) -> Ipv4Addr {
        self.host
    }

    /// Ends the server; whoever is connected is cut off.
    pub fn stop(&mut self) -> Result<(), String> {
        let Some(process) = self.process.take() else { return Ok(()) };
        let sent = Command::new("kill").args(["-s", "INT", &process.id().to_string()]).status();
        sent.map_err(|e| e.to_string())?;
        process.finish(LIMIT).map(drop).map_err(|e| format!("postgres does not end:\n{}", e.output))
    }

    /// Ends the server, and starts one that has nothing.
    pub fn restart_empty(&mut self) -> Result<(), String> {
        self.stop()?;
        fs::remove_dir_all(self.data()).map_err(|e| e.to_string())?;
        self.create()?;
        self.resume()
    }

    /// Where a database of it is, without the password.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@{}/{database}", self.host)
    }

    /// The process, to stop it and let it go on.
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// Runs SQL as `psql` does, and gives what it prints.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut command = Command::new(program("psql")?);
        command.args(["-h", &self.host.to_string(), "-U", USER, "-d", database, "-X", "-q", "-A", "-t"]);
        command.args(["-v", "ON_ERROR_STOP=1", "-c", sql]).env("PGPASSWORD", &self.password);
        let output = command.stdin(Stdio::null()).output().map_err(|e| e.to_string())?;
        let [said, wrong] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        if output.status.success() { Ok(said.trim_end().to_owned()) } else { Err(wrong) }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Its children end with it; what stays behind is in the folder for temporary files.
        let _ = self.stop();
    }
}

/// As whom this runs.
fn own_user() -> u32 {
    fs::metadata("/proc/self").map_or(0, |own| own.uid())
}

/// Whom a server runs as that root starts.
fn somebody() -> (u32, u32) {
    let users = fs::read_to_string(Path::new("/etc/passwd")).unwrap_or_default();
    let of = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    of("postgres").or_else(|| of("nobody")).unwrap_or((65_534, 65_534))
}
