//! Every kernel this machine has makes the bytes that the scalar one makes.

mod common;

use braidcast_rlnc::{Engine, Kernel};
use common::Noise;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Calls `check` with each kernel at hand but the oracle, and says which those were.
fn each_kernel(check: impl Fn(Engine)) {
    for kernel in Kernel::ALL {
        match Engine::with_kernel(kernel) {
            Some(engine) if kernel != Kernel::Scalar => check(engine),
            _ => println!("{kernel}: not tested here"),
        }
    }
}

fn oracle() -> Engine {
    Engine::with_kernel(Kernel::Scalar).expect("the scalar kernel runs everywhere")
}

/// Rows cut out of one buffer, each at its own alignment.
struct Rows {
    bytes: Vec<u8>,
    starts: Vec<usize>,
    len: usize,
}

impl Rows {
    /// Row r begins `first + r * step` bytes after a multiple of 64 bytes, within the buffer.
    fn new(noise: &mut Noise, count: usize, len: usize, first: usize, step: usize) -> Self {
        let pitch = (len + 64).next_multiple_of(64) + 64;
        let starts = (0..count).map(|row| row * pitch + (first + row * step) % 64).collect();
        Self { bytes: noise.bytes(count * pitch + 64), starts, len }
    }

    fn slices(&self) -> Vec<&[u8]> {
        self.starts.iter().map(|&start| &self.bytes[start..start + self.len]).collect()
    }

    fn slices_mut(&mut self) -> Vec<&mut [u8]> {
        let (mut rest, mut at) = (&mut self.bytes[..], 0);
        let mut rows = Vec::new();
        for &start in &self.starts {
            let (_, tail) = core::mem::take(&mut rest).split_at_mut(start - at);
            let (row, tail) = tail.split_at_mut(self.len);
            rows.push(row);
            (rest, at) = (tail, start + self.len);
        }
        rows
    }
}

/// R, K, row length, and where rows begin relative to 64 bytes: the first, and each against the one before.
type Case = (usize, usize, usize, usize, usize);

/// Overwrites, adds, and makes a range of columns; what lies around the rows must stay as it was.
fn check(engine: Engine, (r, k, len, first, step): Case) {
    let mut noise = Noise((r * 1_000_003 + k * 1009 + len) as u64);
    let coef = noise.bytes(r * k);
    let src = Rows::new(&mut noise, k, len, first, step);
    let dst = Rows::new(&mut noise, r, len, first + 5, step);
    let range = len / 3..len - len / 7;
    let run = |engine: Engine| {
        let mut results = Vec::new();
        for operation in 0..3 {
            let mut out = Rows { bytes: dst.bytes.clone(), starts: dst.starts.clone(), len };
            let (rows, src) = (&mut out.slices_mut()[..], &src.slices()[..]);
            match operation {
                0 => engine.gemm(rows, src, &coef),
                1 => engine.gemm_add(rows, src, &coef),
                _ => engine.gemm_columns(rows, src, &coef, range.clone()),
            }
            .expect("the shapes fit");
            results.push(out.bytes);
        }
        results
    };
    assert!(run(engine) == run(oracle()), "{:?}: {r} x {k} x {len}, at {first} + {step}", engine.kernel());
}

#[test]
fn all_coefficients_times_all_bytes() {
    let coef: Vec<u8> = (0..=255).collect();
    let bytes: Vec<u8> = (0..=255).collect();
    let products = |engine: Engine| {
        let mut out = vec![0; 256 * 256];
        let mut rows: Vec<&mut [u8]> = out.chunks_mut(256).collect();
        engine.gemm(&mut rows, &[&bytes], &coef).unwrap();
        out
    };
    each_kernel(|engine| assert!(products(engine) == products(oracle()), "{engine:?}"));
}

#[test]
fn all_coefficients_one_row_at_a_time() {
    let source: Vec<u8> = (0..=255).collect();
    each_kernel(|engine| {
        for c in 0..=255 {
            let (mut out, mut expected) = (vec![0; 256], vec![0; 256]);
            engine.gemm(&mut [&mut out], &[&source], &[c]).unwrap();
            oracle().gemm(&mut [&mut expected], &[&source], &[c]).unwrap();
            assert!(out == expected, "{engine:?}: {c}");
        }
    });
}

#[test]
fn every_length_up_to_three_tiles() {
    each_kernel(|engine| (0..=800).for_each(|len| check(engine, (5, 3, len, 0, 1))));
}

#[test]
fn every_alignment() {
    each_kernel(|engine| {
        for first in 0..64 {
            check(engine, (4, 3, 700, first, 0));
            check(engine, (9, 5, 700, first, 1));
        }
    });
}

#[test]
fn every_number_of_rows_and_sources() {
    each_kernel(|engine| {
        for r in 1..=18 {
            for k in [1, 2, 3, 4, 7, 16, 33] {
                check(engine, (r, k, 999, 1, 3));
            }
        }
    });
}

#[test]
fn sources_that_fill_many_blocks() {
    each_kernel(|engine| {
        for (r, k) in [(1, 256), (3, 100), (8, 16), (12, 200), (33, 256)] {
            check(engine, (r, k, 5003, 7, 11));
        }
    });
}
