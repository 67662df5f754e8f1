//! What the thread of the store does with the messages of the silo: it writes down what is new and removes what has left, in
//! the same transaction as bindings.

use super::Service;
use crate::location::{Notation, from_unix, to_unix};
use crate::proxy::Server;
use crate::silo::{Letter, Silo};
use crate::store::{Batch, MessageRow, StoreError};
use bytes::Bytes;
use rutil::Time;
use std::sync::Arc;

/// What is to be written, and whose it is.
pub(super) struct Mail {
    silo: Arc<Silo>,
    new: Vec<(Box<str>, Vec<Letter>)>,
    gone: Vec<u64>,
}

impl Mail {
    /// What is new for these, and what has left; none when there is no such thing.
    pub(super) fn take<'a>(silo: Option<&Arc<Silo>>, aors: impl Iterator<Item = &'a Box<str>>) -> Option<Self> {
        let silo = silo?.clone();
        let gone = silo.gone();
        let new = aors.map(|aor| (aor.clone(), silo.take_new(aor))).filter(|(_, letters)| !letters.is_empty());
        let mail = Mail { new: new.collect(), gone, silo };
        (!mail.new.is_empty() || !mail.gone.is_empty()).then_some(mail)
    }

    pub(super) fn write(&self, batch: &mut Batch<'_>, notation: &Notation) -> rusqlite::Result<()> {
        for (aor, letters) in &self.new {
            for Letter { id, sender, text, until } in letters {
                let expires = to_unix(*until, notation.epoch);
                batch.put_message(MessageRow { id: *id, aor, sender, expires, text })?;
            }
        }
        self.gone.iter().try_for_each(|id| batch.remove_message(*id))
    }

    /// It was written, or not.
    pub(super) fn written(self, is: bool) {
        match is {
            true => self.silo.forget_gone(self.gone.len()),
            false => self.new.iter().for_each(|(aor, letters)| self.silo.not_written(aor, letters)),
        }
    }
}

impl Service {
    /// Puts the messages that were kept into the silo, if there is one, before the first request comes. Gives how many that
    /// are.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn restore_messages(&mut self, server: &Server) -> Result<usize, StoreError> {
        let (Some(silo), Some(store)) = (server.silo(), &self.store) else { return Ok(0) };
        let (mut restored, mut left, epoch) = (0, 0, self.notation.epoch);
        let wall = (epoch + self.clock.now().since(Time::ZERO)).as_secs();
        store.messages(wall, |row| {
            let until = from_unix(row.expires, epoch);
            let text = Bytes::copy_from_slice(row.text);
            match silo.restore(row.aor, Letter { id: row.id, sender: row.sender.into(), text, until }) {
                true => restored += 1,
                false => left += 1,
            }
        })?;
        if left > 0 {
            tracing::warn!(left, "messages in the store have no room: raise silo.max_messages or silo.max_octets");
        }
        Ok(restored)
    }
}
