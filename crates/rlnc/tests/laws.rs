//! What holds for all fields, shapes, losses and orders. Unit tests run on wasm too; these are for the host.
#![cfg(not(target_arch = "wasm32"))]

mod common;

use braidcast_rlnc::{Decoder, Encoder, Progress, Recoder, Shape, Shard, cauchy, gf256};
use common::Noise;
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};

proptest! {
    #[test]
    fn field_axioms(a: u8, b: u8, c: u8) {
        let mul = gf256::mul;
        prop_assert_eq!(mul(a, b), mul(b, a));
        prop_assert_eq!(mul(mul(a, b), c), mul(a, mul(b, c)));
        prop_assert_eq!(mul(a, b ^ c), mul(a, b) ^ mul(a, c));
        prop_assert_eq!((mul(a, 1), mul(a, 0), mul(a, 2)), (a, 0, gf256::double(a)));
        if let Some(inverse) = gf256::inv(a) {
            prop_assert_eq!(mul(mul(b, a), inverse), b);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_k_pieces_decode((shape, sources, order) in generation().prop_flat_map(any_k_of_its_pieces)) {
        let pieces = pieces(shape, &sources);
        let mut decoder = Decoder::new(shape);
        for (count, &index) in order.iter().enumerate() {
            let progress = decoder.push_piece(index, &pieces[index][..], None);
            prop_assert_eq!(progress, Ok(Progress::Innovative { rank: count + 1 }));
            for piece in decoder.determined() {
                prop_assert!(decoder.piece(piece).as_deref() == Some(&sources[piece][..]));
            }
        }
        prop_assert!(decoder.decode_all() == Ok(sources.concat()));
    }

    #[test]
    fn slices_decode_what_one_pass_decodes(
        (shape, sources, order) in generation().prop_flat_map(any_k_of_its_pieces),
        budget in 0..50_000u64,
    ) {
        let mut parity = Encoder::new(shape, sources.clone()).unwrap().into_parity();
        while parity.step(budget) {}
        let pieces = [sources.concat(), parity.finish()].concat();
        prop_assert!(pieces == self::pieces(shape, &sources).concat());
        let mut decoder = Decoder::new(shape);
        for &index in &order {
            decoder.push_piece(index, &pieces[index * shape.piece_len()..][..shape.piece_len()], None).unwrap();
        }
        let (missing, mut job) = decoder.missing().unwrap();
        prop_assert!(missing.iter().all(|piece| !order.contains(piece)));
        let mut left = job.remaining();
        while job.step(budget) {
            prop_assert!(job.remaining() < left);
            left = job.remaining();
        }
        let made: Vec<u8> = missing.iter().flat_map(|&piece| sources[piece].clone()).collect();
        prop_assert!(job.finish() == made);
    }

    #[test]
    fn recoded_of_recoded_decodes((shape, sources) in generation(), hops in 1..4usize, seed: u64) {
        let mut noise = Noise(seed);
        let k = shape.k();
        let mut held = shards(shape, &sources, &noise.bytes((k + 4) * k));
        for _ in 0..hops {
            let recoder = Recoder::new(shape, held).unwrap();
            held = recoder.recode(&noise.bytes((k + 4) * (k + 4)), k + 4).unwrap();
        }
        let mut decoder = Decoder::new(shape);
        for Shard { coefficients, payload } in held {
            decoder.push(&coefficients, payload, None).unwrap();
        }
        // Each round maps K dimensions into K + 4 at random, which loses one with probability 256^-5.
        prop_assert!(decoder.decode_all() == Ok(sources.concat()));
    }

    #[test]
    fn rank_never_falls_and_dependent_shards_change_nothing(
        (shape, sources) in generation(),
        choices in prop::collection::vec((any::<u64>(), any::<Index>()), 1..40),
    ) {
        let mut decoder = Decoder::new(shape);
        let mut seen: Vec<Shard<Vec<u8>>> = Vec::new();
        for (seed, index) in choices {
            let vector = coefficient_vector(shape, &seen, seed, index);
            let shard = shards(shape, &sources, &vector).remove(0);
            let before = State::of(&decoder);
            let is_innovative = decoder.is_innovative(&shard.coefficients);
            let progress = decoder.push(&shard.coefficients, shard.payload.clone(), None).unwrap();
            if is_innovative {
                prop_assert_eq!(progress, Progress::Innovative { rank: before.rank + 1 });
                prop_assert!(before.determined.iter().all(|&piece| decoder.is_determined(piece)));
            } else {
                prop_assert_eq!(progress, Progress::Dependent);
                prop_assert_eq!(before, State::of(&decoder));
            }
            prop_assert!(!decoder.is_innovative(&shard.coefficients));
            seen.push(shard);
        }
        for piece in decoder.determined() {
            prop_assert!(decoder.piece(piece).as_deref() == Some(&sources[piece][..]));
        }
    }

    #[test]
    fn what_a_polluter_sent_can_be_left_out(
        (shape, sources, order) in generation().prop_flat_map(any_k_of_its_pieces),
        polluter in 0..4u32,
    ) {
        let pieces = pieces(shape, &sources);
        let mut decoder = Decoder::new(shape).keep_spares(shape.pieces());
        for (n, &index) in order.iter().chain(&order).enumerate() {
            let from = (n + n / shape.k()) as u32 % 4;
            let mut payload = pieces[index].clone();
            payload[0] ^= u8::from(from == polluter);
            decoder.push_piece(index, payload, Some(from)).unwrap();
        }
        let without = decoder.without(polluter);
        prop_assert_eq!(decoder.rank_without(polluter), without.rank());
        prop_assert_eq!(without.rank_without(polluter), without.rank());
        if without.is_complete() {
            prop_assert!(without.decode_all() == Ok(sources.concat()));
            prop_assert!(decoder.decode_without(polluter) == Ok(sources.concat()));
        }
    }
}

/// A K x K matrix over GF(q) is invertible with probability prod (1 - q^-i), so a receiver of random shards needs
/// sum 1 / (q^i - 1) = 0.0039 + 0.00002 more than K on average, q = 256.
#[test]
fn random_shards_cost_four_thousandths_of_a_shard() {
    let (k, runs) = (16, 4000);
    let shape = Shape::new(k, 0, 1).unwrap();
    let mut noise = Noise(1);
    let mut dependent = 0;
    for _ in 0..runs {
        let mut decoder = Decoder::new(shape);
        while !decoder.is_complete() {
            let progress = decoder.push(&noise.bytes(k), [0], None).unwrap();
            dependent += u32::from(progress == Progress::Dependent);
        }
    }
    // Expected 15.8, standard deviation 4.0: five of them either way.
    assert!((1..=36).contains(&dependent), "{dependent} dependent shards in {runs} generations");
}

#[test]
fn the_largest_generation_decodes_from_parity_alone() {
    let shape = Shape::new(128, 128, 3).unwrap();
    let mut noise = Noise(2);
    let sources: Vec<Vec<u8>> = (0..128).map(|_| noise.bytes(3)).collect();
    let pieces = pieces(shape, &sources);
    let mut decoder = Decoder::new(shape);
    for (index, piece) in pieces.iter().enumerate().skip(128) {
        decoder.push_piece(index, piece, None).unwrap();
    }
    assert_eq!(decoder.decode_all(), Ok(sources.concat()));
}

/// What a caller can see of a decoder.
#[derive(Debug, PartialEq)]
struct State {
    rank: usize,
    determined: Vec<usize>,
    pieces: Vec<Option<Vec<u8>>>,
    held: Vec<Shard<Vec<u8>>>,
}

impl State {
    fn of(decoder: &Decoder<Vec<u8>>) -> Self {
        Self {
            rank: decoder.rank(),
            determined: decoder.determined().collect(),
            pieces: (0..decoder.shape().k()).map(|piece| decoder.piece(piece)).collect(),
            held: decoder.held().cloned().collect(),
        }
    }
}

type Generation = (Shape, Vec<Vec<u8>>);

/// Up to 20 source and 20 parity pieces of up to 600 bytes.
fn generation() -> impl Strategy<Value = Generation> {
    (1..=20usize, 0..=20usize, 1..=600usize, any::<u64>()).prop_map(|(k, m, len, seed)| {
        let mut noise = Noise(seed);
        (Shape::new(k, m, len).unwrap(), (0..k).map(|_| noise.bytes(len)).collect())
    })
}

fn any_k_of_its_pieces(
    (shape, sources): Generation,
) -> impl Strategy<Value = (Shape, Vec<Vec<u8>>, Vec<usize>)> {
    let all: Vec<usize> = (0..shape.pieces()).collect();
    (Just(shape), Just(sources), subsequence(all, shape.k()).prop_shuffle())
}

/// All K + M pieces.
fn pieces(shape: Shape, sources: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let rows: Vec<u8> =
        (0..shape.pieces()).flat_map(|index| cauchy::coefficients(&shape, index).unwrap()).collect();
    shards(shape, sources, &rows).into_iter().map(|shard| shard.payload).collect()
}

/// The shards with these coefficient vectors, K bytes each.
fn shards(shape: Shape, sources: &[Vec<u8>], coefficients: &[u8]) -> Vec<Shard<Vec<u8>>> {
    let encoder = Encoder::new(shape, sources.to_vec()).unwrap();
    let vectors = coefficients.chunks(shape.k());
    let mut payloads = vec![vec![0; shape.piece_len()]; vectors.len()];
    let mut out: Vec<&mut [u8]> = payloads.iter_mut().map(Vec::as_mut_slice).collect();
    encoder.shards(coefficients, &mut out).unwrap();
    vectors.zip(payloads).map(|(vector, payload)| Shard { coefficients: vector.to_vec(), payload }).collect()
}

/// By turns: a piece, a random vector, a sparse one, a sum of two that were sent before, zero.
fn coefficient_vector(shape: Shape, seen: &[Shard<Vec<u8>>], seed: u64, index: Index) -> Vec<u8> {
    let k = shape.k();
    match seed % 8 {
        0 => vec![0; k],
        1 | 2 => cauchy::coefficients(&shape, index.index(shape.pieces())).unwrap(),
        3 | 4 => Noise(seed).bytes(k).iter().map(|&byte| if byte < 64 { byte } else { 0 }).collect(),
        5 | 6 if !seen.is_empty() => {
            let (a, b) = (index.get(seen), &seen[seed as usize / 8 % seen.len()]);
            a.coefficients.iter().zip(&b.coefficients).map(|(&a, &b)| gf256::mul(a, 3) ^ b).collect()
        }
        _ => Noise(seed).bytes(k),
    }
}
