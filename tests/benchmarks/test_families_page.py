"""docs/families.md: what its sentences are computed from."""

from benchmarks.families_page import best_by_seed


def test_the_best_family_is_counted_for_each_seed_and_equal_scores_for_each_family():
    def arm(*scores):
        return {"trainings": [{"seed": seed, "score": score} for seed, score in enumerate(scores)]}

    record = {"arms": {"wsd": arm(90.0, 91.0, 92.0), "cosine": arm(90.0, 91.5, 91.0), "triangular2": arm(80.0, 80.0, 80.0)}}
    assert best_by_seed(record) == "wsd: 2 of 3; cosine: 2 of 3"
