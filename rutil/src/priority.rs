//! Threads that give way.

/// To what [`give_way`] lowers a thread: beside a runner that wants the same processor it gets about a tenth of it.
const NICE: i32 = 10;

/// Has the calling thread, for good, give way to those that carry messages: for what reads files and walks tables while a proxy
/// serves, and no call waits for. A runner that is rung then runs at once, and not when the time slice of such a thread is
/// over, which is some milliseconds later. Where nothing else wants the processor the thread is as fast as before. One that
/// gives way more than that stays as it is.
///
/// Elsewhere than on Linux, where threads have no priority of their own, it does nothing.
pub fn give_way() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpriority_process, setpriority_process};
        let lowered = getpriority_process(None).and_then(|nice| setpriority_process(None, nice.max(NICE)));
        if let Err(error) = lowered {
            tracing::debug!(%error, "a thread keeps its priority");
        }
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

    #[test]
    fn who_gives_way_more_is_not_raised() {
        let after = std::thread::scope(|scope| {
            let lowest = scope.spawn(|| {
                rustix::process::setpriority_process(None, 19).unwrap();
                give_way();
                getpriority_process(None).unwrap()
            });
            lowest.join().unwrap()
        });
        assert_eq!(after, 19);
    }
}
