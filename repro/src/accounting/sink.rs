//! Where lines go to.

use std::io;

/// Takes the lines of accounting. It is used by one thread, and may wait: nobody waits for it.
pub trait Sink: Send {
    /// Makes sure that lines can be written, as far as that can be known beforehand.
    ///
    /// # Errors
    /// When they cannot, with the place.
    fn open(&mut self) -> io::Result<()>;

    /// Lets go of what was opened: the next line is written to what has the name then.
    fn close(&mut self);

    /// Writes lines, each with its line end, at `wall` seconds after 1970: all of them, or none.
    ///
    /// # Errors
    /// When that fails, with the place; the same lines come again.
    fn write(&mut self, lines: &[u8], wall: u64) -> io::Result<()>;
}
