//! Without a proxy that runs: what there is before it has started.

use super::*;

#[test]
fn what_has_not_started_is_not_ready_and_has_metrics() {
    let operation = Operation::default();
    assert_eq!(operation.ready(), Err(NotReady::Starting));
    let usage = ProcessUsage { resident: Some(4096), ..ProcessUsage::default() };
    let text = operation.metrics(&usage);
    for line in ["repro_ready 0", "process_resident_memory_bytes 4096", "process_cpu_seconds_total 0"] {
        assert!(text.lines().any(|one| one == line), "{line}: {text}");
    }
    assert!(!text.contains("sip_"), "{text}");
    assert_eq!(NotReady::Draining.to_string(), "draining");
}
