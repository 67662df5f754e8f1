//! Accounting to a stream of Redis, on accounting's own thread: it may wait for the server, and nobody waits for it.

use super::{ANSWER, CONNECT, RedisSetupError, certificates, client, information};
use redis::{Client, Connection};
use repro::accounting::Sink;
use repro::config::Stream as Settings;
use std::io;

/// The field of an entry.
const FIELD: &str = "event";

/// Where entries are added.
pub(crate) struct Stream {
    settings: Settings,
    client: Client,
    connection: Option<Connection>,
}

impl Stream {
    /// Connects with the first line only: Redis may be down.
    ///
    /// # Errors
    /// When a file of the configuration cannot be read, or Redis cannot be spoken to at all.
    pub(crate) fn new(settings: &Settings) -> Result<Self, RedisSetupError> {
        let password = settings.redis_password()?;
        let info = information(&settings.url, settings.username.as_deref(), password.as_ref())?;
        let client = client(&info, &certificates(settings.ca.as_ref())?)?;
        Ok(Stream { settings: settings.clone(), client, connection: None })
    }

    fn connected(&mut self) -> redis::RedisResult<&mut Connection> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let connection = self.client.get_connection_with_timeout(CONNECT)?;
                connection.set_read_timeout(Some(ANSWER))?;
                connection.set_write_timeout(Some(ANSWER))?;
                connection
            }
        };
        Ok(self.connection.insert(connection))
    }

    /// Adds an entry for each line, all of them or none. If the answer is lost they come again.
    fn add(&mut self, lines: &str) -> redis::RedisResult<()> {
        let (key, most) = (self.settings.stream.clone(), self.settings.max_entries);
        let connection = self.connected()?;
        let mut transaction = redis::pipe();
        transaction.atomic();
        for line in lines.lines() {
            transaction.cmd("XADD").arg(&key);
            if most > 0 {
                transaction.arg("MAXLEN").arg("~").arg(most);
            }
            transaction.arg("*").arg(FIELD).arg(line).ignore();
        }
        transaction.query(connection)
    }
}

impl Sink for Stream {
    fn open(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn close(&mut self) {
        self.connection = None;
    }

    fn write(&mut self, lines: &[u8], _wall: u64) -> io::Result<()> {
        self.add(&String::from_utf8_lossy(lines)).map_err(|error| {
            self.connection = None;
            io::Error::other(format!("{}: {error}", self.settings.url))
        })
    }
}
