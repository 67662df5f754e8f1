//! The order in which the servers of a service are tried (RFC 2782).

use super::records::Srv;
use rutil::Rng;

/// Sorts by priority, and draws the order within a priority: each comes next with a chance in proportion to its weight
/// among those that are left; those of weight zero have a very small one.
pub(super) fn order(records: &[Srv], rng: &mut Rng) -> Vec<Srv> {
    let mut left: Vec<&Srv> = records.iter().filter(|srv| !srv.target.is_empty()).collect();
    // Weight zero before the others, as the RFC has it: the running sum that is drawn may then fall on them.
    left.sort_by_key(|srv| (srv.priority, srv.weight != 0));
    let mut ordered = Vec::with_capacity(left.len());
    while let Some(first) = left.first() {
        let group = left.iter().take_while(|srv| srv.priority == first.priority).count();
        let at = draw(left.iter().take(group).map(|srv| srv.weight), rng);
        ordered.push(left.remove(at).clone());
    }
    ordered
}

/// Which of these weights is drawn.
fn draw(weights: impl Iterator<Item = u16> + Clone, rng: &mut Rng) -> usize {
    let sum: u64 = weights.clone().map(u64::from).sum();
    let drawn = rng.range(sum + 1);
    let mut running = 0;
    weights
        .into_iter()
        .position(|weight| {
            running += u64::from(weight);
            running >= drawn
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn srv(priority: u16, weight: u16, target: &str) -> Srv {
        Srv { priority, weight, port: 5060, target: target.into() }
    }

    /// How often each target is the first of so many draws.
    fn firsts(records: &[Srv], of: usize, rng: &mut Rng) -> Vec<usize> {
        let mut counts = vec![0; records.len()];
        for _ in 0..of {
            let first = order(records, rng).remove(0);
            counts[records.iter().position(|srv| *srv == first).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn a_lower_priority_comes_first_whatever_its_weight() {
        let mut rng = Rng::from_seed(1);
        let records = [srv(20, 60_000, "c"), srv(10, 1, "a"), srv(10, 1, "b"), srv(30, 0, "d")];
        for _ in 0..200 {
            let names: String = order(&records, &mut rng).iter().map(|srv| &*srv.target).collect();
            assert!(names == "abcd" || names == "bacd", "{names}");
        }
    }

    #[test]
    fn weights_decide_in_proportion() {
        let mut rng = Rng::from_seed(7);
        let counts = firsts(&[srv(1, 60, "a"), srv(1, 30, "b"), srv(1, 10, "c")], 10_000, &mut rng);
        for (count, share) in counts.iter().zip([6000, 3000, 1000]) {
            assert!(count.abs_diff(share) < 250, "{counts:?}");
        }
        // The second place is drawn among those that are left: after a, b has three quarters.
        let mut seconds = 0;
        for _ in 0..10_000 {
            let names: String = order(&[srv(1, 60, "a"), srv(1, 30, "b"), srv(1, 10, "c")], &mut rng)
                .iter()
                .map(|srv| &*srv.target)
                .collect();
            seconds += usize::from(names == "abc");
        }
        assert!(seconds.abs_diff(4500) < 250, "{seconds}");
    }

    #[test]
    fn weight_zero_is_seldom_first_and_never_lost() {
        let mut rng = Rng::from_seed(3);
        let counts = firsts(&[srv(1, 0, "a"), srv(1, 99, "b")], 10_000, &mut rng);
        assert!(counts[0] > 20 && counts[0] < 250, "{counts:?}");
        // Weights alone that are zero: the first is as good as another.
        assert_eq!(order(&[srv(1, 0, "a"), srv(1, 0, "b")], &mut rng).len(), 2);
        assert!(order(&[], &mut rng).is_empty());
        let largest: Vec<Srv> = (0..32).map(|n| srv(1, u16::MAX, &n.to_string())).collect();
        assert_eq!(order(&largest, &mut rng).len(), 32);
    }

    #[test]
    fn a_dot_is_no_server() {
        assert!(order(&[srv(0, 0, "")], &mut Rng::from_seed(1)).is_empty());
    }
}
