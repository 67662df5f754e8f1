//! Third-party call control: the connection to the other controller, as SIPp has it. Commands are texts that end with ESC.

use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// The end of a command.
const ESC: u8 = 27;
/// The longest command.
const MOST: usize = 256 << 10;
/// Commands that wait to be sent, at most; a call whose command finds no room fails.
const WAITING: usize = 1024;

/// Why there is no other controller.
#[derive(Debug, thiserror::Error)]
#[error("--3pcc {address}: {source}")]
pub(crate) struct ThirdError {
    address: SocketAddr,
    source: io::Error,
}

/// Who takes commands for the other controller.
pub(crate) type Commands = mpsc::Sender<Vec<u8>>;

/// Connects to the other controller, or waits for it where calls begin with its commands; each command that comes is handed to
/// `take`, until the connection ends.
///
/// # Errors
/// [`ThirdError`], when the address cannot be had or nobody is there.
pub(crate) async fn open(
    address: SocketAddr,
    listens: bool,
    take: impl AsyncFn(String) + 'static,
) -> Result<Commands, ThirdError> {
    let failed = |source| ThirdError { address, source };
    let (commands, waiting) = mpsc::channel(WAITING);
    if listens {
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        tokio::task::spawn_local(async move {
            if let Ok((stream, _)) = listener.accept().await {
                talk(stream, waiting, take).await;
            }
        });
    } else {
        let stream = TcpStream::connect(address).await.map_err(failed)?;
        tokio::task::spawn_local(talk(stream, waiting, take));
    }
    Ok(commands)
}

/// Passes commands both ways until one side has no more.
async fn talk(mut stream: TcpStream, mut waiting: mpsc::Receiver<Vec<u8>>, take: impl AsyncFn(String)) {
    let (mut reader, mut writer) = stream.split();
    let mut read = Vec::new();
    loop {
        tokio::select! {
            command = waiting.recv() => {
                let Some(mut command) = command else { return };
                command.push(ESC);
                if writer.write_all(&command).await.is_err() {
                    return;
                }
            }
            size = reader.read_buf(&mut read) => {
                if !matches!(size, Ok(1..)) || read.len() > MOST {
                    return;
                }
                while let Some(end) = read.iter().position(|octet| *octet == ESC) {
                    let command: Vec<u8> = read.drain(..=end).take(end).collect();
                    take(String::from_utf8_lossy(&command).into_owned()).await;
                }
            }
        }
    }
}
