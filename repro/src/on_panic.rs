//! What is done when a thread panics.

/// Does it when it is dropped by a panic: a thread that must not go unnoticed holds one.
pub struct OnPanic<F: Fn()>(pub F);

impl<F: Fn()> Drop for OnPanic<F> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.0)();
        }
    }
}
