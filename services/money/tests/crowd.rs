//! Two instances of the service over one database, and everybody at once.
//!
//! `TEST_MONEY_OPERATIONS=100000` asks for more operations than the usual ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::sync::{Arc, Mutex};

use common::{Answered, Ask, Bench, slug};
use money::Ledger;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use uuid::Uuid;

const WORKERS: usize = 16;
const WALLETS: usize = 6;
/// What a crowd may be told. Anything else is a fault of ours.
const USUAL: [&str; 7] = [
    "insufficient-funds",
    "too-many-holds",
    "hold-settled",
    "hold-expired",
    "already-reversed",
    "not-reversible",
    "validation-error",
];

fn operations() -> usize {
    std::env::var("TEST_MONEY_OPERATIONS").map_or(3_000, |text| text.parse().expect("a number of operations"))
}

/// What everybody knows of.
#[derive(Default)]
struct Known {
    holds: Mutex<Vec<String>>,
    transactions: Mutex<Vec<String>>,
}

struct Worker {
    instances: [Ledger; 2],
    tenant: Uuid,
    wallets: Vec<String>,
    known: Arc<Known>,
    chance: StdRng,
    /// What was answered before, to be asked again.
    answered: Vec<(Ask, Uuid, Answered)>,
}

impl Worker {
    fn pick(&mut self, ids: impl Fn(&Known) -> &Mutex<Vec<String>>) -> String {
        let known = self.known.clone();
        let ids = ids(&known).lock().unwrap();
        // Mostly something new, which others are after as well.
        let newest = ids.len().saturating_sub(20);
        let number = if ids.is_empty() { 0 } else { self.chance.random_range(newest..ids.len()) };
        ids.get(number).cloned().unwrap_or_else(|| self.wallets[0].clone())
    }

    fn ask(&mut self) -> Ask {
        let one = self.wallets[self.chance.random_range(0..WALLETS)].clone();
        let other = self.wallets[self.chance.random_range(0..WALLETS)].clone();
        let amount = self.chance.random_range(1..400);
        match self.chance.random_range(0..10) {
            0..=1 => Ask::Credit { wallet: one, amount },
            2 => Ask::Debit { wallet: one, amount },
            3..=4 => Ask::Hold { wallet: one, amount, seconds: self.chance.random_range(1..=30) },
            5 => Ask::Confirm { hold: self.pick(|known| &known.holds) },
            6 => Ask::Cancel { hold: self.pick(|known| &known.holds) },
            7..=8 => Ask::Transfer { from: one, to: other, amount },
            _ => Ask::Reverse { transaction: self.pick(|known| &known.transactions) },
        }
    }

    async fn go(&mut self) {
        if !self.answered.is_empty() && self.chance.random_range(0..8) == 0 {
            return self.repeat().await;
        }
        let (ask, key) = (self.ask(), Uuid::now_v7());
        let [here, there] = &self.instances;
        let first = if self.chance.random_range(0..8) == 0 {
            // The same request at both doors at once: it happens once.
            let both = tokio::join!(ask.of(here, self.tenant, key), ask.of(there, self.tenant, key));
            if let (Ok(one), Ok(other)) = &both {
                assert_eq!(one, other, "{ask:?} at once under one key");
            }
            both.0.or(both.1)
        } else {
            let instance = &self.instances[self.chance.random_range(0..2)];
            ask.of(instance, self.tenant, key).await
        };
        match first {
            Ok(answered) => {
                let made = answered.transactions.iter().map(|made| made.transaction_id.clone());
                self.known.transactions.lock().unwrap().extend(made);
                if let (Ask::Hold { .. }, Some(hold)) = (&ask, &answered.hold) {
                    self.known.holds.lock().unwrap().push(hold.id.clone());
                }
                self.answered.push((ask, key, answered));
            }
            Err(status) => {
                let refused = slug(&status);
                // Only before there is a hold or a transaction does somebody ask for one that is not there.
                let nothing_yet = refused == "not-found"
                    && matches!(ask, Ask::Confirm { .. } | Ask::Cancel { .. } | Ask::Reverse { .. });
                assert!(USUAL.contains(&refused.as_str()) || nothing_yet, "{ask:?}: {status:?}");
            }
        }
    }

    async fn repeat(&mut self) {
        let (ask, key, before) = self.answered[self.chance.random_range(0..self.answered.len())].clone();
        let instance = &self.instances[self.chance.random_range(0..2)];
        let again = ask.of(instance, self.tenant, key).await;
        assert_eq!(again.expect("an answer is given again"), before, "{ask:?} again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_keeps_the_books() {
    let bench = Arc::new(Bench::new().await);
    let instances = [bench.ledger.clone(), bench.another_instance().await];
    let mut wallets = Vec::new();
    for _ in 0..WALLETS {
        wallets.push(bench.wallet().await);
    }
    let seed: u64 = rand::rng().random();
    let known = Arc::new(Known::default());
    let workers = (0..WORKERS).map(|number| {
        let mut worker = Worker {
            instances: instances.clone(),
            tenant: bench.tenant,
            wallets: wallets.clone(),
            known: known.clone(),
            chance: StdRng::seed_from_u64(seed ^ number as u64),
            answered: Vec::new(),
        };
        let bench = bench.clone();
        tokio::spawn(async move {
            for turn in 0..operations() / WORKERS {
                worker.go().await;
                // One of them also lets time pass and sweeps, in the middle of what the others do.
                if number == 0 && turn % 5 == 0 {
                    bench.turn(1);
                    bench.ledger.sweep().await.unwrap();
                }
            }
            worker
        })
    });
    let mut finished = Vec::new();
    for worker in workers.collect::<Vec<_>>() {
        finished.push(worker.await.unwrap_or_else(|error| panic!("seed {seed}: {error}")));
    }
    bench.audit().await;

    let entries = bench.entries().await;
    for worker in &mut finished {
        for _ in 0..50 {
            worker.repeat().await;
        }
    }
    assert_eq!(bench.entries().await, entries, "a repetition writes nothing");
    bench.audit().await;
    let moved = known.transactions.lock().unwrap().len();
    assert!(moved > operations() / 10, "{moved} transactions are too few to mean anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_everybody_uses_at_once_moves_money_once() {
    let bench = Bench::new().await;
    let instances = [bench.ledger.clone(), bench.another_instance().await];
    let wallet = bench.wallet().await;
    let (tenant, key) = (bench.tenant, Uuid::now_v7());
    let tasks = (0..40).map(|number| {
        let (ledger, ask) =
            (instances[number % 2].clone(), Ask::Credit { wallet: wallet.clone(), amount: 7 });
        tokio::spawn(async move { ask.of(&ledger, tenant, key).await })
    });
    let mut answers = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        answers.push(task.await.unwrap().unwrap());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(bench.balance(&wallet).await, (7, 0));
    bench.audit().await;
}
