//! The benchmarks of real processes, small: that they run, lose nothing and say what they measured.
#![cfg(unix)]

use std::process::Command;

use serde_json::Value;

#[test]
fn both_systems_deliver_everything_over_loopback() {
    let output = Command::new(env!("CARGO_BIN_EXE_braidcast-bench"))
        .args(["mesh", "--json", "--nodes", "3", "--messages", "6", "--rounds", "1", "--size", "256,100KiB"])
        .output()
        .expect("it was built");
    let text = String::from_utf8(output.stdout).expect("JSON");
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 6);
    for (lines, bytes) in lines.chunks(3).zip([256, 102_400]) {
        for (line, name) in lines.iter().zip(["braidcast", "libp2p-gossipsub"]) {
            assert!(line["system"].as_str().is_some_and(|system| system.starts_with(name)), "{line}");
            assert_eq!(
                (&line["bytes"], &line["delivered"], &line["lost"]),
                (&bytes.into(), &12.into(), &0.into())
            );
            assert!(line["bytes_per_s"].as_f64() > Some(0.0) && line["cpu_s_per_gib"].as_f64() > Some(0.0));
        }
        assert!(lines[2]["bytes_per_cpu_s_ratio"].as_f64() > Some(0.0), "{}", lines[2]);
    }
}
