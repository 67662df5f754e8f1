//! Threads that give way.

/// By how much [`give_way`] lowers a thread: beside a runner that wants the same processor it gets about a tenth of it.
const NICE: i32 = 10;

/// Has the calling thread, for good, give way to those that carry messages: for what reads files, walks tables or writes to a
/// disk while a proxy serves. A runner that is rung then runs at once, and not when the time slice of such a thread is over,
/// which is some milliseconds later. Where nothing else wants the processor the thread is as fast as before.
///
/// Elsewhere than on Linux, where threads have no priority of their own, it does nothing.
pub fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "a thread keeps its priority");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use rustix::process::getpriority_process;

    /// Of its thread alone.
    #[test]
    fn only_the_thread_that_asks_gives_way() {
        let before = getpriority_process(None).unwrap();
        let other = std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                give_way();
                getpriority_process(None).unwrap()
            });
            other.join().unwrap()
        });
        assert_eq!(other, NICE.max(before));
        assert_eq!(getpriority_process(None).unwrap(), before);
    }
}
